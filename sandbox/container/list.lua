-- SPDX-License-Identifier: MIT
-- sandbox.container.list: the containers that run now, told by the locks in the state directory.
--
-- A lock that is held belongs to a luge that lives; its file says which process that is, and which cgroups it made.

local S = require "syscall"
local layout = require "sandbox.plan.cgroup_layout"
local processes = require "sandbox.container.processes"

local M = {}

-- Shared, so that two listings do not see each other as holders.
local function is_held(fd)
  local ok, err = S.flock(fd, "sh, nb")
  if ok then S.flock(fd, "un") end
  return not ok and err.AGAIN
end

local function starts_with(path, mount) return path:sub(1, #mount + 1) == mount .. "/" end

-- controller → { version =, path = } for the directories that a lock notes.
local function cgroups_of(text, host)
  local dirs = {}
  for path in text:gmatch("cgroup %d+ %l+ (/[^\n]+)\n") do
    for name, hierarchy in pairs(host.v1) do
      if starts_with(path, hierarchy.mount) then dirs[name == "blkio" and "io" or name] = { version = 1, path = path } end
    end
    if host.v2 and starts_with(path, host.v2.mount) then
      dirs.base = { version = 2, path = path }
      for name in (S.readfile(path .. "/cgroup.controllers") or ""):gmatch("%S+") do dirs[name] = dirs.base end
    end
  end
  return dirs
end

-- Luge's own PID 1, which no figure counts; a command that is PID 1 itself does not have that name.
local function has_init(pid)
  return (S.readfile(("/proc/%d/comm"):format(pid)) or "") == "luge-init\n"
end

local function read(directory, file, host)
  local fd = S.open(("%s/%s"):format(directory, file), "rdonly, nofollow, nonblock, cloexec")
  if not fd then return nil end
  local st = S.fstat(fd)
  local text = st.type == "file" and is_held(fd) and S.pread(fd, 65536, 0)
  fd:close()
  local luge = text and tonumber(text:match("^(%d+)\n"))
  local pid = luge and processes.first_child(luge)
  if not pid then return nil end -- between two of its steps: not there yet, or no more
  return { name = file:match("^(.*)%.lock$"), luge = luge, pid = pid, since = st.mtime,
    cgroup = { dirs = cgroups_of(text, host), init = has_init(pid) } }
end

--- The containers of a state directory, by name: a list of { name =, luge = and pid = processes, since = seconds of the
-- epoch, cgroup = what sandbox.container.cgroup reads }.
function M.running(directory)
  local host, list = layout.gather(), {}
  for _, file in ipairs(S.dir(directory) or {}) do
    if file:find("^[%w_.-]+%.lock$") then list[#list + 1] = read(directory, file, host) end
  end
  return list
end

return M
