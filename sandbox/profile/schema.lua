-- SPDX-License-Identifier: MIT
-- sandbox.profile.schema: every field of a profile, declared once. Validation, merging, defaults, error
-- texts, `luge help FIELD`, luge-profile(5), completion and the editor's stubs are made from this table.
--
-- A record is a list of fields { NAME, TYPE, … }; TYPE is the name of a function of sandbox.profile.values or
-- a node (record, list, map, typed, choice, either, env). A field may say:
--   doc, example     one sentence; a value as it is written in a profile
--   default, shown   the value when nobody writes the field, as luge holds it; as it is written
--   off              `false` is a value of its own: without it (other than for booleans) false is a fault
--   min, max, unit   bounds of a number; what it counts
--   required         a typed table without it is a fault
--   protection       optional(…) may wrap it: its absence on a host is accepted, and shown
--   enforced         false: declared, but an error when written; a function: which values are enforced
--   because          why a field is not enforced, and the way out

local M = {}

local function node(kind)
  return function(t) t.kind = kind return t end
end
local record, choice, either, typed = node "record", node "choice", node "either", node "typed"
local function list(of, merge) return { kind = "list", of = of, merge = merge } end
local function map(of, key) return { kind = "map", of = of, key = key } end

local LATER = "leave it out"

-- What comes from constructors ---------------------------------------------------------------------------

local target = { "target", "path", required = true, example = '"/data"',
  doc = "Where it appears in the container; made in the container's view when it does not exist." }
local function at(default)
  return { "target", "path", default = default, example = '"' .. default .. '"',
    doc = "Where it appears in the container." }
end
local overlay = { "overlay", choice { "discard", other = "hostpath" }, example = '"discard"',
  doc = 'Writable over it: "discard" keeps the writes in memory and forgets them, a directory keeps them.' }
local function overlay_size(of)
  return { "size", "size", unit = "bytes", min = 1, example = '"256M"',
    doc = "The most that " .. of .. " may hold in memory." }
end
local function mode(default, shown)
  return { "mode", "mode", default = default, shown = shown, example = shown, doc = "Its permissions." }
end
local function upper_needed(key)
  return function(v) if v.size and v[key] ~= "discard" then return "size", "needs " .. key .. ' = "discard"' end end
end

