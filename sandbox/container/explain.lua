-- SPDX-License-Identifier: MIT
-- sandbox.container.explain: why a container did not start, or was ended, in words: field, cause, way out.
--
-- Loaded only when there is something to say.

local S = require "syscall"
local closed = require "sandbox.container.closed"
local profile = require "sandbox.profile"

local M = {}

-- What the file of a cgroup refuses.
local function refused(err)
  if err.BUSY then return "the cgroup is in use: another process is in it, or it holds more than the limit already" end
  if err.INVAL or err.RANGE then return "the kernel does not take this value, or a cgroup above has less" end
  if err.NOENT then return "this kernel lacks that file, or somebody removed the cgroup (luge doctor)" end
end

local LOST_RACE = "--replace had made it free, and another luge was faster: try again, or choose another --name"

-- The way out, by the step's function and the error.
local hints = {
  clone3 = function(_, err)
    if err.PERM then return closed.way_out() end
    if err.NOSYS then return "a filter hides clone3, perhaps of the container that luge runs in: seccomp = false there" end
    if err.NOSPC or err.USERS then return "a limit of namespaces is reached: sysctl user.max_user_namespaces and its neighbours" end
    if err.AGAIN then return "the limit of processes is reached (ulimit -u, or the cgroup's pids.max)" end
  end,
  new_mount = function(step, err)
    local kind = step.args[1].type
    if err.PERM and (kind == "proc" or kind == "sysfs") then
      return ("a new %s needs one that is not covered: parts of luge's own are masked, as in a nested container"):format(kind)
    elseif kind == "overlay" and (err.INVAL or err.PERM or err.OPNOTSUPP) then
      return "an overlay inside a user namespace needs Linux 5.11, and its upper directory on tmpfs Linux 6.6 (luge doctor)"
    end
  end,
  mount_setattr = function(step, err)
    local how = step.args[4]
    if how and how.userns and (err.INVAL or err.PERM) then
      return "this file system cannot be idmapped: write id_map = false in the bind to see its owners as they are"
    end
  end,
  take_lock = function(step, err, run)
    if not err.BUSY then return end
    if tostring(step.args[1]):find("/network.", 1, true) then
      return "another container's wire is in that network: take a network of its own, or a bridge { } for both"
    elseif step.why:find "^network" then
      return "another container of this machine has that address: take another"
    end
    if run.replaces then return LOST_RACE end
    return "choose another --name, stop it (luge stop), or say --replace"
  end,
  ensure_free = function(_, err, run)
    if not err.EXIST then return end
    if run.replaces then return LOST_RACE end
    return "choose another --name, take it away (luge rm), or say --replace"
  end,
  open_log = function(_, err)
    if err.BUSY then return "a container of another state directory has this name: choose another --name" end
    local what = (err.NOSPC or err.DQUOT) and "make room there" or "luge must be able to write there"
    return what .. ", or choose another place (XDG_STATE_HOME, LUGE_STATE), or write log = false"
  end,
  make_cgroup = function(_, err)
    if err.BUSY then return "a container of another state directory (LUGE_STATE) may have this name: choose another --name" end
    if err.NOSPC or err.AGAIN then return "a limit of the cgroups above is reached: cgroup.max.descendants, cgroup.max.depth" end
    if err.ACCES or err.PERM then return "luge may not make a cgroup there (luge doctor)" end
  end,
  take_slot = function(step)
    if step.why:find "^network" then return "every address there is in use: end a container, or take a wider network" end
    return "every private range of ids is in use: end a container, or write id_map = \"self\""
  end,
  open_noted = function(_, err)
    if err.NOENT then return "start it first, with -d; luge ps lists those that run" end
    if err.SRCH then return "luge ps lists those that run; it must have been started with -d" end
  end,
  spawn = function() return "is the range in /etc/subuid and /etc/subgid, and are newuidmap and newgidmap set-uid?" end,
  writefile = function(step, err)
    if step.why == "id_map" and err.PERM and S.geteuid() == 0 then
      return "root without the capability setfcap, as inside a container, cannot map itself: run luge as another user there"
    end
    if step.why == "id_map" and err.PERM then
      return "the kernel refused the map: an ordinary user maps only himself without newuidmap"
    end
    if step.why:match("^limits") then return refused(err) end
    if step.why:match("^sysctl") then return "only sysctls of the container's own namespaces can be set" end
  end,
  write = function(step, err)
    if step.why:match("^limits") then return refused(err) end
  end,
  open_tree = function(_, err)
    if err.ACCES then return "luge itself cannot reach it: a directory on the way is closed to this user" end
  end,
  open_in_root = function(_, err)
    if err.LOOP or err.XDEV then return "a symbolic link in the root file system leads out of it" end
    if err.ROFS or err.ACCES then return "make the mount point in that tree, or mount elsewhere" end
  end,
  openat2 = function(step, err)
    if err.LOOP then
      return "a link there may be the container's, which can write the directory above it: write where it leads to"
    end
    if step.why == "terminal" and err.NOSPC then return "the kernel makes no more pseudo-terminals: sysctl kernel.pty.max" end
  end,
  setns = function(step, err)
    if step.why == "network.join" and err.INVAL then return "it is no network namespace" end
    if err.PERM then return "joining takes power over the user namespace that owns it: id_map = \"host\", and luge run as root" end
    if err.INVAL then return "it is no namespace of that kind" end
  end,
  sched_setaffinity = function(_, err)
    if err.INVAL then return "luge may run on these processors: " .. table.concat(S.sched_getaffinity(0) or {}, " ") end
  end,
  sched_setscheduler = function(_, err)
    if err.PERM then return "real-time policies are for root with CAP_SYS_NICE over the machine" end
  end,
  getenv = function() return "export it before luge is started" end,
  read_bounded = function(_, err)
    if err.NOENT then return "make it, or leave the secret out" end
    if err.ACCES then return "luge runs as a user who may not read it" end
  end,
  ensure_directory = function(_, err)
    if err.NOENT then return "the directory above it does not exist: make it" end
    if err.NOTDIR then return "there is a file of that name" end
  end,
  move_mount = function(_, err)
    if err.INVAL then return "a directory goes on a directory only, a file on a file" end
  end,
  setpriority = function(_, err)
    if err.ACCES or err.PERM then return "a niceness below luge's own needs CAP_SYS_NICE over the machine" end
  end,
  setrlimit = function(_, err)
    if err.PERM then return "above the hard limit that luge runs under (ulimit -H)" end
  end,
  setresuid = function(_, err)
    if err.INVAL then return "the container's id_map has no such id: choose a user within" end
  end,
  enter = function(_, err)
    if err.AGAIN then return "the container has as many processes as its limits allow" end
  end,
  chdir = function(_, err)
    if err.NOENT then return "the working directory does not exist in the container: mount or make it (dir { … })" end
    if err.ACCES then return "the container's user may not enter it" end
  end,
}

