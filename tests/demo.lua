-- SPDX-License-Identifier: MIT
-- What `make demo` runs, from the top of a checkout: luge builds and checks its own source by examples/ci.lua,
-- then shows how that ended and what the kernel said about the container: the report's receipt.
-- Usage: luge lua tests/demo.lua [LUGE]

local S = require "syscall"
local json = require "luge.json"

local LUGE = arg[1] or "build/luge"
local PROFILE = "examples/ci.lua"

local function say(format, ...)
  io.stdout:write(format:format(...), "\n")
  io.stdout:flush()
end

local function die(format, ...)
  io.stderr:write("demo: ", format:format(...), "\n")
  os.exit(1)
end

-- A directory that only we can write to.
local function temporary()
  local path = ("%s/luge-demo-%d"):format(os.getenv "TMPDIR" or "/tmp", S.getpid())
  local ok, err = S.mkdir(path, "0700")
  if not ok then die("cannot make %s: %s", path, tostring(err)) end
  return path
end

local function environment()
  local list = {}
  for entry in (S.readfile "/proc/self/environ"):gmatch "[^\0]+" do list[#list + 1] = entry end
  return list
end

-- luge run, with our own standard streams; returns how it ended.
local function run(report)
  local pid = S.fork()
  if pid == 0 then
    local _, err = S.execve(LUGE, { "luge", "run", "--report", report, PROFILE }, environment())
    io.stderr:write("demo: ", LUGE, ": ", tostring(err), "\n")
    S.exit(127)
  end
  local ended = S.waitid("pid", pid)
  return ended.code == "exited" and ended.status or 128 + ended.status
end

-- What the container must leave alone: the checkout's names with their sizes, times and owners, two levels deep
-- and .git left out, where looking alone makes git write.
local function look(path, depth, lines)
  for _, name in ipairs(S.dir(path) or {}) do
    local st = S.lstat(path .. "/" .. name)
    if st and name ~= ".git" then
      lines[#lines + 1] = ("%s/%s %d %d %d:%d %s"):format(path, name, st.ino, st.size, st.uid, st.gid, st.mtime)
      if st.type == "directory" and depth > 1 then look(path .. "/" .. name, depth - 1, lines) end
    end
  end
  return lines
end

local function checkout()
  return table.concat(look(".", 2, {}), "\n")
end

-- ---- the report ----

-- Long values are told by their beginning, several lines in one.
local function short(value, width)
  local text = tostring(value):gsub("\n", "; ")
  return #text > width and text:sub(1, width - 1) .. "…" or text
end

local WIDTHS = { 24, 34, 44 }

-- Pads by characters: %-24s counts bytes.
local function pad(text, width)
  return text .. (" "):rep(width - (utf8.len(text) or #text))
end

local function line(mark, ...)
  local cells = { pad(mark, 4) }
  for i, value in ipairs { ... } do cells[#cells + 1] = pad(short(value, WIDTHS[i]), WIDTHS[i]) end
  say("%s", (table.concat(cells, " "):gsub(" +$", "")))
end

local function show(report)
  local figures = report.figures
  say("\n%s: reason %s, exit code %d", report.name, report.reason, report.exit_code)
  say("wall %.1f s, user %.1f s, system %.1f s\n", figures.wall_s or 0, figures.user_s or 0, figures.sys_s or 0)
  line("", "asked for", "as", "and the kernel says")
  local bad = 0
  for _, row in ipairs(report.receipt) do
    line(row.ok and "ok" or "BAD", row.field, row.asked, row.got)
    if not row.ok then bad = bad + 1 end
  end
  return bad
end

-- ---- the end ----

say("luge run %s, as uid %d:", PROFILE, S.geteuid())
local directory = temporary()
local path = directory .. "/report.json"
local before = checkout()
local code = run(path)
local text = S.readfile(path)
S.unlink(path)
S.rmdir(directory)
if not text then die("%s ended with %d and left no report", LUGE, code) end
local bad = show(assert(json.decode(text)))

if checkout() ~= before then die "the checkout was changed" end
if bad > 0 then die("%d of the protections do not hold", bad) end
if code ~= 0 then die("the container ended with %d", code) end
say "\nluge was built and checked in a container; the checkout is as it was."