M.kinds = {
  bind = record { positional = { "source", "target" }, example = 'bind { host.cwd, "/src", rw = true }',
    doc = "A directory or file of the host: read-only, nosuid and nodev unless said otherwise.",
    { "source", "hostpath", required = true, example = '"../data"',
      doc = "The host's path; a relative one starts beside the file that wrote it." },
    { "target", "path", default = "same", shown = "the source's path", example = '"/data"', doc = target.doc },
    { "rw", "boolean", default = false, example = "true",
      doc = "Writable; new files belong to the source's owner." },
    overlay, overlay_size "a discarded overlay",
    { "create", "boolean", default = false, example = "true",
      doc = "Make the source, a directory, when it is missing." },
    { "exec", "boolean", default = true, example = "false", doc = "Programs in it may be executed." },
    { "suid", "boolean", default = false, example = "true", doc = "Set-user-id bits count." },
    { "dev", "boolean", default = false, example = "true", doc = "Device files in it work." },
    { "recursive", "boolean", default = true, example = "false", doc = "With what is mounted below the source." },
    { "id_map", "boolean", default = true, example = "false",
      doc = "The source owner's files appear as the container user's, others' as nobody's; under overlay = \"discard\" others' "
        .. "keep their numbers, for a program that may use them. false leaves the host's ids." },
    check = function(v)
      if v.rw and v.overlay then return "rw", "excludes overlay (an overlay is writable by itself)" end
      return upper_needed "overlay"(v)
    end },
  tmpfs = record { positional = { "target" }, example = 'tmpfs { "/tmp", size = "64M" }',
    doc = "An empty file system in memory.", target,
    { "size", "size", unit = "bytes", min = 1, example = '"64M"', doc = "The most that it may hold." },
    mode(1023, '"1777"'),
    { "inodes", "integer", min = 1, example = "10000", doc = "The most files that it may hold." },
    { "flags", "mount_flags", default = "nosuid,nodev", example = '"noexec"',
      doc = "Mount flags besides nosuid and nodev: exec, noexec, suid, dev, ro, noatime." } },
  layers = record { positional = { "lower", rest = true },
    example = 'layers { "/opt/base", "/opt/patch", target = "/opt", upper = "discard" }',
    doc = "An overlay of directories of the host, the first lowest; as a root it has no target.",
    { "lower", list "hostpath", required = true, example = '{ "/opt/base" }',
      doc = "The directories, the first lowest." },
    { "target", "path", example = '"/opt"', doc = "Where it appears in the container; none for a root." },
    { "upper", choice { "discard", other = "hostpath" }, example = '"discard"',
      doc = "Where writes go: a directory, or memory that is forgotten; read-only without it." },
    overlay_size "a discarded upper", check = upper_needed "upper" },
  proc = record { positional = { "target" }, doc = "The processes of the container.",
    example = "proc { }", at "/proc" },
  sysfs = record { positional = { "target" }, doc = "The kernel's devices, read-only.",
    example = "sysfs { }", at "/sys" },
  devpts = record { positional = { "target" }, doc = "Pseudo-terminals of the container.",
    example = "devpts { }", at "/dev/pts" },
  mqueue = record { positional = { "target" }, doc = "POSIX message queues.",
    example = "mqueue { }", at "/dev/mqueue" },
  cgroup = record { positional = { "target" }, doc = "The container's cgroups, read-only.",
    example = "cgroup { }", at "/sys/fs/cgroup" },
  dir = record { positional = { "target" },
    doc = "An empty directory, as read-only as what it lies in: a tmpfs can be written.",
    example = 'dir { "/work", mode = "0700" }',
    target, mode(493, '"0755"') },
  file = record { positional = { "target" }, doc = "A file with a text of the profile.",
    example = 'file { "/etc/motd", text = "hello\\n" }', target,
    { "text", "text", default = "", shown = '""', example = '"hello\\n"',
      doc = "What it holds." }, mode(420, '"0644"') },
  symlink = record { positional = { "target", "to" }, doc = "A symbolic link.",
    example = 'symlink { "/bin/vi", "vim" }',
    target, { "to", "word", required = true, example = '"vim"', doc = "What the link says." } },
  mask = record { positional = { "target" }, doc = "Hides a path: an empty directory or file lies over it.",
    example = 'mask { "/sys/firmware" }', target },
  secret = record { positional = { "target" }, doc = "A file whose text is read at start and shown nowhere.",
    example = 'secret { "/run/secrets/token", env = "TOKEN" }', target,
    { "env", "env_name", example = '"TOKEN"', doc = "The variable of luge's own environment that holds it." },
    { "file", "hostpath", example = '"token.txt"', doc = "The host's file that holds it." }, mode(256, '"0400"'),
    check = function(v)
      if (v.env == nil) == (v.file == nil) then return nil, "needs one of env and file" end
    end },
  device = record { positional = { "path" }, doc = "A device of the host.",
    example = 'device { "/dev/kvm", access = "rw" }',
    { "path", "device_path", required = true, example = '"/dev/kvm"', doc = "Its path, the same on both sides." },
    { "access", choice { "rw", "r", "w" }, default = "rw", example = '"rw"',
      doc = "What may be done with it; other than rw is held by a cgroup, which only root can make." } },
  rule = record { positional = { "call", "args", rest = true },
    example = 'rule { "kill", { 1, "==", "SIGKILL" }, action = "deny" }',
    doc = "A system call whose arguments decide; all comparisons must hold. One that allows adds to what the tier allows of "
      .. "the call; where it is to be all that is allowed of it, the call is in deny as well.",
    { "call", "syscall", required = true, example = '"socket"', doc = "Its name." },
    { "args", list "comparison", example = '{ { 0, "==", "AF_VSOCK" } }',
      doc = "Comparisons { number, operator, value }: == != < <= > >= &, or { number, \"masked_eq\", mask, value }." },
    { "action", choice { "allow", "deny" }, default = "allow", example = '"deny"', doc = "What happens then." } },
  empty = record { doc = "A root that is an empty tmpfs.",
    example = "empty { size = \"16M\" }", overlay_size "the root" },
  system = record { doc = "The host's programs read-only, a reduced /etc and private writable directories." },
  host = record { doc = "The whole host, read-only." },
  directory = record { positional = { "path" }, doc = "A directory of the host.",
    { "path", "hostpath", required = true, example = '"rootfs"', doc = "The directory." }, overlay,
    { "rw", "boolean", default = false, example = "true", doc = "Its files themselves may be changed." },
    overlay_size "a discarded overlay", check = function(v)
      if v.rw and v.overlay then return "rw", "excludes overlay (an overlay is writable by itself)" end
      return upper_needed "overlay"(v)
    end },
}
local kinds = M.kinds
for name, kind in pairs(kinds) do kind.name = name end