hints.clone_within = hints.clone3
hints.setresgid, hints.setgroups = hints.setresuid, hints.setresuid

-- What is made of links, on the host or in the container.
local function link_hint(step, err)
  if err.PERM then return "this takes CAP_NET_ADMIN over the network that luge is in" end
  if err.OPNOTSUPP then return ("this kernel has no %s (luge doctor)"):format(step.op:match "%.(.*)$") end
end

-- Whether a link is made in the network of another container.
local function is_elsewhere(into) return into and into ~= "$child" end

hints["nl.veth"] = function(step, err)
  if err.EXIST and is_elsewhere(step.args[1].into) then return "the other container has an interface of that name: peer.name chooses another" end
  return link_hint(step, err)
end
-- What an ordinary user's container does in the network of another one.
hints.within = function(step, err)
  if err.PERM then
    return "it is not one of this user's containers that share a network: outside of a group a wire is root's: put both into one "
      .. "group, or run luge as root"
  end
  return hints[step.args[2]] and hints[step.args[2]]({ op = step.args[2], args = table.move(step.args, 3, #step.args, 1, {}) }, err)
end
hints["nl.macvlan"] = function(step, err)
  if err.NODEV then return ("the host has no device %s (ip link)"):format(step.args[1].link) end
  if err.BUSY then return "that device is a port of a bridge, or another driver's already" end
  return link_hint(step, err)
end
hints["nl.hold_bridge"] = function(_, err)
  if err.EXIST then return "choose another name, or write address and address6 (false for none)" end
  return link_hint({ op = "nl.bridge" }, err)
end
hints["nl.helper"] = function(_, err)
  local text = rawget(err, "text") or ""
  if text:find("[Nn]o external routable interface") or text:find("No routable interface") then
    return "luge's own network has no default route: pasta goes where the host goes; slirp4netns does without"
  elseif text:find("bind") or text:find("in use") or text:find("publish") then
    return "is the port of the host free, and may this user take it (from 1024 on)?"
  elseif text:find("/dev/net/tun", 1, true) then
    return "/dev/net/tun must be open to the helper: chmod 0666 /dev/net/tun"
  end
end
hints["nl.address"] = function(step, err)
  if tostring(step.args[2]):find(":", 1, true) and (err.ACCES or err.OPNOTSUPP) then
    return "IPv6 is switched off here: address6 = false"
  end
  return link_hint({ op = "nl.address" }, err)
end
hints["nl.set"] = function(step, err)
  if step.args[2].addresses and (err.ACCES or err.OPNOTSUPP) then return "IPv6 is switched off here: address6 = false" end
  return link_hint({ op = "nl.link" }, err)
end
hints["nl.route"] = function(step, err)
  if err.EXIST and step.why:find "%.behind" then
    return "another container routes for that network, or the host has a route to it"
  end
  if err.NETUNREACH then return "no network of its own reaches that router" end
end

hints["nl.hold_port"] = function(_, err)
  if err.ADDRINUSE then return "somebody has that port of the host, or publishes it (ss -tulpn, luge inspect -a): take another" end
  if err.ADDRNOTAVAIL then return "the host has no such address (ip address)" end
  if err.ACCES then return "ports below net.ipv4.ip_unprivileged_port_start are root's" end
end
hints["nl.hold_sysctl"] = function(step, err)
  if err.NOENT then return "this kernel has no " .. step.args[2] end
  if err.PERM or err.ACCES or err.ROFS then
    return ("the host's settings may not be changed here: set %s to %s before"):format(step.args[2], step.args[3])
  end
end
hints["nl.hold_forwarding"] = function(step, err)
  if err.PERM or err.ACCES or err.ROFS then
    return ("the host's settings may not be changed here: set %s to 1 before"):format(
      step.args[2] == "inet" and "net/ipv4/ip_forward" or "net/ipv6/conf/all/forwarding")
  end
  return hints["nl.firewall"](step, err)
end
hints["nl.firewall"] = function(_, err)
  if err.MSGSIZE then return "more at once than the kernel takes here (net.core.wmem_max): fewer entries, or wider ones" end
  if err.PERM then return "this takes CAP_NET_ADMIN over the network that luge is in" end
  if err.OPNOTSUPP or err.NOENT or err.PROTONOSUPPORT then return "this kernel's nftables lack something (luge doctor)" end
end
hints["nl.ownfirewall"] = hints["nl.firewall"]
hints["nl.conntrack_count"] = function(_, err)
  if err.OPNOTSUPP then
    return "without it who sends datagrams to the port would be led on after the container's end (modprobe nf_conntrack_netlink): "
      .. "publish by tcp"
  end
end
hints["nl.delconntracks"] = function(_, err)
  if err.OPNOTSUPP then
    return "without it connections of a container before would go on (modprobe nf_conntrack_netlink, luge doctor)"
  end
end

local REASONS = {
  not_found = "not found in the container",
  not_executable = "cannot be executed",
  no_interpreter = "exists, but the interpreter or loader it asks for does not",
  outside_root = "lies outside the container's root",
}

local function reason_hint(run, outcome)
  if outcome.reason == "not_found" then
    if run.argv[1]:find "%s" then
      return "that is one word, blanks and all: write its words apart, or sh -c '" .. run.argv[1] .. "'"
    end
    if run.argv[1]:find("/", 1, true) then return "the path is one inside the container (luge plan shows its mounts)" end
    return "PATH in the container is " .. (run.spec.env.PATH or "unset")
  elseif outcome.reason == "not_executable" and outcome.err.ACCES then
    return "is it executable for this user, and on a mount without noexec?"
  elseif outcome.reason == "not_executable" and outcome.err.NOEXEC then
    return "a script needs a #! line, a binary this machine's architecture"
  end
end

-- An error of luge's own has all it says in its text.
local OWN_WORDS = { getenv = true, read_bounded = true, read_script = true, run_script = true, lookup_user = true,
  ["nl.helper"] = true }

local function error_text(err, op)
  if op == "ensure_free" and err.EXIST then return "a container that has ended has it still" end
  if OWN_WORDS[op] and rawget(err, "text") then return rawget(err, "text") end
  local text = rawget(err, "errno") and tostring(err) or rawget(err, "text")
  return text or "failed"
end

-- These name a path of the container relative to its root.
local IN_ROOT = { mkdirat = true, mknodat = true }

-- The address that the profile writes, for a lock's name need not show it.
local function lock_subject(run, step)
  local index, key = step.why:match "^network%.interfaces%[(%d+)%]%.(%w+)$"
  local interface = index and run.spec.network.interfaces[tonumber(index)]
  return interface and interface[key] or step.op
end

-- The container that a wire leads to, as the profile calls it.
local function other_subject(run, step)
  local index = step.why:match "^network%.interfaces%[(%d+)%]$"
  local interface = index and run.spec.network.interfaces[tonumber(index)]
  return interface and interface.to and ("the network of '%s'"):format(interface.to) or step.args[2]
end

-- What the step was about: its path or name, where it has one.
local function subject(run, step)
  if step.op == "exec" then return run.argv[1] end
  if step.op == "getenv" then return step.args[1] end
  if step.op == "nl.helper" then return step.args[1].backend end
  if step.op == "within" then return other_subject(run, step) end
  if step.op == "take_lock" and step.why:find "^network" then return lock_subject(run, step) end
  if step.op == "open_noted" then return "the container '" .. tostring(step.args[1]):match "([^/]+)%.lock$" .. "'" end
  if step.op == "nl.macvlan" or step.op == "nl.route" then
    local via = not step.why:find "%.behind" and step.args[1].via
    return step.args[1].link or via or step.args[1].to
  end
  if step.op == "nl.hold_port" then return ("%s %s port %d"):format(table.unpack(step.args)) end
  if step.op == "nl.hold_sysctl" then return step.args[2] end
  if step.op == "nl.hold_forwarding" then return "the host's forwarding" end
  if step.op == "nl.firewall" or step.op == "nl.ownfirewall" then return "the firewall" end
  if step.op == "nl.delconntracks" then return "connections of the same addresses" end
  if step.op == "nl.conntrack_count" then return "connections" end
  if step.op == "nl.hold_bridge" then return "the bridge " .. step.args[2] end
  if step.op == "nl.veth" or step.op == "nl.address" then
    local link = step.op == "nl.address" and step.args[2] or is_elsewhere(step.args[1].into) and step.args[1].name or "a veth"
    return tostring(link)
  end
  if step.op == "lookup_user" then return tostring(step.args[2].name or step.args[2].uid) end
  if step.op == "take_lock" or step.op == "ensure_free" then return "the name '" .. run.name .. "'" end
  if IN_ROOT[step.op] and type(step.args[2]) == "string" and step.args[2] ~= "" then return "/" .. step.args[2] end
  for _, arg in ipairs(step.args) do
    if type(arg) == "string" and arg:match("^/[^$]*$") and not arg:match("^/proc/") then return arg end
    if type(arg) == "table" and arg.literal and arg.literal:match("^/") and #arg.literal < 200 then return arg.literal end
    if type(arg) == "table" and arg.target and not arg.target:find("$", 1, true) then return arg.target end
  end
  return step.op
end

local function place(run, why)
  local origin = profile.origin(run.spec, why)
  return origin == "default" and why or origin .. ": " .. why
end

local function files_hint(err)
  return rawget(err, "errno") and err.MFILE and "      = luge itself may open too few files: raise ulimit -n" or nil
end

local function setup_lines(run, outcome)
  local step = outcome.step
  if not step then return { "luge: the start failed: " .. error_text(outcome.err), files_hint(outcome.err) } end
  -- A script says itself which one it is, and at which line.
  if step.op == "run_script" and rawget(outcome.err, "text") then
    return { ("luge: %s: %s"):format(place(run, step.why), rawget(outcome.err, "text")) }
  end
  local what = REASONS[outcome.reason]
  local message = what or error_text(outcome.err, step.op)
  if outcome.reason == "not_executable" then message = what .. ": " .. error_text(outcome.err) end
  local lines = { ("luge: %s: %s: %s"):format(place(run, step.why), subject(run, step), message) }
  local hint = what and reason_hint(run, outcome)
  if not hint and rawget(outcome.err, "errno") and hints[step.op] then hint = hints[step.op](step, outcome.err, run) end
  lines[2] = hint and "      = " .. hint or files_hint(outcome.err)
  return lines
end

local function duration(seconds)
  if seconds % 60 == 0 and seconds >= 60 then return ("%dm"):format(seconds // 60) end
  return ("%gs"):format(seconds)
end

local endings = {}

function endings.wall(run)
  return { ("luge: %s: time was up after %s; the container was stopped"):format(place(run, "limits.wall"),
    duration(run.spec.limits.wall)) }
end

function endings.memory(run)
  local limit = run.spec.limits.memory
  return { ("luge: %s: the kernel ended the command, which needed more memory than %s"):format(
    place(run, "limits.memory"), limit and limit .. " bytes" or "there was"),
    limit and "      = files in tmpfs count too; write a larger limits.memory, or limits.swap" or nil }
end

function endings.cpu_time(run)
  return { ("luge: %s: %s of CPU time were used up; the container was stopped"):format(place(run, "limits.cpu_time"),
    duration(run.spec.limits.cpu_time)) }
end

function endings.disk(run)
  return { ("luge: %s: all %d bytes were in use when the command failed"):format(place(run, "limits.disk"),
    run.spec.limits.disk) }
end

function endings.output(run)
  return { ("luge: %s: it wrote more than %d bytes; the container was stopped"):format(place(run, "limits.output"),
    run.spec.limits.output) }
end

function endings.unhealthy(run)
  local found = run.last_health
  return { ("luge: %s: it was unhealthy, and was stopped%s"):format(place(run, "health"),
    found and found.output and found.output ~= "" and ": " .. found.output or "") }
end

function endings.seccomp(run)
  return { ("luge: %s: SIGSYS ended the command: the kernel's for a system call of a foreign ABI, or somebody's"):format(
      place(run, "seccomp")),
    "      = 32-bit programs and x32 do not run under a filter; luge plan --seccomp shows what is allowed" }
end

--- What somebody's stop ended: { step = of the hook, or none, err = as of monitor.stopped_error }, in words.
function M.cut_words(run, cut)
  if not cut.step then return cut.err.text .. " before its command ran" end
  local hook = cut.step.why:match("[^.]*$")
  return ("%s while its %s hook ran (%s)"):format(cut.err.text, hook, profile.origin(run.spec, cut.step.why))
end

--- How a container ended, where that needs words: also outcome.message.
function M.message(run, outcome)
  local lines
  if outcome.cut then
    lines = { "luge: " .. M.cut_words(run, outcome.cut) }
  elseif outcome.failed then
    lines = setup_lines(run, outcome)
  elseif endings[outcome.reason_name] then
    lines = endings[outcome.reason_name](run)
  end
  outcome.message = lines and table.concat(lines, "\n") or nil
  return outcome.message
end

--- Says it on stderr; write: what writes there, or nil.
function M.show(run, outcome, write)
  local message = M.message(run, outcome)
  write = write or function(text) io.stderr:write(text) end
  if message then write(require("sandbox.cli").printable(message) .. "\n") end
end

return M
