-- SPDX-License-Identifier: MIT
-- Memory: the peak of a whole run (the largest process, from wait4), and what rests while the command waits: luge
-- itself and the container's PID 1, beside another such luge: private pages from smaps_rollup. Usage: memory.lua LUGE DIRECTORY

local S = require "syscall"

local luge, dir = arg[1], arg[2]

local function field(path, name)
  local file = io.open(path)
  if not file then return nil end
  for line in file:lines() do
    local value = line:match("^" .. name .. ":%s*(%d+)")
    if value then
      file:close()
      return tonumber(value)
    end
  end
  file:close()
end

local function private(pid)
  local path = string.format("/proc/%d/smaps_rollup", pid)
  local clean, dirty = field(path, "Private_Clean"), field(path, "Private_Dirty")
  return clean and dirty and clean + dirty
end

local function children(pid)
  local list = {}
  local file = io.open(string.format("/proc/%d/task/%d/children", pid, pid))
  for number in (file and file:read "a" or ""):gmatch "%d+" do list[#list + 1] = tonumber(number) end
  if file then file:close() end
  return list
end

local function start(words, stdin, stdout)
  local pid = assert(S.fork())
  if pid == 0 then
    S.dup3(stdin, 0)
    S.dup3(stdout, 1)
    S.execve(luge, words, { "PATH=/usr/bin:/bin" })
    S.exit(127)
  end
  return pid
end

local function show(label, kib)
  print(string.format("%-42s %s", label, kib and string.format("%6d KiB", kib) or "     ?"))
end

local null = assert(S.open("/dev/null", "rdwr, cloexec"))
local _, status, usage = assert(S.wait4(start({ "luge", "run", dir .. "/full.lua" }, null, null)))
print()
if status.code == "exited" and status.status == 0 then
  show("peak resident set of a run", usage.maxrss // 1024)
end

-- Two, for what all luges share, pages of the program, is nobody's own; more of them do not change it.
local in_r, in_w = S.pipe "cloexec"
local resting = {}
for i = 1, 2 do
  local out_r, out_w = S.pipe "cloexec"
  resting[i] = { pid = start({ "luge", "run", dir .. "/rest.lua" }, in_r, out_w), out = out_r }
  out_w:close()
end
in_r:close()
if resting[1].out:read(64) == "running\n" and resting[2].out:read(64) == "running\n" then
  S.nanosleep(1) -- a luge that waits gives back what made its start quick (sandbox.container.loop)
  local pid = resting[1].pid
  local init = children(pid)[1]
  show("at rest: luge, private", private(pid))
  show("at rest: PID 1 of the container, private", init and private(init))
  show("at rest: PID 1 of the container, resident", init and field(string.format("/proc/%d/smaps_rollup", init), "Rss"))
end
in_w:close()
for _, one in ipairs(resting) do S.wait4(one.pid) end
