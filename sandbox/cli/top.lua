-- SPDX-License-Identifier: MIT
-- sandbox.cli.top: `luge top`: the processes of a container, as the host's /proc and the container have them.
--
-- They are those below its luge, and whoever joined its cgroups (luge exec); luge's own PID 1 is none of them.

local S = require "syscall"
local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"
local json = require "luge.json"
local list = require "sandbox.container.list"
local processes = require "sandbox.container.processes"

local M = {}

-- Words of a command line may hold anything, a tab or a newline too, and be two million NUL bytes: a search for those at its
-- end that began anew at each of them would not end.
local function words_of(pid, status)
  local text = (S.readfile(("/proc/%d/cmdline"):format(pid)) or ""):match("^(.*%Z)%z*$")
  if not text then return "[" .. (status:match("Name:\t([^\n]*)") or "?") .. "]" end
  return (text:gsub("[%z\n\t]", " "))
end

local function row_of(pid, seen)
  local base = "/proc/" .. pid
  local status = S.readfile(base .. "/status")
  local uid = status and tonumber(status:match("\nUid:\t(%d+)"))
  if not uid then return nil end
  return { pid = pid, inside = tonumber(status:match("\nNSpid:[^\n]*%s(%d+)\n")), threads = seen.threads,
    user = processes.id_inside(S.readfile(base .. "/uid_map") or "", uid) or uid, state = status:match("\nState:\t(%S)"),
    cpu_s = seen.own * processes.TICK, resident_bytes = seen.resident, command = words_of(pid, status) }
end

local function members(container, host)
  local found = processes.below(container.luge)
  local cgroup = list.cgroup(container, host)
  for _, dir in pairs(cgroup.dirs) do
    for pid in (S.readfile(dir.path .. "/cgroup.procs") or ""):gmatch("%d+") do
      pid = tonumber(pid)
      if pid ~= 0 and not found[pid] then found[pid] = processes.read(pid) end
    end
  end
  if cgroup.init then found[container.pid] = nil end
  return found
end

local function rows_of(container, host)
  local rows = {}
  for pid, seen in pairs(members(container, host)) do rows[#rows + 1] = row_of(pid, seen) end
  table.sort(rows, function(a, b) return a.pid < b.pid end)
  return rows
end

local function size(bytes)
  local kib = bytes // 1024
  return kib < 10000 and kib .. "K" or kib // 1024 .. "M"
end

local COLUMNS = {
  { "PID", function(r) return r.pid end },
  { "INSIDE", function(r) return r.inside or "-" end },
  { "USER", function(r) return r.user end },
  { "S", function(r) return r.state end },
  { "CPU s", function(r) return ("%.2f"):format(r.cpu_s) end },
  { "MEMORY", function(r) return size(r.resident_bytes) end },
  { "COMMAND", function(r) return cli.printable(r.command) end, left = true },
}

function M.run(options, names)
  local directory, found = containers.find(options, names, containers.LIVE, "only one that runs has processes")
  if not directory then return found end
  local host, documents = require("sandbox.plan.cgroup_layout").gather(), {}
  for i, container in ipairs(found) do
    local rows = rows_of(container, host)
    documents[i] = { name = container.name, processes = json.array(rows) }
    if not options.json then
      if #found > 1 then io.write(i > 1 and "\n" or "", container.name, "\n") end
      io.write(require("sandbox.cli.columns").text(COLUMNS, rows))
    end
  end
  if options.json then print(json.encode({ schema = 1, containers = json.array(documents) }, { pretty = true })) end
  return 0
end

return M
