-- SPDX-License-Identifier: MIT
-- sandbox.container.receipt: what the kernel says holds, read between the seal and the execution of the command.
--
-- Each row is one requested protection: { field, asked, got, ok }. Nothing here comes from the plan but `asked`.

local S = require "syscall"

local M = {}

local function status_of(pid)
  local fields = {}
  for name, value in (S.readfile(("/proc/%d/status"):format(pid)) or ""):gmatch("([%w_]+):%s*([^\n]*)\n") do
    fields[name] = value
  end
  return fields
end

local function row(rows, field, asked, got, ok)
  rows[#rows + 1] = { field = field, asked = asked, got = got, ok = ok and true or false }
end

local FIELD = { mnt = "mount" }

local function namespaces(rows, spec, pid)
  for _, kind in ipairs(require("sandbox.plan.exec").KINDS) do
    local field = FIELD[kind] or kind
    local asked = spec.namespaces[field]
    if field == "net" and spec.network.type == "host" then asked = "host" end
    if field == "user" and spec.id_map.type == "host" then asked = "host" end
    if field == "time" and type(asked) == "table" then asked = true end
    if asked == true or asked == "host" then
      local own, its = S.readlink("/proc/self/ns/" .. kind), S.readlink(("/proc/%d/ns/%s"):format(pid, kind))
      row(rows, "namespaces." .. field, asked == true and "new" or "host", its or "unreadable",
        its and (its ~= own) == (asked == true))
    end
  end
end

local function capabilities(rows, spec, status)
  for _, pair in ipairs { { "bounding", "CapBnd" }, { "permitted", "CapPrm" }, { "effective", "CapEff" },
    { "inheritable", "CapInh" }, { "ambient", "CapAmb" } } do
    local got = tonumber(status[pair[2]] or "", 16)
    local asked = S.cap_mask(spec.capabilities[pair[1]])
    row(rows, "capabilities." .. pair[1], ("%016x"):format(asked), got and ("%016x"):format(got) or "unreadable",
      got == asked)
  end
end

-- As the plan writes a map: one blank between the numbers of a line.
local function normal_map(text)
  local lines = {}
  for inside, outside, count in text:gmatch("(%d+)%s+(%d+)%s+(%d+)") do
    lines[#lines + 1] = ("%s %s %s"):format(inside, outside, count)
  end
  return table.concat(lines, "\n")
end

local function id_map(rows, plan, symbols, pid)
  if not plan.ids.userns then return end
  local Steps = require "sandbox.plan.steps"
  local asked = {}
  for i, e in ipairs(plan.ids.uids) do
    asked[i] = ("%d %s %d"):format(e[1], tostring(Steps.resolve(e[2], symbols)), e[3])
  end
  local got = normal_map(S.readfile(("/proc/%d/uid_map"):format(pid)) or "")
  local text = table.concat(asked, "\n")
  row(rows, "id_map", text, got, got == text)
end

-- The mount that is on top at `target` in the container: its options as a set, and its type.
local function mounts_of(pid)
  local found, unescape = {}, require("sandbox.plan.cgroup_layout").unescape
  for line in (S.readfile(("/proc/%d/mountinfo"):format(pid)) or ""):gmatch("[^\n]+") do
    local target, options, rest = line:match("^%d+ %d+ %S+ %S+ (%S+) (%S+) (.*)$")
    if target then found[unescape(target)] = { options = options, type = rest:match("%- (%S+)") } end
  end
  return found
end

local function has_option(options, name)
  return ("," .. options .. ","):find("," .. name .. ",", 1, true) ~= nil
end

local function mount_row(rows, field, at, kind, asked)
  local ok = at ~= nil and (not kind or at.type == kind)
  for option in asked:gmatch("[^,]+") do ok = ok and has_option(at.options, option) end
  row(rows, field, kind and kind .. " " .. asked or asked, at and at.type .. " " .. at.options or "absent", ok)
end

-- What every container has unless its profile says otherwise.
local STANDARD = { ["/proc"] = { "proc", "nosuid,nodev,noexec" }, ["/sys"] = { "sysfs", "ro,nosuid,nodev,noexec" },
  ["/dev"] = { "tmpfs", "nosuid,noexec" } }

-- Of the names below `target` those that are there and that the profile left as they are.
local function names_below(target, names, replaced)
  local list = {}
  for _, name in ipairs(names) do
    if not replaced[target .. "/" .. name] and S.stat(target .. "/" .. name) then list[#list + 1] = name end
  end
  return list
end

-- What would show or change the host has an empty file or directory over it.
local function hidden(rows, target, names, found)
  local covered = {}
  for _, name in ipairs(names) do
    local at = found[target .. "/" .. name]
    if at and (at.type == "tmpfs" or at.type == "devtmpfs") and has_option(at.options, "ro") then covered[#covered + 1] = name end
  end
  row(rows, "mounts." .. target .. ": hidden", table.concat(names, " "), table.concat(covered, " "), #covered == #names)
end

local function standard_mounts(rows, spec, found)
  local special = require "sandbox.plan.special"
  local replaced = {}
  for target in pairs(spec.removed_mounts or {}) do replaced[target] = true end
  for _, mount in ipairs(spec.mounts) do replaced[mount.target] = true end
  for target, how in pairs(STANDARD) do
    if not replaced[target] then
      mount_row(rows, "mounts." .. target, found[target], how[1], how[2])
      for _, name in ipairs(names_below(target, special.readonly[target] or {}, replaced)) do
        mount_row(rows, ("mounts.%s/%s"):format(target, name), found[target .. "/" .. name], nil, "ro")
      end
      local names = names_below(target, special.hidden[target] or {}, replaced)
      if #names > 0 then hidden(rows, target, names, found) end
    end
  end
end

-- Mount options that take something away.
local FORBIDS = { ro = true, nosuid = true, nodev = true, noexec = true }

-- Of what came along below a bind's own mount, the first one that may more than was asked.
local function freer(found, planned, target, asked)
  for path, at in pairs(found) do
    local above = path
    repeat above = above:match "^(.*)/" until above == "" or above == target or planned[above]
    for option in asked:gmatch "[^,]+" do
      if above == target and not planned[path] and FORBIDS[option] and not has_option(at.options, option) then
        return ("%s %s"):format(path, at.options)
      end
    end
  end
end

local function bind_row(rows, i, mount, found, planned)
  local at = found[mount.target]
  local asked = ((mount.rw or mount.overlay or mount.upper) and "rw" or "ro") .. (mount.suid and "" or ",nosuid")
    .. (mount.dev and "" or ",nodev") .. (mount.exec == false and ",noexec" or "")
  local ok, got = at ~= nil, at and at.options or "absent"
  for option in asked:gmatch "[^,]+" do ok = ok and has_option(got, option) end
  local below = ok and freer(found, planned, mount.target, asked)
  if below then ok, got = false, got .. "; " .. below end
  if mount.optional and not at then ok, asked = true, asked .. " (optional)" end
  row(rows, ("mounts[%d]"):format(i), mount.target .. " " .. asked, got, ok)
end

local function mounts(rows, spec, planned, pid)
  local found = mounts_of(pid)
  local root = found["/"]
  if not spec.root.rw and not spec.root.overlay and not spec.root.upper then
    row(rows, "root", "ro", root and root.options or "missing", root and has_option(root.options, "ro"))
  end
  for i, mount in ipairs(spec.mounts) do
    if mount.type == "bind" or mount.type == "layers" then
      bind_row(rows, i, mount, found, planned)
    elseif mount.type == "tmpfs" then
      local flags = {}
      for flag in mount.flags:gmatch "[%w_]+" do flags[#flags + 1] = FORBIDS[flag] and flag or nil end
      mount_row(rows, ("mounts[%d]"):format(i), found[mount.target], "tmpfs", table.concat(flags, ","))
    elseif mount.type == "mask" then
      mount_row(rows, ("mounts[%d]"):format(i), found[mount.target], nil, "ro")
    end
  end
  standard_mounts(rows, spec, found)
end

-- The links of a network namespace, as the process itself sees them.
local function links_of(pid)
  local links = {}
  for link in (S.readfile(("/proc/%d/net/dev"):format(pid)) or ""):gmatch("\n%s*([^%s:]+):") do links[#links + 1] = link end
  return table.concat(links, " ")
end

-- What its interfaces were to have, and whether the kernel lists each of it as the namespace's own.
local function interfaces(rows, run, symbols, pid)
  local local4 = S.readfile(("/proc/%d/net/fib_trie"):format(pid)) or ""
  local local6 = S.readfile(("/proc/%d/net/if_inet6"):format(pid)) or ""
  for i, interface in ipairs(require "sandbox.plan.steps".resolve(run.network, symbols)) do
    local asked, got = { interface.name }, { interface.name }
    for _, key in ipairs { "address", "address6" } do
      local cidr = interface[key]
      local text = cidr and cidr:match "^[^/]+"
      asked[#asked + 1] = cidr
      if key == "address" and cidr and local4:find(("|-- %s\n%%s+/32 host LOCAL"):format(text:gsub("%.", "%%."))) then
        got[#got + 1] = cidr
      elseif key == "address6" and cidr then
        local hex = S.inet_pton("inet6", text):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
        if local6:find(hex .. "[^\n]* " .. interface.name:gsub("%p", "%%%0") .. "\n") then got[#got + 1] = cidr end
      end
    end
    row(rows, ("network.interfaces[%d]"):format(i), table.concat(asked, " "), table.concat(got, " "), #asked == #got)
  end
end

-- What the namespace has: lo and the profile's interfaces, nothing else.
local function network(rows, run, symbols, pid)
  local spec = run.spec
  if spec.network.type == "host" then return end
  local got = links_of(pid)
  if spec.network.join or spec.network.pod then
    local of, its = symbols["net.joined"] or symbols["net.pod"], S.stat(("/proc/%d/ns/net"):format(pid))
    return row(rows, "network", "joined", got, of and its and S.fstat(of).ino == its.ino)
  end
  local asked, wanted, found = { "lo" }, { lo = true }, 0
  for i, interface in ipairs(run.network or {}) do asked[i + 1], wanted[interface.name] = interface.name, true end
  for link in got:gmatch "%S+" do found = wanted[link] and found + 1 or found - 1 end
  row(rows, "network", table.concat(asked, " "), got, found == #asked)
  if run.network then interfaces(rows, run, symbols, pid) end
end

local LIMITS = { open_files = "Max open files", file_size = "Max file size", core = "Max core file size",
  stack = "Max stack size", address_space = "Max address space", locked_memory = "Max locked memory",
  processes = "Max processes" }

-- Where no cgroup counts processes, the limit that stands in for it.
local function processes_instead(rows, run, text)
  local value, why = run.cgroup.pids_instead, "by default"
  if not value then return end
  for _, check in ipairs(run.cgroup.checks) do
    if check.field == "limits.pids" then why = check.got end
  end
  local got = text:match(LIMITS.processes .. "%s+(%S+)")
  row(rows, "limits.pids", ("%s: RLIMIT_NPROC %d (%s)"):format(tostring(run.spec.limits.pids), value, why), got or "unreadable",
    got == tostring(value))
end

local function limits(rows, run, pid)
  local spec, text = run.spec, S.readfile(("/proc/%d/limits"):format(pid)) or ""
  processes_instead(rows, run, text)
  for field, title in pairs(LIMITS) do
    local asked = spec.limits[field]
    if asked then -- false: what luge runs under stays in force
      local got = text:match(title .. "%s+(%S+)")
      local with_init = field == "processes" and spec.init and 1 or 0
      local want = tostring(math.tointeger(asked) and math.tointeger(asked) + with_init or asked)
      row(rows, "limits." .. field, want, got or "unreadable", got == want)
    end
  end
  if spec.limits.nice then
    local got = S.getpriority("process", pid)
    row(rows, "limits.nice", tostring(spec.limits.nice), tostring(got), got == spec.limits.nice)
  end
  local scheduler = spec.limits.scheduler
  if scheduler then
    local asked, got = type(scheduler) == "table" and scheduler.policy or scheduler, S.sched_getscheduler(pid)
    row(rows, "limits.scheduler", asked, got or "unreadable", got == asked)
  end
  if spec.limits.oom_score then
    local asked, got = tostring(spec.limits.oom_score), (S.readfile(("/proc/%d/oom_score_adj"):format(pid)) or ""):match("%S+")
    row(rows, "limits.oom_score", asked, got or "unreadable", got == asked)
  end
  if spec.limits.affinity then
    local asked, got = table.concat(spec.limits.affinity, ","), table.concat(S.sched_getaffinity(pid) or {}, ",")
    row(rows, "limits.affinity", asked, got, got == asked)
  end
end

-- The kernel rounds sizes down to pages.
local PAGE = 4096

-- A file holds what was written when it reads so, or, of those with a line for each device, one of its lines does.
local function holds(asked, got)
  local a, g = math.tointeger(tonumber(asked)), math.tointeger(tonumber(got))
  if a and g then return a == g or a // PAGE * PAGE == g end
  if got == asked .. "\n" then return true end
  for line in got:gmatch("[^\n]+") do
    local ok = true
    for word in asked:gmatch("%S+") do ok = ok and (" " .. line .. " "):find(" " .. word .. " ", 1, true) ~= nil end
    if ok then return true end
  end
  return false
end

local function one_line(text) return (text:gsub("\n+$", ""):gsub("\n", "; ")) end

local function cgroups(rows, run, symbols)
  local Steps = require "sandbox.plan.steps"
  for _, check in ipairs(run.cgroup.checks) do
    if check.field == "limits.pids" and run.cgroup.pids_instead then goto continue end
    local got = check.path and S.readfile(Steps.resolve(check.path, symbols))
    if check.program then
      local programs = S.bpf_prog_query(Steps.resolve(check.program, symbols), "cgroup_device")
      got = programs and ("%d program"):format(#programs)
    end
    local file = check.path and check.path:match("[^/]*$") .. " " or ""
    row(rows, check.field, file .. one_line(check.asked) .. (check.optional and " (by default)" or ""),
      got and one_line(got) or check.got or "absent", got and holds(check.asked, got) or not got and check.optional)
    ::continue::
  end
end

-- The command's standard output to be, as a descriptor of ours: without an own root the directory /proc/PID/fd is closed to
-- an ordinary user.
local function output_of(pid)
  local pidfd = S.pidfd_open(pid)
  return pidfd and S.pidfd_getfd(pidfd, 1)
end

-- What luge itself enforces.
local function enforced(rows, run, process, pid)
  local cpu_time = run.spec.limits.cpu_time
  if cpu_time then
    local got = tonumber((S.readfile(("/proc/%d/limits"):format(pid)) or ""):match("Max cpu time%s+(%d+)"))
    row(rows, "limits.cpu_time", ("%gs"):format(cpu_time), got and got .. "s for each process" or "unlimited",
      got and got <= math.ceil(cpu_time) + 1)
  end
  local disk = run.spec.limits.disk
  if disk then
    local room = process.disk and S.fstatfs(process.disk)
    local got = room and room.blocks * room.bsize
    row(rows, "limits.disk", tostring(disk), got and tostring(got) or "unreadable", got and got == disk - disk % room.bsize)
  end
  if run.spec.limits.output then
    local out = output_of(pid)
    local got = out and S.readlink("/proc/self/fd/" .. out:getfd())
    row(rows, "limits.output", run.spec.limits.output .. " bytes through " .. run.output:shown(), got or "unreadable",
      got == run.output:shown())
  end
end

local TTY_NR = 7 -- of proc(5): the device number of the controlling terminal, 0 without

-- Standard output is the terminal that luge has the master of, and it controls the session. The number says only which
-- of its devpts it is: the device of that file system tells it from all others.
local function terminal(rows, spec, run, process, pid)
  local number = (require("sandbox.container.processes").fields(pid) or {})[TTY_NR]
  local own = process.terminal and S.fstat(process.terminal[2])
  if own then
    local fd = output_of(pid)
    local out = fd and S.fstat(fd)
    local is_own = out ~= nil and out.dev == own.dev and out.ino == own.ino
    local controls = number == own.rdev.major << 8 | own.rdev.minor
    row(rows, "terminal", "its own, controlling", ("%s, %s"):format(is_own and run.output:shown() or "another",
      controls and "controlling" or "not controlling"), is_own and controls)
  else
    row(rows, "terminal", spec.terminal == true and "its own" or "none controlling", number == 0 and "none" or
      tostring(number), number == 0 and spec.terminal ~= true)
  end
end

--- Reads the receipt of the sealed process.
function M.read(run, plan, process, symbols)
  local spec, rows = run.spec, {}
  local pid = process.pid
  -- With init the sealed process is the only child of luge's PID 1.
  if spec.init then pid = require("sandbox.container.processes").first_child(pid) end
  if not pid then
    row(rows, "receipt", "readable", "the sealed process was not found", false)
    return rows
  end
  local status = status_of(pid)
  namespaces(rows, spec, pid)
  id_map(rows, plan, symbols, pid)
  require "sandbox.container.receipt_inside".read(function(...) row(rows, ...) end, plan, symbols, pid)
  if spec.no_new_privs then row(rows, "no_new_privs", "1", status.NoNewPrivs, status.NoNewPrivs == "1") end
  if spec.seccomp then
    row(rows, "seccomp", "2 filters", ("mode %s, %s filters"):format(status.Seccomp, status.Seccomp_filters or "?"),
      status.Seccomp == "2" and (status.Seccomp_filters == nil or tonumber(status.Seccomp_filters) >= 2))
  end
  capabilities(rows, spec, status)
  mounts(rows, spec, plan.targets, pid)
  network(rows, run, symbols, pid)
  require "sandbox.container.receipt_network".read(function(...) row(rows, ...) end, run, symbols)
  limits(rows, run, pid)
  cgroups(rows, run, symbols)
  enforced(rows, run, process, pid)
  terminal(rows, spec, run, process, pid)
  for _, r in ipairs(rows) do
    if not r.ok and spec.optional[r.field] then r.ok, r.asked = true, r.asked .. " (optional)" end
  end
  table.sort(rows, function(a, b) return a.field < b.field end)
  return rows
end

return M
