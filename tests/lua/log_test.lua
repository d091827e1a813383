-- SPDX-License-Identifier: MIT
-- Logs without a container: the files that a writer leaves, cut at every byte, and the lines that a reader makes of them.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"
local lines = require "sandbox.container.log_lines"
local log = require "sandbox.container.log"
local log_place = require "sandbox.container.log_place"
local log_reader = require "sandbox.container.log_reader"

local function begin(how)
  how = how or {}
  return t.must(log.open { place = how.place or t.dir "0700", name = "web", state = "/run/some where", size = how.size or 65536,
    files = how.files or 3 })
end

-- Everything that a reader finds, as { kind, data } each, and the reader.
local function read_all(path)
  local reader = t.must(log_reader.open(path))
  reader.once = true
  reader:look(true)
  local found = {}
  for record in reader.next, reader do found[#found + 1] = { record.kind, record.data } end
  reader:finish()
  return found, reader
end

-- ---- files ----

t.test("what was written is read, of any bytes", function()
  local every = {}
  for byte = 0, 255 do every[#every + 1] = string.char(byte) end
  local writer, expected = begin(), {}
  for i, data in ipairs { "a\n", "", table.concat(every), "1 5 3\nabc\n", ("x"):rep(log.RECORD_MAX) } do
    writer:append(i % 2 + 1, data)
    if data ~= "" then expected[#expected + 1] = { tostring(i % 2 + 1), data } end
  end
  local found, reader = read_all(writer.path)
  t.equal(found, expected)
  t.equal({ reader.damaged, reader.missing, writer.lost }, { {}, 0, 0 })
  local st = S.lstat(writer.path .. "/1")
  t.equal({ st.perm, S.lstat(writer.path).perm }, { tonumber("600", 8), tonumber("700", 8) })
end)

t.test("a record larger than the largest becomes several", function()
  local writer = begin()
  local data = ("0123456789abcdef"):rep(5000)
  writer:append(1, data)
  local parts = {}
  for i, record in ipairs((read_all(writer.path))) do parts[i] = record[2] end
  t.equal({ #parts, table.concat(parts) == data }, { 3, true })
end)

t.test("files rotate: as many as were asked for, none too large, and their numbers grow", function()
  for files = 1, 4 do
    local writer, sent = begin { files = files }, {}
    for i = 1, 200 do
      sent[i] = ("%05d"):format(i) .. ("-"):rep(i * 37 % 9000)
      writer:append(1, sent[i])
    end
    local numbers = log_place.numbers(writer.dir)
    t.equal({ #numbers, numbers[1] }, { files, writer.number - files + 1 })
    for i, number in ipairs(numbers) do
      local size = S.lstat(writer.path .. "/" .. number).size
      t.ok(size <= 65536 and (i == #numbers or size > 65536 - 9100), "a size of " .. size)
    end
    local found = read_all(writer.path)
    t.ok(#found > 0)
    for i, record in ipairs(found) do t.equal(record[2], sent[#sent - #found + i]) end
  end
end)

t.test("cut at any byte a file keeps every whole record, and the torn one is told", function()
  local writer = begin()
  local file = writer.path .. "/1"
  writer:append(1, "first\n")
  local whole = S.lstat(file).size
  writer:append(2, "second, \0 and 12 3\n4\n")
  local size = S.lstat(file).size
  for cut = size - 1, whole, -1 do
    t.must(S.truncate(file, cut))
    local found, reader = read_all(writer.path)
    t.equal(found, { { "1", "first\n" } }, "cut at " .. cut)
    t.equal(#reader.damaged, cut > whole and 1 or 0)
    if cut > whole then t.contains(reader.damaged[1], "/1: its last record is torn") end
  end
  for cut = 0, #("luge-log 1 1 web /run/some where") do
    t.must(S.truncate(file, cut))
    local found, reader = read_all(writer.path)
    t.equal({ found, #reader.damaged }, { {}, 1 })
  end
end)

t.test("a torn record in a file that is not the last hides nothing of the next", function()
  local writer = begin()
  writer:append(1, "a")
  local text = t.read(writer.path .. "/1")
  t.must(writer:rotate())
  writer:append(1, "b")
  for _, tail in ipairs { "1", "1 5 9\nabc", "1 5 99999999\n", "7 5 1\na\n", ("\0"):rep(500) } do
    t.write(writer.path .. "/1", text .. tail)
    local found, reader = read_all(writer.path)
    t.equal(found, { { "1", "a" }, { "1", "b" } })
    t.equal(#reader.damaged, 1)
  end
end)

t.test("what a full disk did not take is a record when there is room again", function()
  local writer = begin()
  local hard = S.getrlimit("fsize").hard
  S.sigaction("xfsz", "ignore")
  writer:append(1, "before")
  t.must(S.setrlimit("fsize", writer.at + 20, hard))
  writer:append(1, "not this one")
  writer:append(2, ("nor this"):rep(100))
  t.equal({ writer.lost, writer.untold, writer.written }, { 812, 812, 6 })
  t.must(S.setrlimit("fsize", hard, hard))
  writer:append(1, "after")
  t.equal({ writer.lost, writer.untold }, { 812, 0 })
  local found, reader = read_all(writer.path)
  t.equal({ found, reader.damaged }, { { { "1", "before" }, { "!", "812 File too large" }, { "1", "after" } }, {} })
end)

t.test("a reader sees what comes, over rotation, and no file that it knew is lost to it", function()
  local writer = begin { files = 2 }
  local reader = t.must(log_reader.open(writer.path))
  reader.once = true
  local seen, sent = {}, {}
  for i = 1, 300 do
    sent[i] = i .. ":" .. ("."):rep(5000)
    writer:append(1, sent[i])
    if i % 7 == 0 then -- at most one rotation apart
      reader:look()
      for record in reader.next, reader do seen[#seen + 1] = record.data end
    end
  end
  reader:look()
  for record in reader.next, reader do seen[#seen + 1] = record.data end
  t.equal({ seen, reader.missing, reader.damaged }, { sent, 0, {} })
end)

t.test("a reader that comes too late says how many files it never saw", function()
  local writer = begin { files = 2 }
  local reader = t.must(log_reader.open(writer.path))
  reader:look()
  while writer.number < 9 do writer:append(1, ("."):rep(30000)) end
  reader:look()
  t.equal(reader.missing, 6, "files 2 to 7 of 9")
end)

t.test("a log that somebody writes is no other's, and not removed", function()
  local writer = begin()
  local place = writer.path:match("^(.*)/")
  local again, err = log.open { place = place, name = "web", state = "x", size = 65536, files = 1 }
  t.ok(not again and err.BUSY)
  local ok = log_place.remove(writer.path)
  t.ok(not ok and S.lstat(writer.path .. "/1"))
  writer.dir:close()
  t.ok(log_place.remove(writer.path))
  t.equal(S.dir(place), {})
  t.ok(log_place.remove(writer.path), "one that is gone")
end)

t.test("what others prepared is not followed", function()
  local place, elsewhere = t.dir "0700", t.dir "0700"
  t.write(elsewhere .. "/1", "precious")
  t.must(S.symlink(elsewhere, place .. "/web.log"))
  local writer, err = log.open { place = place, name = "web", state = "x", size = 65536, files = 1 }
  t.ok(not writer and (err.LOOP or err.NOTDIR), tostring(err))
  t.ok(not log_place.remove(place .. "/web.log"))
  t.ok(not log_reader.open(place .. "/web.log"))
  t.must(S.unlink(place .. "/web.log"))
  t.must(S.mkdir(place .. "/web.log", "0700"))
  t.must(S.symlink(elsewhere .. "/1", place .. "/web.log/1"))
  t.must(S.mknod(place .. "/web.log/2", "0600", "fifo"))
  local found, reader = read_all(place .. "/web.log")
  t.equal({ found, #reader.damaged }, { {}, 2 })
  writer = begin { place = place }
  writer:append(1, "x")
  t.equal({ t.read(elsewhere .. "/1"), S.lstat(writer.path .. "/1").type }, { "precious", "file" })
  S.chmod(writer.path, "0770")
  t.ok(not log_place.open(writer.path), "a directory that a group may write to")
end)

-- ---- lines ----

-- Runs records { kind, time, data } through a gate: what is let through of each stream.
local function through(records, since, skip)
  local gate, out = lines.gate(since, skip), { ["1"] = "", ["2"] = "" }
  for _, r in ipairs(records) do out[r[1]] = out[r[1]] .. gate:pass { kind = r[1], time = r[2], data = r[3] } end
  return { out["1"], out["2"] }
end

local RECORDS = { { "1", 10, "a\nb" }, { "2", 20, "E1\nE2" }, { "1", 30, "b\nc\n" }, { "2", 40, "\n" }, { "1", 50, "d" } }

t.test("the last N lines, of two streams that cut into each other's", function()
  local at = 0
  local function next_record()
    at = at + 1
    local r = RECORDS[at]
    return r and { kind = r[1], time = r[2], data = r[3] }
  end
  t.equal(lines.count(next_record), 6) -- a, b, E1, E2, c, d as they begin
  for skip, expected in pairs { [0] = { "a\nbb\nc\nd", "E1\nE2\n" }, { "bb\nc\nd", "E1\nE2\n" }, { "c\nd", "E1\nE2\n" },
    { "c\nd", "E2\n" }, { "c\nd", "" }, { "d", "" }, { "", "" } } do
    t.equal(through(RECORDS, nil, skip), expected, "skipping " .. skip)
  end
end)

t.test("since a time: lines that begin then or later, whole", function()
  for since, expected in pairs { [0] = { "a\nbb\nc\nd", "E1\nE2\n" }, [10] = { "a\nbb\nc\nd", "E1\nE2\n" }, [11] = { "c\nd", "E1\nE2\n" },
    [30] = { "c\nd", "" }, [31] = { "d", "" }, [51] = { "", "" } } do
    t.equal(through(RECORDS, since), expected, "since " .. since)
  end
  t.equal(through(RECORDS, 11, 1), { "c\nd", "E2\n" })
end)

t.test("lines are put together over records, with the time at which each began", function()
  local found = {}
  local l = lines.lines(function(...) found[#found + 1] = { ... } end)
  for _, r in ipairs(RECORDS) do l:add(r[1], r[2], r[3]) end
  l:add("2", 60, "\n")
  l:finish()
  l:finish()
  t.equal(found, { { "1", 10, "a", true }, { "2", 20, "E1", true }, { "1", 10, "bb", true }, { "1", 30, "c", true },
    { "2", 20, "E2", true }, { "2", 60, "", true }, { "1", 50, "d", false } })
end)

t.test("a line without an end is given in parts", function()
  local sizes = {}
  local l = lines.lines(function(_, _, text, whole) sizes[#sizes + 1] = { #text, whole } end)
  local block = ("x"):rep(1 << 20)
  for _ = 1, 17 do l:add("1", 5, block) end
  l:add("1", 5, "\n")
  t.equal(sizes, { { lines.LINE_MAX, false }, { 1 << 20, true } })
end)

t.test("base64 is RFC 4648's", function()
  for text, expected in pairs { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", fooba = "Zm9vYmE=", foobar = "Zm9vYmFy",
    ["\255\254\0"] = "//4A" } do
    t.equal(lines.base64(text), expected)
  end
end)

t.test("times are read and written", function()
  local day = 1769860800 -- 2026-01-31T12:00:00Z, from date(1)
  for text, seconds in pairs { ["2026-01-31T12:00:00Z"] = day, ["2026-01-31 12:00Z"] = day, ["2026-01-31T13:30+01:30"] = day,
    ["2026-01-31T04:00:00-0800"] = day, ["1970-01-01T00:00Z"] = 0, ["2000-02-29T00:00:00Z"] = 951782400,
    ["2100-03-01T00:00Z"] = 4107542400, ["2026-01-31"] = os.time { year = 2026, month = 1, day = 31, hour = 0 },
    ["2026-01-31T12:00:05"] = os.time { year = 2026, month = 1, day = 31, hour = 12, sec = 5 } } do
    t.equal(lines.parse_time(text), seconds * 1000000000, text)
  end
  t.equal(lines.parse_time "2026-01-31T12:00:00.25Z", day * 1000000000 + 250000000)
  t.equal(lines.time(day * 1000000000 + 250000000), "2026-01-31T12:00:00.250000000Z")
  t.equal(lines.parse_time(lines.time(1795787079450720344)), 1795787079450720344)
  t.equal(lines.parse_time "2999-01-01", math.maxinteger)
  for _, text in ipairs { "", "now", "2026", "2026-13-01", "2026-00-10", "2026-01-32", "2026-01-31T", "2026-01-31T25:00Z", "2026-01-31T12:60Z",
    "2026-01-31T12:00:00X", "2026-01-31T12:00+15:00", "2026-01-31T12Z", "2026-01-31Z", " 2026-01-31", "2026-01-31T12:00.5Z" } do
    t.equal(lines.parse_time(text), nil, text)
  end
end)
