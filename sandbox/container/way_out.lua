-- SPDX-License-Identifier: MIT
-- sandbox.container.way_out: what whoever wants the container can do where one of its steps failed. A part of
-- sandbox.container.explain.

local S = require "syscall"
local closed = require "sandbox.container.closed"

local M = {}

-- What the file of a cgroup refuses.
local function refused(err)
  if err.BUSY then return "the cgroup is in use: another process is in it, or it holds more than the limit already" end
  if err.INVAL or err.RANGE then return "the kernel does not take this value, or a cgroup above has less" end
  if err.NOENT then return "this kernel lacks that file, or somebody removed the cgroup (luge doctor)" end
end

local LOST_RACE = "--replace had made it free, and another luge was faster: try again, or choose another --name"

local NOTHING_NEW = "nothing can be made there, in a file system of the kernel's: name what it has, or another place"

-- The way out, by the step's function and the error.
local hints = {
  clone3 = function(_, err)
    if err.PERM then return closed.way_out() end
    if err.NOSYS then return "a filter hides clone3, perhaps of the container that luge runs in: seccomp = false there" end
    if err.NOSPC or err.USERS then return "a limit of namespaces is reached: sysctl user.max_user_namespaces and its neighbours" end
    if err.AGAIN then return "the limit of processes is reached (ulimit -u, or the cgroup's pids.max)" end
  end,
  new_mount = function(step, err, run)
    local kind = step.args[1].type
    local joined = run.spec.namespaces.pid
    if err.PERM and kind == "proc" and type(joined) == "string" and joined ~= "host" then
      return "a new proc takes power over the user namespace that owns the pid namespace: id_map = \"host\", and luge run as root"
    elseif err.PERM and (kind == "proc" or kind == "sysfs") then
      return ("a new %s needs one that is not covered: parts of luge's own are masked, as in a nested container"):format(kind)
    elseif kind == "overlay" and err.LOOP then
      return "its directories overlap: none may be named twice, or lie in another"
    elseif kind == "overlay" and (err.INVAL or err.PERM or err.OPNOTSUPP) then
      return "an overlay inside a user namespace needs Linux 5.11, and its upper directory on tmpfs Linux 6.6 (luge doctor)"
    end
  end,
  mount_setattr = function(step, err)
    local how = step.args[4]
    if how and how.userns and (err.INVAL or err.PERM) then
      if step.why == "root" then return "this file system cannot be idmapped: copy the root to one that can (ext4, xfs, tmpfs)" end
      return "this file system cannot be idmapped: write id_map = false in the bind to see its owners as they are"
    end
  end,
  take_lock = function(step, err, run)
    if err.FBIG then return "luge itself may write no files so large: raise ulimit -f" end
    if err.MFILE then return end
    if not err.BUSY then return "luge writes it in its state directory: make room there, or choose another place (LUGE_STATE)" end
    if tostring(step.args[1]):find("/network.", 1, true) then
      return "another container's wire is in that network: take a network of its own, or a bridge { } for both"
    elseif tostring(step.args[1]):find "%.%-%.[%x:]+$" then
      return "another isolated port's mac has the same last four bytes, by which they are told apart: take another, or leave it out"
    elseif step.why:find "^network.*%.mac$" then
      return "another container on that bridge has that mac: take another, or leave it out"
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
    if step.why == "namespaces.time" and err.RANGE then
      return ("no clock may show less than 0, or more than 146 years; the machine has been up for %.0f s"):format(
        S.clock_gettime "boottime")
    end
    if step.why:match("^sysctl") and (err.INVAL or err.RANGE) then return "the kernel does not take this value" end
    if step.why:find "^sysctl.*kernel%.hostname" then return "the host name is written hostname = \"…\"" end
    if step.why:match("^sysctl") then return "only sysctls of the container's own namespaces can be set" end
  end,
  write = function(step, err)
    if step.why:match("^limits") then return refused(err) end
  end,
  open_tree = function(step, err)
    if err.ACCES then return "luge itself cannot reach it: a directory on the way is closed to this user" end
    if err.INVAL and not tostring(step.args[3]):find "recursive" then
      return "what is mounted below it must come along for an ordinary user: leave recursive = false out"
    end
    if err.INVAL then return "no file system of the host's has it: a pipe or a socket is passed as a descriptor (--pass-fd)" end
  end,
  open = function(step, err)
    if not step.why:find "^namespaces%." then return end
    if err.NOENT then return "write the path of a namespace, as /proc/PID/ns/ipc, or true, or \"host\"" end
    if err.ACCES or err.PERM then return "this takes the right to trace that process (ptrace(2)): be its user, or root" end
  end,
  mount = function(_, err)
    if err.NOTDIR then return "what has that path is no directory: mount elsewhere" end
  end,
  put_file = function(_, err)
    if err.NOENT or err.ACCES or err.PERM then return NOTHING_NEW end
  end,
  open_in_root = function(_, err)
    if err.LOOP then return "a symbolic link in the root file system leads to itself, or out of it" end
    if err.XDEV then return "a symbolic link in the root file system leads out of it" end
    if err.ROFS or err.ACCES then return "make the mount point in that tree, or mount elsewhere" end
    if err.NOTDIR then return "what lies above it there is no directory: mount elsewhere" end
    if err.NOENT then return "a symbolic link there leads to nothing; or " .. NOTHING_NEW end
    if err.PERM then return NOTHING_NEW end
  end,
  expect_bare_root = function(_, err)
    if err.BUSY then return "a mount lies over the root itself: one of its directories is a link to /" end
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
  lookup_user = function(_, err)
    if err.NOENT then return "write \"uid:gid\", or a name that the container's /etc/passwd has" end
  end,
  getenv = function() return "export it before luge is started" end,
  read_bounded = function(_, err)
    if err.NOENT then return "make it, or leave the secret out" end
    if err.ACCES then return "luge runs as a user who may not read it" end
  end,
  ensure_directory = function(_, err)
    if err.NOENT then return "the directory above it does not exist: make it" end
    if err.NOTDIR then return "there is a file of that name" end
    if err.ACCES or err.PERM then return "luge's user may not write there" end
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

--- Whether a link is made in the network of another container.
function M.is_elsewhere(into) return into and into ~= "$child" end

hints["nl.veth"] = function(step, err)
  if err.EXIST and M.is_elsewhere(step.args[1].into) then
    return "the other container has an interface of that name: peer.name chooses another"
  end
  return link_hint(step, err)
end
-- What an ordinary user's container does in the network of another one.
hints.within = function(step, err)
  if err.PERM then
    return "it is not one of this user's containers that share a network: outside of a group a wire is root's: put both into one "
      .. "group, or run luge as root"
  end
  local inner = { op = step.args[2], why = step.why, args = table.move(step.args, 3, #step.args, 1, {}) }
  return hints[inner.op] and hints[inner.op](inner, err)
end
hints["nl.macvlan"] = function(step, err)
  if err.NODEV then return ("the host has no device %s (ip link)"):format(step.args[1].link) end
  if err.BUSY then return "that device is a port of a bridge, or another driver's already" end
  return link_hint(step, err)
end
-- What a bridge of another's needs to be told of the networks that luge would have chosen: { "subnet6" }.
local function lacking_hint(lacks)
  local written, none = table.concat(lacks, " and "), {}
  for i, name in ipairs(lacks) do none[i] = name:gsub("subnet", "address") .. " = false" end
  return ("write its %s, or %s; or choose another name"):format(written, table.concat(none, " and "))
end

hints["nl.hold_bridge"] = function(step, err)
  local want = step.args[3] or {}
  if err.EXIST and (rawget(err, "text") or ""):find "no bridge" then
    return ("choose another name; macvlan { %q } has an interface on that link itself"):format(step.args[2])
  elseif err.EXIST then
    return want.lacks and lacking_hint(want.lacks) or "choose another name"
  end
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
  if err.EXIST and step.why:find "%.peer%." then
    return "the other container has a route there already: peer.routes = { { TO, VIA, metric = 100 } } puts one beside it"
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

--- Of a step that failed; nil where there is nothing to say.
function M.of_step(step, err, run)
  local hint = hints[step.op]
  return hint and hint(step, err, run)
end

--- Of a command that could not be executed.
function M.of_command(run, outcome)
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

return M