local function takes(names)
  names.record = function(kind) return kinds[kind] end
  return names
end

-- Parts of a container -----------------------------------------------------------------------------------

local root = typed { name = "root", words = { "system" }, other = "directory", takes = takes { "system",
  "directory", "layers", "empty", "host" },
  expand = function(v) if v == "/" then return { type = "host" } end return { type = "directory", v } end }

local mounts = list(typed { name = "mount", takes = takes { "bind", "tmpfs", "layers", "proc", "sysfs", "devpts",
  "mqueue",
  "cgroup", "dir", "file", "symlink", "mask", "secret" } }, "target")

local devices = list(typed { name = "device", takes = takes { "device" },
  expand = function(v) return { type = "device", v } end }, "path")

local ids = list "id_range"
local id_map = typed { name = "id_map", words = { "auto", "self", "host" }, table = "explicit", takes = { "auto",
  "self", "host", "explicit",
  record = function(kind)
    return kind == "explicit" and M.id_map or M.nothing
  end } }
M.nothing = record { name = "id_map" }
M.id_map = record { name = "id_map", { "uids", ids, required = true, example = "{ { 0, 100000, 65536 } }",
  doc = "Ranges { inside, outside, count } of users." },
  { "gids", ids, example = "{ { 0, 100000, 65536 } }", doc = "Ranges of groups; those of uids when left out." } }

local function namespace(name, doc, default)
  return { name, "namespace", default = default == nil and true or default, protection = true, example = "true",
    doc = doc }
end
local namespaces = record { name = "namespaces",
  namespace("user", "User and group ids, and the capabilities over all that follows."),
  namespace("mount", "The view of the file systems; a container always has its own."),
  namespace("pid", "Process ids."),
  namespace("net", "Network devices, ports and abstract sockets; may only repeat what network says."),
  namespace("ipc", "System V IPC and POSIX message queues."),
  namespace("uts", "The host name."),
  namespace("cgroup", "The root of the cgroup hierarchy."),
  { "time", either { scalar = "namespace", table = record { name = "time",
      { "monotonic", "offset", unit = "seconds", example = '"24h"', doc = "Added to the monotonic clock." },
      { "boottime", "offset", unit = "seconds", example = '"24h"', doc = "Added to the clock since boot." } } },
    default = "host", protection = true, example = '{ boottime = "24h" }',
      doc = "The clocks since boot, with offsets." },
}

local caps = list "capability"
local capabilities = either { name = "capabilities", scalar = "capability_preset", list = caps,
  table = record { name = "capabilities",
  { "bounding", caps, example = '{ "chown" }', doc = "The most that any program in the container can have." },
  { "permitted", caps, example = '{ "chown" }',
    doc = "What luge leaves; the bounding set when left out. Execve leaves a user other than root the ambient ones." },
  { "effective", caps, example = '{ "chown" }',
    doc = "What of it is in force; the permitted set when left out. Root's is all of it." },
  { "inheritable", caps, example = '{ "chown" }',
    doc = "What programs with file capabilities may get; the ambient set when left out." },
  { "ambient", caps, example = '{ "chown" }', doc = "What a user other than root keeps through exec." } } }

local calls = list "syscall"
local seccomp = either { name = "seccomp", wrap = "base", scalar = choice { "default", "ci", "strict", "compute" },
  table = record { name = "seccomp",
  { "base", choice { "default", "ci", "strict", "compute" }, off = true, default = "default", example = '"strict"',
    doc = "The tier to start from; false starts from nothing." },
  { "allow", calls, example = '{ "ptrace" }', doc = "System calls allowed besides." },
  { "deny", calls, example = '{ "connect" }', doc = "System calls denied, with EPERM; denial wins over the tier. "
    .. "A rule that allows a part of such a call leaves ENOSYS for the rest of it." },
  { "rules", list(typed { name = "rule", takes = takes { "rule" } }),
    example = '{ rule { "socket", { 0, "==", "AF_UNIX" } } }, deny = { "socket" }',
    doc = "System calls allowed or denied by their arguments. A rule that denies wins; one that allows adds to what the tier "
      .. "allows of the call, and is all that is allowed of it where the call is in deny as well." },
  { "log", calls, enforced = false, because = LATER, example = '{ "connect" }',
    doc = "Denied calls that are reported." },
  { "notify", calls, enforced = false, because = LATER, example = '{ "mount" }',
    doc = "Calls that a hook answers." } } }

