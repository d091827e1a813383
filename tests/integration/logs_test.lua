-- SPDX-License-Identifier: MIT
-- luge logs: what detached containers wrote, read while they run and afterwards.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"

local function words_of(...)
  local words = { "luge", "logs", ... }
  for i, word in ipairs(words) do words[i] = d.own(word) end
  words.env = { LUGE_STATE = box.state }
  return words
end

-- `luge logs WORDS…`: { stdout, stderr } of one that must succeed.
local function logs(...)
  local r = t.succeed(words_of(...))
  return { d.plain(r.stdout), d.plain(r.stderr) }
end

local function start_logs(...) return t.start(words_of(...)) end

-- A container that does `shell` and has ended.
local function ended(name, how)
  d.start(name, how)
  return d.luge("wait", name).code
end

-- A container whose shell reads the lines of a FIFO, /io/go: each lets it go on. Returns a function that writes one.
local function start_led(name, how)
  local dir = t.dir "0755"
  t.must(S.mknod(dir .. "/go", "0644", "fifo"))
  local fifo = t.must(S.open(dir .. "/go", "rdwr, cloexec"))
  how.body = ("mounts = { bind { %q, '/io' } },\n%s"):format(dir, how.body or "")
  how.shell = "exec < /io/go; " .. how.shell
  d.start(name, how)
  return function(text) t.equal(S.write(fifo, (text or "") .. "\n"), #(text or "") + 1) end
end

local function json_lines(text)
  local rows = {}
  for line in text:gmatch "[^\n]+" do rows[#rows + 1] = t.ok(t.json.decode(line), line) end
  return rows
end

local function file_names(name) return S.dir(d.own(("%s/%s.log"):format(box.state, name))) end

-- ---- what is kept ----

t.test("stdout and stderr are kept apart, each in its order, a partial line at the end as it is", function()
  t.equal(ended("det-o", { shell = "echo a; echo E1 >&2; echo b; echo E2 >&2; printf c" }), 0)
  t.equal(logs "det-o", { "a\nb\nc", "E1\nE2\n" })
  local rows = json_lines(logs("--json", "det-o")[1])
  local streams = { stdout = {}, stderr = {} }
  for _, row in ipairs(rows) do table.insert(streams[row.stream], row.text) end
  t.equal(streams, { stdout = { "a", "b", "c" }, stderr = { "E1", "E2" } })
  t.equal({ rows[#rows].text, rows[#rows].partial }, { "c", true })
  local stamped = logs("--timestamps", "det-o")
  local stamp = "%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%d%d%d%dZ "
  t.matches(stamped[1], "^" .. stamp .. "a\n" .. stamp .. "b\n" .. stamp .. "c$")
  t.matches(stamped[2], "^" .. stamp .. "E1\n" .. stamp .. "E2\n$")
  t.equal(d.ok("rm", "det-o"), "")
  d.nothing_left()
end)

t.test("the command writes into pipes that are its own user's", function()
  t.equal(ended("det-p", { shell = "echo one > /dev/stdout; echo two > /dev/stderr; [ ! -t 1 ]", body = "user = '5:6'" }), 0)
  t.equal(logs "det-p", { "one\n", "two\n" })
  d.ok("rm", "det-p")
end)

t.test("bytes of every value come back", function()
  local octal, every = {}, {}
  for byte = 0, 255 do octal[#octal + 1], every[#every + 1] = ("\\%03o"):format(byte), string.char(byte) end
  t.equal(ended("det-b", { shell = ("printf '%s'"):format(table.concat(octal)) }), 0)
  every = table.concat(every)
  t.equal(logs("det-b")[1], every)
  local rows = json_lines(logs("--json", "det-b")[1])
  t.equal({ #rows, rows[1].text, rows[2].text }, { 2, "\0\1\2\3\4\5\6\7\8\9", nil })
  t.equal(rows[2].base64, require("sandbox.container.log_lines").base64(every:sub(12)))
  d.ok("rm", "det-b")
end)

t.test("a line of 1 MiB is one line", function()
  t.equal(ended("det-l", { shell = "echo before; /guest flood 1048576; echo; echo after" }), 0)
  local line = ("x"):rep(1 << 20)
  t.ok(logs("det-l")[1] == "before\n" .. line .. "\nafter\n")
  local rows = json_lines(logs("--json", "-n", "2", "det-l")[1])
  t.equal({ #rows, #rows[1].text, rows[2].text }, { 2, 1 << 20, "after" })
  t.ok(rows[1].text == line)
  d.ok("rm", "det-l")
end)

local function counted(last)
  local all = {}
  for i = 1, last do all[i] = i .. "\n" end
  return table.concat(all)
end

t.test("10 MB through rotation: nothing is missing but what the oldest files held", function()
  t.equal(ended("det-r", { shell = "seq 1 1500000", body = "log = { size = '512K', files = 4 }" }), 0)
  local names = file_names "det-r"
  t.equal(#names, 4)
  local numbers, held = {}, 0
  for i, name in ipairs(names) do numbers[i] = tonumber(name) end
  table.sort(numbers)
  t.equal(numbers[4] - numbers[1], 3)
  for i, number in ipairs(numbers) do
    local text = t.read(d.own("%s/det-r.log/%d"):format(box.state, number))
    t.ok(#text <= 512 << 10 and (i == 4 or #text > (512 - 33) << 10), "file " .. number .. " has " .. #text)
    local at = select(2, text:find("\n", 1, true)) + 1
    while at <= #text do
      local length, from = text:match("^1 %d+ (%d+)\n()", at)
      held, at = held + length, from + length + 1
    end
  end
  local whole, shown = counted(1500000), logs("det-r")[1]
  t.equal(#shown, held, "all that the files hold is shown")
  t.ok(whole:sub(-#shown) == shown, "it is the end of what was written")
  t.equal(d.json("inspect", "det-r").containers[1].log.lost_bytes, 0)
  d.ok("rm", "det-r")
  d.nothing_left()
end)

-- ---- which lines ----

t.test("-n shows the last lines, --since those from then on", function()
  local go = start_led("det-n", { shell = "echo 1; echo 2; read x; echo 3; echo E >&2; read x; printf '4\n5'" })
  d.until_true("2", function() return logs("det-n")[1] == "1\n2\n" end)
  go()
  d.until_true("E", function() return logs("det-n")[2] == "E\n" end)
  go()
  t.equal(d.luge("wait", "det-n").code, 0)
  t.equal(logs("-n", "0", "det-n"), { "", "" })
  t.equal(logs("-n", "1", "det-n"), { "5", "" })
  t.equal(logs("-n", "2", "det-n"), { "4\n5", "" })
  t.equal(logs("-n", "3", "det-n"), { "4\n5", "E\n" })
  t.equal(logs("-n", "4", "det-n"), { "3\n4\n5", "E\n" })
  t.equal(logs("-n", "100", "det-n"), { "1\n2\n3\n4\n5", "E\n" })
  local times = {}
  for _, row in ipairs(json_lines(logs("--json", "det-n")[1])) do times[row.text] = row.time end
  t.equal(logs("--since", times["3"], "det-n"), { "3\n4\n5", "E\n" })
  t.equal(logs("--since", times["4"], "det-n"), { "4\n5", "" })
  t.equal(logs("--since", times["3"], "-n", "1", "det-n"), { "5", "" })
  t.equal(logs("--since", "1h", "det-n")[1], "1\n2\n3\n4\n5")
  t.equal(logs("--since", "2999-01-01", "det-n"), { "", "" })
  t.equal(logs("--since", "0s", "det-n"), { "", "" })
  d.ok("rm", "det-n")
end)

-- ---- following ----

d.test("-f ends when nobody reads what it shows, even of a log that is silent", function()
  d.start("det-h", { shell = "echo one; exec sleep 1000", body = "" })
  for _, options in ipairs { "", "--json", "--timestamps" } do
    local r = t.run { "/bin/sh", "-c", ("{ %q logs -f %s %s; echo $? >&2; } | head -n 1"):format(t.luge, options, d.own "det-h"),
      env = { LUGE_STATE = box.state }, timeout = 20 }
    t.equal({ r.code, r.stderr }, { 0, "0\n" }, options)
    t.contains(r.stdout, "one")
  end
  d.ok("rm", "-f", "-t", "0", "det-h")
end)

t.test("-f follows over rotation, several at once, and ends with the container", function()
  local block = "seq -f '%06g of the lines in this block' 1 1000; " -- 35,000 bytes
  local go = start_led("det-f", { shell = "while read i; do " .. block .. "echo end $i; read x; echo err $i >&2; done; exit 3",
    body = "log = { size = '64K', files = 2 }" })
  local first = { start_logs("-f", "det-f"), start_logs("-f", "--json", "det-f") }
  local ROUNDS = 20
  for i = 1, ROUNDS do
    go(tostring(i))
    first[1]:await(("\nend %d\n"):format(i))
    go "" -- two streams have no order but that of luge's reads
    first[1]:await(("err %d\n"):format(i), "stderr")
    first[2]:await(('"text":"end %d"'):format(i))
  end
  t.ok(tonumber(file_names("det-f")[1]) > ROUNDS // 3, "it rotated")
  local late = start_logs("-f", "-n", "2", "det-f")
  late:await(("^end %d\n"):format(ROUNDS))
  d.ok("kill", "-s", "TERM", "det-f")
  local r = first[1]:wait()
  local expected, errors = {}, {}
  for i = 1, ROUNDS do
    for n = 1, 1000 do expected[#expected + 1] = ("%06d of the lines in this block\n"):format(n) end
    expected[#expected + 1], errors[i] = ("end %d\n"):format(i), ("err %d\n"):format(i)
  end
  t.equal({ r.code, r.stderr }, { 0, table.concat(errors) })
  t.ok(r.stdout == table.concat(expected), "nothing was lost or shown twice")
  r = first[2]:wait()
  t.equal({ r.code, r.stderr, #json_lines(r.stdout) }, { 0, "", ROUNDS * 1002 })
  r = late:wait()
  t.equal({ r.code, r.stdout, r.stderr }, { 0, ("end %d\n"):format(ROUNDS), ("err %d\n"):format(ROUNDS) })
  d.ok("rm", "-f", "det-f")
  d.nothing_left()
end)

t.test("-f of one that writes faster than it is read shows each line at most once, in order, and says what it missed", function()
  local go = start_led("det-q", { shell = "read x; seq -f %07.0f 1 1000100", body = "log = { size = '64K', files = 2 }" })
  local p = start_logs("-f", "--json", "det-q")
  go()
  local r = p:wait()
  t.equal(r.code, 0)
  local last, missed = 0, 0
  for _, row in ipairs(json_lines(r.stdout)) do
    local number = tonumber(row.text)
    if #row.text == 7 and not row.partial then -- a file may begin and end in the midst of a line
      t.ok(number > last, row.text .. " after " .. last)
      missed, last = missed + number - last - 1, number
    end
  end
  t.equal(last, 1000100)
  if missed > 0 then t.contains(r.stderr, "files of the log were gone before they could be shown") else t.equal(r.stderr, "") end
  d.ok("rm", "det-q")
end)

t.test("-f of one that has ended, and of one with --rm", function()
  t.equal(ended("det-e", { shell = "echo over" }), 0)
  t.equal(logs("-f", "det-e"), { "over\n", "" })
  d.ok("rm", "det-e")
  local go = start_led("det-m", { shell = "echo begun; read x; echo done", options = { "--rm" } })
  local p = start_logs("-f", "det-m")
  p:await "begun"
  go()
  local r = p:wait()
  t.equal({ r.code, r.stdout, r.stderr }, { 0, "begun\ndone\n", "" })
  d.nothing_left()
end)

t.test("a stopped reader holds nobody up, one that goes is no error", function()
  local go = start_led("det-s", { shell = "echo begun; read x; /guest flood 5000000; echo >&2", body = "log = { size = '64K', files = 2 }" })
  local p = start_logs("-f", "det-s")
  p:await "begun"
  p:signal "stop"
  go()
  t.equal(d.luge("wait", "det-s").code, 0)
  p:signal "cont"
  t.equal(p:wait().code, 0)
  d.start("det-c", { shell = "while :; do echo y; done", body = "log = { size = '64K', files = 2 }" })
  local r = t.run { "/bin/sh", "-c", t.luge .. d.own " logs -f det-c | head -n 3", env = { LUGE_STATE = box.state } }
  t.equal({ r.code, r.stdout, r.stderr }, { 0, "y\ny\ny\n", "" })
  d.ok("rm", "-f", "det-c", "det-s")
  d.nothing_left()
end)

-- ---- ends ----

t.test("the log of a luge that was killed is there up to the last write", function()
  d.start("det-k", { shell = "echo one; echo two >&2; printf three; exec sleep 1000" })
  local p = start_logs("-f", "det-k")
  p:await "three"
  d.lose "det-k"
  local r = p:wait()
  t.equal({ r.code, r.stdout }, { 0, "one\nthree" })
  t.contains(r.stderr, "two\n")
  t.contains(r.stderr, "the log ends where the luge that wrote it was killed")
  r = logs "det-k"
  t.equal(r[1], "one\nthree")
  t.contains(r[2], "was killed")
  local file = t.must(S.open(box.state .. d.own "/det-k.log/1", "wronly, append, cloexec"))
  S.write(file, "1 1795787079450720344 10\nfour")
  file:close()
  r = logs "det-k"
  t.equal(r[1], "one\nthree")
  t.contains(r[2], "det-k.log/1: its last record is torn")
  d.reap()
  d.ok("rm", "det-k")
  d.nothing_left()
end)

t.test("killed in the midst of writing, it leaves whole lines up to the last", function()
  for round = 1, t.soak and 200 or 5 do
    d.start("det-w", { shell = "seq 1 100000000", body = "log = { size = '256K', files = 2 }" })
    d.until_true("some files", function() return #file_names "det-w" > 1 end)
    S.nanosleep(0.003 * round % 0.1)
    d.lose "det-w"
    local shown, last = logs("det-w"), nil
    t.contains(shown[2], "was killed")
    for number in shown[1]:match("\n(.*\n)"):gmatch "[^\n]*" do -- the first file may begin, the last end in the midst of a line
      if number ~= "" then
        t.ok(not last or tonumber(number) == last + 1, number .. " after " .. tostring(last))
        last = tonumber(number)
      end
    end
    t.ok(last)
    d.reap()
    d.ok("rm", "det-w")
  end
  d.nothing_left()
end)

t.test("what a start leaves that failed or was killed", function()
  t.equal(d.run("det-a", { words = { "nonexistent" } }).code, 127)
  d.nothing_left()
  local place = box.state .. d.own "/det-g.log"
  t.must(S.mkdir(place, "0700"))
  t.write(place .. "/1", d.own("luge-log 1 1 det-g %s\n"):format(box.state))
  t.equal(d.gc(), "det-g.log\n")
  d.nothing_left()
  t.must(S.mkdir(place, "0700"))
  t.write(place .. "/1", d.own "luge-log 1 1 det-g /somewhere/else\n")
  t.equal(d.gc(), "")
  t.equal(ended("det-g", { shell = "echo new" }), 0)
  t.equal(logs "det-g", { "new\n", "" })
  t.equal(d.gc(), "", "the log of a container that has ended stays")
  t.equal(logs "det-g", { "new\n", "" })
  d.start("det-g", { shell = "echo again; exec sleep 1000", options = { "--replace" } })
  d.until_true("its log", function() return logs("det-g")[1] == "again\n" end)
  d.ok("rm", "-f", "det-g")
  d.nothing_left()
end)

t.test("limits.output counts what is logged", function()
  t.equal(ended("det-u", { shell = "/guest flood 500000; exec sleep 1000", body = "limits = { output = '100K' }" }), 124)
  t.equal(#logs("det-u")[1], 100 << 10)
  t.equal(d.seen("det-u").reason, "output")
  d.ok("rm", "det-u")
end)

t.test("a file that may grow no further: what is dropped is counted, and the container goes on", function()
  local profile = t.profile(box.text("command = { '/guest', 'flood', '300000' }"))
  local r = t.run { "luge", "run", "-d", "--name", d.own "det-x", profile, env = { LUGE_STATE = box.state },
    before = function() S.setrlimit("fsize", 100000, S.getrlimit("fsize").hard) end }
  t.equal({ r.code, r.stderr }, { 0, "" })
  t.equal(d.luge("wait", "det-x").code, 0)
  local lost = d.json("inspect", "det-x").containers[1].log.lost_bytes
  t.ok(lost > 200000)
  r = logs "det-x"
  t.equal(#r[1] + lost, 300000)
  t.matches(r[2], "^luge: %d+ bytes of the output were lost")
  d.ok("rm", "det-x")
end)

t.test("a report's receipt with a log, with and without a limit of output", function()
  local path = t.dir "0755" .. "/report.json"
  for _, body in ipairs { "", "limits = { output = '1M' }" } do
    t.equal(ended("det-y", { shell = "echo x", body = body, options = { "--report", path } }), 0)
    local report = d.until_true("the report", function() return t.json.decode(t.read(path) or "") end)
    t.equal({ report.reason, report.exit_code }, { "exit", 0 })
    for _, row in ipairs(report.receipt) do t.ok(row.ok, row.field) end
    t.equal(logs("det-y"), { "x\n", "" })
    d.ok("rm", "det-y")
    S.unlink(path)
  end
end)

t.test("plan says where the output of a detached one goes", function()
  local function plan(body, ...)
    local words = { "luge", "plan", ... }
    words[#words + 1] = t.profile(box.text("command = { '/guest', 'print' },\n" .. body))
    return t.succeed(words).stdout
  end
  t.matches(plan("", "-d"), "dup3%(%$output%.stderr, 2%) +%-%- log\n")
  t.contains(plan("", "-d"), "-- log: detached, the command's stdout and stderr are pipes to luge, which writes them to a log")
  t.lacks(plan(""), "$output")
  t.lacks(plan("log = false", "-d"), "$output")
  t.matches(plan("limits = { output = 5 }", "-d"), "dup3%(%$output%.stderr, 2%) +%-%- limits%.output ")
end)

-- ---- none ----

t.test("log = false, and the foreground: no log, and no pipe", function()
  t.equal(ended("det-z", { shell = "[ $(readlink /proc/self/fd/1) = /dev/null ]; echo x", body = "log = false" }), 0)
  t.equal(S.dir(box.state), { d.own "det-z.json" })
  local r = d.luge("logs", "det-z")
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.contains(r.stderr, "container 'det-z' has no log: log = false")
  d.ok("rm", "det-z")
  local p = box.start { "sleep", "1000", options = { "--name", d.own "det-y" } }
  d.until_true("it", function() return d.seen "det-y" end)
  r = d.luge("logs", "det-y")
  t.equal(r.code, 125)
  t.contains(r.stderr, "it runs in the foreground")
  d.ok("stop", "det-y")
  p:wait()
  d.nothing_left()
end)

t.test("wrong use, and names that nobody has", function()
  local function refused(words, ...)
    local r = d.luge("logs", table.unpack(words))
    t.equal({ r.code, r.stdout }, { 125, "" }, table.concat(words, " "))
    for _, part in ipairs { ... } do t.contains(r.stderr, part) end
    t.lacks(r.stderr, "traceback")
  end
  t.equal(ended("det-web", { shell = "echo x" }), 0)
  refused({ "det-wen" }, "no container 'det-wen'", "did you mean det-web?")
  refused({}, "which container?")
  refused({ "det-web", "det-web" }, "one container at a time")
  refused({ "--since", "soon", "det-web" }, "a duration or a time expected", "10m")
  refused({ "--since", "2026-13-01", "det-web" }, "a duration or a time expected")
  refused({ "-n", "-1", "det-web" }, "a number of lines expected")
  refused({ "-n", "many", "det-web" }, "a number of lines expected")
  S.chmod(box.state .. d.own "/det-web.log", "0777")
  refused({ "det-web" }, "det-web.log", "it is not this user's alone")
  S.chmod(box.state .. d.own "/det-web.log", "0700")
  d.ok("rm", "det-web")
  d.nothing_left()
end)

t.test("a profile's log is checked", function()
  for text, message in pairs { ["log = { size = '10K' }"] = 'log.size: "10K" is out of bounds', ["log = { files = 0 }"] = "log.files: 0 is out of",
    ["log = 'syslog'"] = '"syslog" is not one of "journald"', ["log = { sice = 5 }"] = "did you mean 'size'?", ["log = true"] = "log:" } do
    local r = d.run("det-v", { "exit", "0", body = text })
    t.equal(r.code, 125)
    t.contains(r.stderr, message)
  end
  d.nothing_left()
end)

t.test("logs of others' making are refused before the start", function()
  local elsewhere = t.dir "0700"
  t.write(elsewhere .. "/1", "precious")
  t.must(S.symlink(elsewhere, box.state .. d.own "/det-h.log"))
  local r = d.run("det-h", { "exit", "0", body = "log = { files = 2 }" })
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.matches(r.stderr, "log: .-/det%-h%.log: ")
  t.contains(r.stderr, "log = false")
  t.equal(t.read(elsewhere .. "/1"), "precious")
  S.unlink(box.state .. d.own "/det-h.log")
  d.nothing_left()
end)

-- ---- where ----

t.test("an ordinary user's logs are in XDG_STATE_HOME; a directory that is unfit is an error before the start", function()
  t.needs_user()
  local runtime, home = t.dir "0700", t.dir "0700"
  local function luge(words, env)
    for i, word in ipairs(words) do words[i] = d.own(word) end
    words.env = { LUGE_STATE = false, XDG_RUNTIME_DIR = runtime, XDG_STATE_HOME = home .. "/state", HOME = home }
    for name, value in pairs(env or {}) do words.env[name] = value end
    return t.run(words)
  end
  local profile = t.profile(box.text("command = { '/guest', 'print', 'hello' },\nlog = { files = 1 }"))
  local function start(env) return luge({ "luge", "run", "-d", "--name", "det-w", profile }, env) end
  for _, case in ipairs { { nil, home .. "/state/luge" }, { { XDG_STATE_HOME = false }, home .. "/.local/state/luge" },
    { { XDG_STATE_HOME = "relative" }, home .. "/.local/state/luge" } } do
    local env, place = case[1], case[2]
    t.equal(start(env).code, 0)
    t.equal(luge({ "luge", "wait", "det-w" }, env).code, 0)
    t.equal(luge({ "luge", "logs", "det-w" }).stdout, "hello\n", "also without that variable")
    t.equal({ S.lstat(place).perm, S.lstat(place .. d.own "/det-w.log").perm, S.lstat(place .. d.own "/det-w.log/1").perm },
      { tonumber("700", 8), tonumber("700", 8), tonumber("600", 8) })
    t.equal(luge({ "luge", "rm", "det-w" }).code, 0)
    t.equal(S.dir(place), {})
  end
  local place = home .. "/state/luge"
  local function refused(word, env)
    local r = start(env)
    t.equal({ r.code, r.stdout }, { 125, "" })
    t.matches(r.stderr, "profile%.lua:%d+: log: the directory of logs ")
    t.contains(r.stderr, word)
    t.contains(r.stderr, "log = false")
    t.equal(S.dir(runtime .. "/luge"), {})
  end
  S.chmod(place, "0500")
  refused "Permission denied"
  refused(place .. "/deep: Permission denied", { XDG_STATE_HOME = place .. "/deep" })
  S.chmod(place, "0777")
  refused "can be written by others"
  S.rmdir(place)
  t.must(S.symlink(home, place))
  refused "is no directory"
  d.reap()
end)