local function limit(name, type, doc, example, more)
  local f = more or {}
  f[1], f[2], f.doc, f.example, f.off, f.protection = name, type, doc, example, true, true
  return f
end
local limits = record { name = "limits",
  limit("wall", "duration", "The most time that the container runs: then stop, and exit code 124.", '"10m"',
    { unit = "seconds", min = 0.001 }),
  limit("processes", "rlimit_count", "The most processes of the container's user.", "512", { min = 1 }),
  limit("open_files", "rlimit_count", "The most descriptors of one process.", "1024", { min = 3 }),
  limit("file_size", "rlimit_size", "The largest file that a process writes.", '"1G"', { unit = "bytes" }),
  limit("core", "rlimit_size", "The largest core dump.", "0", { unit = "bytes", default = 0 }),
  limit("stack", "rlimit_size", "The largest stack of a thread.", '"8M"', { unit = "bytes" }),
  limit("address_space", "rlimit_size", "The most address space of one process.", '"4G"', { unit = "bytes" }),
  limit("locked_memory", "rlimit_size", "The most memory that a process keeps from being swapped.", '"64K"',
    { unit = "bytes" }),
  limit("nice", "integer", "Lower priority: 0 to 19; higher (down to -20) needs privilege.", "10", { min = -20,
    max = 19 }),
  limit("oom_score", "integer", "Who is killed first when memory is short: 1000 first.", "500", { min = -1000,
    max = 1000 }),
  limit("affinity", either { scalar = "cpus", list = list "cpu" }, "The CPUs that it may run on.", '"0-1"'),
  limit("scheduler", either { wrap = "policy", scalar = choice { "other", "batch", "idle", "fifo", "rr" },
    table = record { name = "scheduler",
      { "policy", choice { "other", "batch", "idle", "fifo", "rr" }, default = "other", example = '"batch"',
        doc = "The policy." },
      { "priority", "integer", min = 1, max = 99, example = "10", doc = "Of fifo and rr." } } },
    "How the kernel schedules it.", '"batch"'),
  limit("pids", "rlimit_count", "The most processes and threads of the container, luge's own PID 1 not counted.", "512",
    { min = 1, default = 1024 }),
  limit("memory", "size", "The most memory of the container, files in tmpfs and cached ones included.", '"2G"',
    { unit = "bytes", min = 1 << 20 }),
  limit("swap", "size", "Swap besides memory; none where memory is limited and this is not written.", '"512M"',
    { unit = "bytes" }),
  limit("memory_high", "size", "Above it memory is reclaimed and the container slows down (cgroup v2).", '"1G"',
    { unit = "bytes", min = 1 << 20 }),
  limit("oom_group", "boolean", "Out of memory, all of the container is killed and not one process (cgroup v2).", "true"),
  limit("cpus", "number", "CPUs' worth of time in each 100 ms.", "1.5", { min = 0.01 }),
  limit("cpu_weight", "integer", "Its share when CPUs are short: 1 to 10000, 100 is usual.", "50", { min = 1,
    max = 10000 }),
  limit("cpuset", either { scalar = "cpus", list = list "cpu" },
    "The CPUs that it may run on, whatever affinity its programs ask for.", '"0-1"'),
  limit("io", map(record { name = "io",
      { "read", "size", unit = "bytes", min = 1, example = '"10M"', doc = "Bytes read in a second." },
      { "write", "size", unit = "bytes", min = 1, example = '"10M"', doc = "Bytes written in a second." },
      { "read_ops", "integer", min = 1, example = "100", doc = "Reads in a second." },
      { "write_ops", "integer", min = 1, example = "100", doc = "Writes in a second." } }, "hostpath"),
    "The most input and output, for each disk or directory on one; caches hide it.",
    '{ ["/dev/sda"] = { write = "10M" } }'),
  limit("hugetlb", map("size", "word"), "Huge pages, for each page size.", '{ ["2M"] = "64M" }'),
  limit("cpu_time", "duration", "The most CPU time of all its processes together: then stop, and exit code 124.", '"5m"',
    { unit = "seconds", min = 0.1 }),
  limit("output", "size", "The most that passes of stdout and stderr, which are pipes then or one terminal: then stop, and "
    .. "exit code 124. What exec writes goes to its caller, and does not count.", '"10M"', { unit = "bytes" }),
  limit("disk", "size", "The most that /tmp, /run, /var/tmp, the home, /dev/shm and each tmpfs and discarded overlay without a "
    .. "size hold together: then ENOSPC.", '"1G"', { unit = "bytes", min = 4096 }),
  limit("parent", "cgroup_path", "The cgroup, of each hierarchy that a limit needs, to make its own in; it must be there.",
    '"/ci"'),
}

local network = typed { name = "network", words = { "none", "host", "internet", "private", "user" }, table = "table",
  takes = { "none", "host", "internet", "private", "user", "table",
    record = function(kind) return kind == "user" and M.network_user or M.network end } }
local network_kinds
M.network, network_kinds, M.network_user = require "sandbox.profile.schema_network" { record = record, typed = typed,
  list = list, map = map, choice = choice }
for name, kind in pairs(network_kinds) do
  kind.name = name
  if kind.example then kinds[name] = kind end -- "user" is a field as well: { type = "user" }
end

-- The smallest file holds two of the largest records (sandbox.container.log).
M.log = either { name = "log", scalar = choice { "journald" }, table = record { name = "log",
  { "size", "size", unit = "bytes", min = 65536, default = 10 << 20, shown = '"10M"', example = '"1M"',
    doc = "The most that one file of it holds; then the next is begun." },
  { "files", "integer", min = 1, max = 100, default = 3, example = "5",
    doc = "How many files of it are kept; the oldest goes." } } }

-- What starts it again, and what says that it works.
M.restart = either { name = "restart", wrap = "on", scalar = choice { "failure", "always" },
  table = record { name = "restart",
  { "on", choice { "failure", "always" }, default = "failure", example = '"always"',
    doc = '"failure": an exit code other than 0, a signal, a limit, or health that failed; "always": every end.' },
  { "max", "integer", min = 1, shown = "no bound", example = "3", doc = "The most times that it is started again." },
  { "delay", "duration", min = 0, max = 86400, unit = "seconds", default = 1, shown = '"1s"', example = '"500ms"',
    doc = "The pause before it; each further one is twice as long, up to a minute, until a run has lasted ten seconds." } } }

M.health = record { name = "health",
  { "command", list "word", example = '{ "pg_isready", "-q" }',
    doc = "The words of the command: exit code 0 says that it works." },
  { "fd", "integer", min = 3, max = 63, example = "3",
    doc = "Instead of a command: this descriptor is open for writing in the container; a newline says that it works." },
  { "interval", "duration", min = 0.01, max = 86400, unit = "seconds", default = 10, shown = '"10s"', example = '"30s"',
    doc = "From the end of one check to the next; a second at most in the start period, until one is good." },
  { "timeout", "duration", min = 0.01, max = 86400, unit = "seconds", default = 5, shown = '"5s"', example = '"2s"',
    doc = "The time of one check; then it is killed, and has failed." },
  { "retries", "integer", min = 1, max = 1000, default = 3, example = "5",
    doc = "So many failed checks in a row make it unhealthy." },
  { "start_period", "duration", min = 0, max = 86400, unit = "seconds", default = 30, shown = '"30s"', example = '"2m"',
    doc = "Failed checks do not count so long after the start; with fd: the time for the newline." } }
local function hook(name, doc)
  return { name, either { wrap = 1, scalar = "hostpath", list = list "hostpath" }, example = ('"%s.lua"'):format(name), doc = doc }
end
M.hooks = record { name = "hooks",
  hook("prepare", "On the host, last before the container is made: its name, cgroups and ids are there."),
  hook("guest", "Inside, as the container's root with its mounts, before anything is sealed: 64 MiB, no file of the host's."),
  hook("started", "On the host, when the command was executed; it may have ended by then."),
  hook("stopped", "On the host, after the end and before luge takes anything back; also when a start failed after prepare."),
  { "timeout", "duration", default = 30, shown = '"30s"', unit = "seconds", min = 0.01, example = '"10s"',
    doc = "The most time for each script." } }

-- The container and the group ----------------------------------------------------------------------------

M.container = record { name = "container", example = 'container { command = { "true" } }',
  doc = "One container; positional entries are parents.",
  { "name", "name", shown = "generated, <profile>-xxxx", example = '"build"',
    doc = "Its name among the user's containers, also when it has ended in the background." },
  { "hostname", "hostname", shown = "the name", example = '"builder"', doc = "The host name inside." },
  { "description", "text", example = '"Builds a checkout."', doc = "What the profile is for." },
  { "annotations", map("word", "text"), default = {}, example = '{ team = "infra" }',
    doc = "Notes for other programs." },
  { "entrypoint", list "word", default = {}, example = '{ "/usr/bin/env", "-i" }',
    doc = "The first words of what is executed; words on the command line leave them." },
  { "command", list "word", default = {}, example = '{ "make", "test" }',
    doc = "The rest of what is executed; words on the command line replace it." },
  { "cwd", "path", default = "/", example = '"/src"', doc = "The working directory." },
  { "umask", "mode", default = 18, shown = '"022"', example = '"077"',
    doc = "Permissions that new files do not get." },
  { "env", { kind = "env" }, shown = "PATH HOME USER LOGNAME LANG=C.UTF-8 container=luge, TERM with a terminal",
    example = '{ "LANG", "CI_COMMIT_*", CC = "gcc" }',
      doc = "Its environment: positional names (with *) are inherited, keys are set, false leaves one out." },
  { "user", either { scalar = "user", merge = "replace", table = record { name = "user", positional = { "uid",
    "gid" },
      { "uid", "id", example = "1000", doc = "The user's number inside." }, { "gid", "id", example = "1000",
        doc = "The group's number inside; that of the user when left out." },
      { "name", "user_name", example = '"build"', doc = "The user's name, looked up in the container." },
      { "groups", either { scalar = choice { "keep" }, list = list "id" }, example = '"keep"',
        doc = "Further groups; \"keep\": the caller's." },
      check = function(v)
        if (v.name == nil) ~= (v.uid == nil) then return end
        return nil, "needs one of uid and name (an inherited user is replaced as a whole)"
      end } },
    shown = '"0:0" inside a user namespace', example = '"1000:1000"',
      doc = 'Who the command runs as: "name", "name:group", "uid:gid" or a table.' },
  { "terminal", choice { "auto", true, false }, default = "auto", example = '"auto"',
    doc = "A terminal of its own: \"auto\" when luge's stdin, stdout and stderr are terminals; false: luge's own streams." },
  { "stdin", choice { "inherit", "null", other = "hostpath" }, default = "inherit", example = '"null"',
    doc = "Where standard input comes from. A file named here is only read; one that is inherited can be written where its "
      .. "mode lets the container's user." },
  { "root", root, default = { type = "system" }, shown = '"system"', example = '{ "rootfs", overlay = "discard" }',
    doc = 'The root directory: "system", a directory, layers {…}, empty {} or "/" (the whole host read-only).' },
  { "mounts", mounts, default = {}, example = '{ bind { host.cwd, "/src" }, tmpfs { "/tmp" } }',
    doc = "What is mounted besides /proc, /sys, /dev and /tmp, in path order." },
  { "devices", devices, shown = '{ "null", "zero", "full", "random", "urandom", "tty" }', example = '{ "kvm" }',
    doc = "Devices besides those of every container." },
  { "id_map", id_map, shown = '"auto" as root, "self" otherwise', example = '"auto"',
    doc = "The host's ids behind the container's: a private range, the caller's, the host's own, or a table." },
  { "namespaces", namespaces, example = '{ ipc = "host" }',
    doc = 'What is its own: true, or "host", or the path of a namespace.' },
  { "capabilities", capabilities, off = true, shown = "none is kept", example = '{ "chown", "fowner" }',
    doc = "The capabilities that are kept: names, \"oci\", \"all\", or a table of sets." },
  { "seccomp", seccomp, off = true, protection = true, shown = '"default"',
    example = '{ base = "ci", deny = { "ptrace" } }',
    doc = "The system calls that it may make: a tier, false for all, or a table." },
  { "landlock", "any", off = true, default = false, protection = true, enforced = false, because = LATER,
    example = '{ read = { "/usr" } }', doc = "Paths and ports that its programs are further restricted to." },
  { "no_new_privs", "boolean", default = true, example = "true", doc = "Executing a file never gains privilege." },
  { "init", "boolean", default = true, example = "true",
    doc = "luge's PID 1 reaps and forwards signals; false: the command itself is PID 1." },
  { "sysctl", map("sysctl", "sysctl_name"), protection = true,
    shown = "unprivileged ports from 0 in an own network", example = '{ ["kernel.shmmax"] = 1048576 }',
    doc = "Kernel parameters of its namespaces." },
  { "limits", limits, example = '{ wall = "10m", open_files = 256 }',
    doc = "What it may use up; false lifts a limit." },
  { "network", network, default = { type = "none" }, shown = '"none"', example = '"none"',
    doc = '"none" (only a loopback of its own), "host", "internet" (what is neither the host nor private), "private" (a group\'s '
      .. 'own), "user" (by pasta or slirp4netns), or a table.' },
  { "stop", record { name = "stop", positional = { "signal", "grace" },
      { "signal", "signal", default = "TERM", example = '"INT"', doc = "The signal that asks it to end." },
      { "grace", "duration", default = 10, shown = '"10s"', unit = "seconds", example = '"30s"',
        doc = "The time before KILL follows." } },
    shown = '{ signal = "TERM", grace = "10s" }', example = '{ signal = "INT", grace = "30s" }', doc = "How it is stopped." },
  { "restart", M.restart, off = true, shown = "false", example = '{ on = "failure", max = 3 }',
    doc = "When it is started again, by the luge that watches it; stop, kill, rm and Ctrl-C end it for good." },
  { "health", M.health, off = true, shown = "false", example = '{ command = { "true" }, interval = "10s" }',
    doc = "How it tells that it works: a command that is run in it as by luge exec, or a descriptor that it writes to." },
  { "needs", map(choice { "healthy", "started", "done" }, "name"), default = {}, shown = "none", example = '{ db = "healthy" }',
    doc = 'Containers of the group that must be there first: "healthy", "started", or "done", ended with exit code 0.' },
  { "log", M.log, off = true, shown = '{ size = "10M", files = 3 }', example = '{ size = "1M", files = 5 }',
    doc = 'The log of a detached container, which luge logs shows: a table, "journald", or false for none.' },
  { "hooks", M.hooks, off = true, example = '{ started = "started.lua", timeout = "10s" }',
    doc = "Lua scripts (or lists of them) with the syscall layer and the global `container`; trusted code, run as luge." },
  { "keep", record { name = "keep",
      { "artifacts", list "path", required = true, example = '{ "/src/build/*.log" }',
        doc = "Paths in the container, with * and ? within a name; directories are copied whole." },
      { "to", "hostpath", required = true, example = '"out"',
        doc = "The host's directory that they are copied to; made when it is missing." } },
    example = '{ artifacts = { "/src/build/*.log" }, to = "out" }',
    doc = "Regular files copied out at the end, whatever the end was; links are not followed, and what is there already stays." },
}

M.group = record { name = "group", example = 'group { containers = { a = container { command = { "true" } } } }',
  doc = "Several containers; PROFILE.lua:NAME is one of them.",
  { "name", "name", shown = "the file's name", example = '"shop"',
    doc = "Its name; those of its containers are NAME-CONTAINER, unless they say their own." },
  { "containers", map("any", "name"), required = true, example = '{ a = container { command = { "true" } } }',
    doc = "The containers by name." },
  { "main", "name", example = '"a"',
    doc = "The container whose end is the group's, with its exit code. Without one the group ends when all have ended that no "
      .. "other needs while it runs; its exit code is 1 when one has failed." },
  { "network", network, default = { type = "none" }, shown = '"none"', example = '"host"',
    doc = "The network of those of its containers that say none.",
    enforced = function(v) return v.type ~= "internet" end, because = 'write "private", "none", "host" or a table' },
  { "parallel", "integer", min = 1, shown = "no bound", example = "2",
    doc = "How many run at once, those that others need while they run not counted; beside a main, how many start at once." },
}

M.devices = { "null", "zero", "full", "random", "urandom", "tty" }

-- The names that make tables in a profile: what has an example of its own, and the two outermost ones.
function M.constructors()
  local names = { "container", "group" }
  for name, kind in pairs(kinds) do
    if kind.example then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- The field NAME of a record; the index is made when a record is first asked.
function M.field(rec, name)
  local by = rec.by
  if not by then
    by = {}
    for i = 1, #rec do by[rec[i][1]] = rec[i] end
    rec.by = by
  end
  return by[name]
end

return M
