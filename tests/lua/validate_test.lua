-- SPDX-License-Identifier: MIT
-- Wrong profiles and what is said of them: "path: message (did you mean …?) [way out]", all faults at once.

local t = dofile "tests/integration/harness.lua"
local p = dofile "tests/lua/profile.lua"
local profile = require "sandbox.profile"

-- luacheck: push no max line length
-- Each row: what stands in container { … }, and its faults.
local GOLDEN = {
  { [[comand = { "x" }]], {
    [=[comand: no such field (did you mean 'command'?) [luge help container lists the fields]]=],
  } },
  { [[command = "make test"]], {
    [=[command: "make test" is no list [write { "program", "argument" } or { "sh", "-c", "make test" }]]=],
  } },
  { [[command = { "a", {} }]], {
    [[command[2]: a table is no text]],
  } },
  { [[command = { "a\0b" }]], {
    [[command[1]: "a?b" holds a zero byte]],
  } },
  { [[command = { "a", name = "b" }]], {
    [=[command.name: no such field [this is a list: its entries have no names]]=],
  } },
  { [[cwd = "src"]], {
    [=[cwd: "src" is not absolute [paths in the container start with /: write "/src"]]=],
  } },
  { [[cwd = "/a/../b"]], {
    [=[cwd: "/a/../b" goes through ".." [write the path in the container that it means]]=],
  } },
  { [[cwd = 5]], {
    [[cwd: 5 is no path (write "/src")]],
  } },
  { [[umask = 22]], {
    [[umask: 22 is no mode: write it as a string ("0755"), Lua has no octal numbers]],
  } },
  { [[umask = "99"]], {
    [[umask: "99" is no mode (write "0755")]],
  } },
  { [[hostname = "a b"]], {
    [[hostname: "a b" is no host name (letters, digits, . -, 64 at most)]],
  } },
  { [[name = "../x"]], {
    [[name: "../x" is no name (letters, digits, _ . -, 64 at most)]],
  } },
  { [[env = { "A=b" }]], {
    [=[env[1]: "A=b" is no name of a variable [write A = "b"]]=],
  } },
  { [[env = { A = true }]], {
    [=[env.A: true is no text [write "1" or "true"]]=],
  } },
  { [[env = { 5 }]], {
    [=[env[1]: 5 is no name of a variable [write "NAME" or NAME = "value"]]=],
  } },
  { [[env = { ["A=B"] = "x" }]], {
    [[env["A=B"]: "A=B" is no name of a variable]],
  } },
  { [[env = "A"]], {
    [=[env: "A" is no table [write { "INHERITED", NAME = "value" }]]=],
  } },
  { [[user = "a:b:c"]], {
    [[user: "a:b:c" is no user (write "name", "uid:gid" or { uid = 1000, gid = 1000 })]],
  } },
  { [[user = "1000:"]], {
    [[user: "1000:" is no user (write "name", "uid:gid" or { uid = 1000, gid = 1000 })]],
  } },
  { [[user = { gid = 5 }]], {
    [[user: needs one of uid and name (an inherited user is replaced as a whole)]],
  } },
  { [[user = { uid = -1 }]], {
    [[user.uid: -1 is no id (a number from 0 to 4294967294)]],
  } },
  { [[user = "4294967295"]], {
    [[user: "4294967295" is no user (ids go from 0 to 4294967294)]],
  } },
  { [[terminal = "yes"]], {
    [[terminal: "yes" is not one of "auto", true, false]],
  } },
  { [[stdin = "nul"]], {
    [[stdin: "nul" is not one of "inherit", "null", a path (did you mean 'null'?)]],
  } },
  { [[stdin = 5]], {
    [[stdin: 5 is not one of "inherit", "null", a path]],
  } },
  { [[root = "sytem"]], {
    [=[root: "sytem" is no root (did you mean 'system'?) [a directory of that name is "./sytem"]]=],
  } },
  { [[root = tmpfs { "/" }]], {
    [=[root: a tmpfs is no root [it takes: system, directory, layers, empty, host]]=],
  } },
  { [[root = { overlay = "discard" }]], {
    [[root: needs path]],
  } },
  { [[root = { "/r", rw = true, overlay = "discard" }]], {
    [[root.rw: excludes overlay (an overlay is writable by itself)]],
  } },
  { [[root = { "/r", size = "1M" }]], {
    [[root.size: needs overlay = "discard"]],
  } },
  { [[root = layers { }]], {
    [=[root: needs lower [for example layers { "/opt/base", "/opt/patch", target = "/opt", upper = "discard" }]]=],
  } },
  { [[root = layers { "/a", target = "/b" }]], {
    [=[root: a root has no target [leave target out]]=],
  } },
  { [[root = false]], {
    [=[root: false is no root [it takes: system, directory, layers, empty, host]]=],
  } },
  { [[root = "~/x"]], {
    [=[root.path: "~/x" is not expanded [write host.home .. "/x"]]=],
  } },
  { [[mounts = bind { "/a" }]], {
    [=[mounts: a bind is no list [write { … }]]=],
  } },
  { [[mounts = { "/a" }]], {
    [=[mounts[1]: "/a" is no mount [write bind { "/a" }]]=],
  } },
  { [[mounts = { bind { "/a", "b" } }]], {
    [=[mounts[1].target: "b" is not absolute [paths in the container start with /: write "/b"]]=],
  } },
  { [[mounts = { bind { } }]], {
    [=[mounts[1]: needs source [for example bind { host.cwd, "/src", rw = true }]]=],
  } },
  { [[mounts = { bind { "/a", "/b", "/c" } }]], {
    [=[mounts[1][3]: "/c" has no place here [a bind takes: source, target, rw, overlay, size, create, exec, suid, dev, recursive, id_map]]=],
  } },
  { [[mounts = { bind { "/a", source = "/b" } }]], {
    [[mounts[1][1]: source is given twice]],
  } },
  { [[mounts = { tmpfs { "/tmp", sise = "64M" } }]], {
    [=[mounts[1].sise: no such field (did you mean 'size'?) [a tmpfs takes: target, size, mode, inodes, flags]]=],
  } },
  { [[mounts = { tmpfs { "/tmp", size = "2GB" } }]], {
    [=[mounts[1].size: "2GB" is no size (write 2G, 512M or a number of bytes) [write "2G", powers of 1024]]=],
  } },
  { [[mounts = { tmpfs { "/tmp", mode = 755 } }]], {
    [[mounts[1].mode: 755 is no mode: write it as a string ("0755"), Lua has no octal numbers]],
  } },
  { [[mounts = { tmpfs { "/tmp", flags = "noexe" } }]], {
    [[mounts[1].flags: "noexe" is no mount flag here (did you mean 'noexec'?)]],
  } },
  { [[mounts = { tmpfs { "/t" }, dir { "/t/" } }]], {
    [=[mounts[2]: /t is already the target of mounts[1]]=],
  } },
  { [[mounts = { tmpfs { "/" } }]], {
    [=[mounts[1]: / is the root: no mount can lie there [write root = …]]=],
  } },
  { [[mounts = { secret { "/s" } }]], {
    [[mounts[1]: needs one of env and file]],
  } },
  { [[mounts = { secret { "/s", env = "A", file = "b" } }]], {
    [[mounts[1]: needs one of env and file]],
  } },
  { [[mounts = { layers { "/a" } }]], {
    [=[mounts[1]: needs target [a root has none, a mount says where it appears: target = "/opt"]]=],
  } },
  { [[mounts = { symlink { "/a" } }]], {
    [=[mounts[1]: needs to [for example symlink { "/bin/vi", "vim" }]]=],
  } },
  { [[mounts = { bind { "/a", size = "1M" } }]], {
    [[mounts[1].size: needs overlay = "discard"]],
  } },
  { [[mounts = { bind { "/a", rw = "yes" } }]], {
    [[mounts[1].rw: "yes" is no boolean (write true or false)]],
  } },
  { [[mounts = { remove "tmp" }]], {
    [[mounts[1]: "tmp" is no target to remove]],
  } },
  { [[mounts = { { type = "bnd", "/a" } }]], {
    [=[mounts[1]: a bnd is no mount (did you mean 'bind'?) [it takes: bind, tmpfs, layers, proc, sysfs, devpts, mqueue, cgroup, dir, file, symlink, mask, secret]]=],
  } },
  { [[mounts = { {} }]], {
    [=[mounts[1]: a table is no mount [it takes: bind, tmpfs, layers, proc, sysfs, devpts, mqueue, cgroup, dir, file, symlink, mask, secret]]=],
  } },
  { [[mounts = { secret { "/s", env = "CI_TOKEN" } }, env = { "CI_TOKEN" }]], {
    [=[env.CI_TOKEN: the secret of /s would show in the plan [leave CI_TOKEN out of env: the program reads /s]]=],
  } },
  { [[mounts = { optional(5) }]], {
    [=[mounts[1]: 5 is no mount [it takes: bind, tmpfs, layers, proc, sysfs, devpts, mqueue, cgroup, dir, file, symlink, mask, secret]]=],
  } },
  { [[devices = { "null/x" , "../x" }]], {
    [=[devices[2].path: "../x" is not absolute [paths in the container start with /: write "/../x"]]=],
  } },
  { [[devices = { device { "/etc/passwd" } }]], {
    [[devices[1].path: "/etc/passwd" is no device (write "kvm" or "/dev/kvm")]],
  } },
  { [[devices = { "/dev/kvm:/dev/kvm" }]], {
    [=[devices[1].path: "/dev/kvm:/dev/kvm" is two paths: a device has the same one on both sides [write "/dev/kvm"]]=],
  } },
  { [[devices = { device { "kvm", access = "rx" } }]], {
    [[devices[1].access: "rx" is not one of "rw", "r", "w" (did you mean 'r'?)]],
  } },
  { [[devices = { "kvm", "/dev/kvm" }]], {
    [=[devices[2]: /dev/kvm is already the path of devices[1]]=],
  } },
  { [[id_map = "sefl"]], {
    [=[id_map: "sefl" is no id_map (did you mean 'self'?) [it takes: auto, self, host]]=],
  } },
  { [[id_map = { uids = { { 0, 1 } } }]], {
    [=[id_map.uids[1]: a range is { inside, outside, count }: whole numbers, all of its ids below 4294967295, count at least 1 [for example { 0, 100000, 65536 }]]=],
  } },
  { [[id_map = { gids = {} }]], {
    [[id_map: needs uids]],
  } },
  { [[id_map = { uids = { { 0, 1000, 10 }, { 5, 2000, 10 } } }]], {
    [[id_map.gids: two ranges overlap]],
    [[id_map.uids: two ranges overlap]],
  } },
  { [[id_map = { uids = { { 0, 1000, 10 } } }, user = 20]], {
    [=[user: user 20 has no place in id_map [add a range to id_map that holds it]]=],
    [=[user: group 20 has no place in id_map [add a range to id_map that holds it]]=],
  } },
  { [[id_map = "host", namespaces = { user = true }]], {
    [=[namespaces.user: disagrees with id_map = "host", which makes no user namespace [leave one of them out]]=],
  } },
  { [[namespaces = { user = "host" }]], {
    [=[namespaces.user: leaves the container's root root on the host [say so: write id_map = "host" too]]=],
  } },
  { [[namespaces = { net = "host" }]], {
    [=[namespaces.net: disagrees with network = "none" [write network = "host"]]=],
  } },
  { [[namespaces = { mount = "host" }]], {
    [=[namespaces.mount: a container always has its own view of the file systems [to see the host's write root = "/"]]=],
  } },
  { [[namespaces = { pid = "host" }, init = true]], {
    [=[init: needs a pid namespace of its own to be PID 1 in [write init = false]]=],
  } },
  { [[namespaces = { uts = "host" }, hostname = "x"]], {
    [=[hostname: would rename the host: namespaces.uts is not the container's own [leave hostname out]]=],
  } },
  { [[namespaces = { ipc = "yes" }]], {
    [[namespaces.ipc: "yes" is no namespace (write true, "host" or the absolute path of one)]],
  } },
  { [[namespaces = { tme = true }]], {
    [=[namespaces.tme: no such field (did you mean 'time'?) [namespaces takes: user, mount, pid, net, ipc, uts, cgroup, time]]=],
  } },
  { [[namespaces = { time = { boottime = "1x" } }]], {
    [[namespaces.time.boottime: "1x" is no duration (write 500ms, 30s, 10m, 2h or a number of seconds)]],
  } },
  { [[network = "host", namespaces = { net = true }]], {
    [=[namespaces.net: disagrees with network = "host" [leave it out: network decides]]=],
  } },
  { [[capabilities = { "chwn" }]], {
    [[capabilities[1]: "chwn" is no capability (did you mean 'chown'?)]],
  } },
  { [[capabilities = "some"]], {
    [=[capabilities: "some" is no preset of capabilities [write "oci", "all" or a list: { "chown" }]]=],
  } },
  { [[capabilities = { ambient = { "chown" }, bounding = { "kill" } }]], {
    [=[capabilities.inheritable: chown is not in the bounding set [add it there]]=],
    [=[capabilities.ambient: chown is not in the permitted set [add it there]]=],
  } },
  { [[capabilities = { bound = {} }]], {
    [=[capabilities.bound: no such field (did you mean 'bounding'?) [capabilities takes: bounding, permitted, effective, inheritable, ambient]]=],
  } },
  { [[seccomp = "defualt"]], {
    [[seccomp: "defualt" is not one of "default", "ci", "strict", "compute" (did you mean 'default'?)]],
  } },
  { [[seccomp = true]], {
    [[seccomp: true is not one of "default", "ci", "strict", "compute"]],
  } },
  { [[seccomp = { allow = { "opnat" } }]], {
    [[seccomp.allow[1]: "opnat" is no system call (did you mean 'openat'?)]],
  } },
  { [[seccomp = { rules = { rule { "socket", { 9, "==", 1 } } } }]], {
    [[seccomp.rules[1].args[1]: 9 is no argument's number (0 to 5)]],
  } },
  { [[seccomp = { rules = { rule { "socket", { 0, "=", 1 } } } }]], {
    [[seccomp.rules[1].args[1]: "=" is no operator (write == != < <= > >= & or "masked_eq")]],
  } },
  { [[seccomp = { rules = { "socket" } }]], {
    [=[seccomp.rules[1]: "socket" is no rule [it takes: rule]]=],
  } },
  { [[seccomp = { log = { "connect" } }]], {
    [=[seccomp.log: log is not enforced by this version of luge [leave it out]]=],
  } },
  { [[landlock = { read = { "/usr" } }]], {
    [=[landlock: landlock is not enforced by this version of luge [leave it out]]=],
  } },
  { [[no_new_privs = 1]], {
    [[no_new_privs: 1 is no boolean (write true or false)]],
  } },
  { [[sysctl = { ["vm.swappiness"] = 1 }]], {
    [[sysctl["vm.swappiness"]: belongs to the whole host, not to a container]],
  } },
  { [[sysctl = { ["net.core.somaxconn"] = 1 }, network = "host"]], {
    [[sysctl["net.core.somaxconn"]: would change the host: namespaces.net is not the container's own]],
  } },
  { [[sysctl = { "x" }]], {
    [=[sysctl[1]: "x" has no name here [an entry is written NAME = VALUE]]=],
  } },
  { [[limits = { memory = "2GB" }]], {
    [=[limits.memory: "2GB" is no size (write 2G, 512M or a number of bytes) [write "2G", powers of 1024]]=],
  } },
  { [[limits = { pids = 0, memory = "1K", cpus = 0, cpu_weight = 10001 }]], {
    [=[limits.pids: 0 is out of bounds (1 or more) [write false for no limit]]=],
    [=[limits.memory: "1K" is out of bounds (1048576 or more) [write false for no limit]]=],
    [=[limits.cpus: 0 is out of bounds (0.01 or more) [write false for no limit]]=],
    [[limits.cpu_weight: 10001 is out of bounds (1 to 10000)]],
  } },
  { [[mounts = { tmpfs { "/x", flags = { "ro", {} } }, tmpfs { "/y", flags = { true } } }]], {
    [[mounts[1].flags: a table is no mount flag here]],
    [[mounts[2].flags: true is no mount flag here]],
  } },
  { [[network = { interfaces = { veth {} }, publish = { { { port = "x", address = {} }, 80 } } }]], {
    [[network.publish[1].host: a table is no port of the host (write 8080, "127.0.0.1:8080" or "[::1]:8080")]],
  } },
  { [[root = { type = {} }]], {
    [=[root: a table is no root [it takes: system, directory, layers, empty, host]]=],
  } },
  -- What a text of a mebibyte would be without a bound: a list of 10^9 numbers.
  { [[limits = { cpuset = ("0-8191,"):rep(100) .. "0" }]], {
    [=[limits.cpuset: "0-8191,0-8191,0-8191,0-8191,0-8191,0-8191,0-8191,0-8191,0..." ]=]
    .. [=[is no list of CPUs (write "0-3" or { 0, 1 })]=],
  } },
  { [[limits = { parent = "ci" }]], {
    [[limits.parent: "ci" is no cgroup (write a path from the top of the hierarchy, like "/ci")]],
  } },
  { [[limits = { parent = "/ci/../x" }]], {
    [[limits.parent: "/ci/../x" is no cgroup (write a path from the top of the hierarchy, like "/ci")]],
  } },
  { [[limits = { wall = 0 }]], {
    [=[limits.wall: 0 is out of bounds (0.001 or more) [write false for no limit]]=],
  } },
  { [[limits = { wall = "10 minutes" }]], {
    [=[limits.wall: "10 minutes" is no duration (write 500ms, 30s, 10m, 2h or a number of seconds) [write "10m"]]=],
  } },
  { [[limits = { nice = 50 }]], {
    [=[limits.nice: 50 is out of bounds (-20 to 19)]=],
  } },
  { [[limits = { open_files = "many" }]], {
    [[limits.open_files: "many" is no whole number]],
  } },
  { [[limits = { affinity = "3-1" }]], {
    [[limits.affinity: "3-1" is no list of CPUs (write "0-3" or { 0, 1 })]],
  } },
  { [[limits = { cpu = 1 }]], {
    [=[limits.cpu: no such field (did you mean 'cpus'?) [for example cpus = 1.5]]=],
  } },
  { [[limits = { scheduler = "batsh" }]], {
    [[limits.scheduler: "batsh" is not one of "other", "batch", "idle", "fifo", "rr" (did you mean 'batch'?)]],
  } },
  { [[limits = 5]], {
    [=[limits: 5 is no table [luge help limits lists the fields]]=],
  } },
  { [[network = "lan"]], {
    [=[network: "lan" is no network [it takes: none, host, internet, private, user]]=],
  } },
  { [[network = { interfaces = { veth { } }, publish = { { "80" } }, egress = { allow = { { host = "a.org" }, { port = 1 } } } }]], {
    [=[network.egress.allow[1].host: host = "a.org" is not enforced by this version of luge [write its addresses: cidr]]=],
    [=[network.egress.allow[2].cidr: is missing]=],
  } },
  { [[network = { publish = { { host = "[::1]:80" } }, interfaces = { veth { address6 = false } } }]], {
    [=[network.publish[1]: no interface has an address that the host reaches by IPv6 [interfaces = { veth { } }, or a bridge with gateway = "auto"]]=],
  } },
  { [[network = { interfaces = { veth { } }, publish = { { 80, 81 }, { "127.0.0.1:80", 82 }, { 80, proto = "udp" } } }]], {
    [=[network.publish[2]: tcp port 80 of the host is publish[1]'s already]=],
  } },
  { [[network = { interfaces = { veth { } }, publish = { { "127.0.0.1" }, { 65536 } }, bandwidth = { down = "10mb", up = 5 }, egress = { allow = { { "10.0.0.0/40" }, { "10.0.0.1", "9-8" }, { "10.0.0.1", 5, proto = "icmp" } } } }]], {
    [=[network.publish[1].host: "127.0.0.1" is no port of the host (write 8080, "127.0.0.1:8080" or "[::1]:8080")]=],
    [=[network.publish[2].host: 65536 is no port of the host (write 8080, "127.0.0.1:8080" or "[::1]:8080")]=],
    [=[network.bandwidth.down: "10mb" is no rate (write "10mbit": bits in a second; kbit, mbit, gbit)]=],
    [=[network.bandwidth.up: 5 is no rate [write its unit: "10mbit"]]=],
    [=[network.egress.allow[1].cidr: "10.0.0.0/40" is no network (write 192.0.2.0/24, 2001:db8::/32, or one address)]=],
    [=[network.egress.allow[2].port: "9-8" is no port (write 443 or "8000-8999")]=],
    [=[network.egress.allow[3].port: means nothing to icmp]=],
  } },
  { [[network = { dns = { "example" }, interfaces = { veth { routes = { { "10.0.0.0", "b" } } } } }]], {
    [=[network.dns[1]: "example" is no address (write 192.0.2.1 or fd00::1)]=],
    [=[network.interfaces[1].routes[1].via: "b" is no address (write 192.0.2.1 or fd00::1)]=],
  } },
  { [[network = { interfaces = { veth { } }, publish = { { "224.0.0.1:8080", 80 }, { "[ff02::1]:8080" }, { "[fe80::1]:8081" }, { "[::ffff:127.0.0.1]:8082" }, { "255.255.255.255:1" } } }]], {
    [=[network.publish[1].host: "224.0.0.1:8080" is everybody's on a link, or a group's, not one of the host's [write an address of the host (ip address)]]=],
    [=[network.publish[2].host: "[ff02::1]:8080" is everybody's on a link, or a group's, not one of the host's [write an address of the host (ip address)]]=],
    [=[network.publish[3].host: "[fe80::1]:8081" is link-local: another one on each link [write another address of the host (ip -6 address show scope global)]]=],
    [=[network.publish[4].host: "[::ffff:127.0.0.1]:8082" is an address of IPv4, written as one of IPv6 [write its address as "127.0.0.1"]]=],
    [=[network.publish[5].host: "255.255.255.255:1" is everybody's on a link, or a group's, not one of the host's [write an address of the host (ip address)]]=],
  } },
  { [[network = { publish = { "80" } }]], {
    [=[network.publish[1]: "80" is no table [write { 80, 80 }]]=],
  } },
  { [[stop = { signal = "TRM" }]], {
    [[stop.signal: "TRM" is no signal (write "TERM")]],
  } },
  { [[stop = { grace = "x" }]], {
    [[stop.grace: "x" is no duration (write 500ms, 30s, 10m, 2h or a number of seconds)]],
  } },
  { [[restart = { on = "never", max = 0, delay = "x" }]], {
    [=[restart.on: "never" is not one of "failure", "always"]=],
    [[restart.max: 0 is out of bounds (1 or more)]],
    [[restart.delay: "x" is no duration (write 500ms, 30s, 10m, 2h or a number of seconds)]],
  } },
  { [[health = { command = "x y", retries = 0 }]], {
    [=[health.command: "x y" is no list [write { "program", "argument" } or { "sh", "-c", "x y" }]]=],
    [[health.retries: 0 is out of bounds (1 to 1000)]],
  } },
  { [[health = { interval = "1s" }]], {
    [=[health: needs one of command and fd [for example health = { command = { "true" } }]]=],
  } },
  { [[needs = { db = "started" }]], {
    [=[needs: names containers of a group, and this is none [return group { containers = { … } }, or leave it out]]=],
  } },
  { [[keep = { to = "x" }]], {
    "keep: needs artifacts",
  } },
  { [[cwd = optional "/x"]], {
    [=[cwd: optional() is for protections and mounts [leave optional() out]]=],
  } },
  { [[annotations = { a = {} }]], {
    [[annotations.a: a table is no text]],
  } },
  { [[profile = "ci"]], {
    [=[profile: no such field [a parent is written without =: profile "NAME"]]=],
  } },
  { [["ci"]], {
    [=[[1]: "ci" is no parent [write profile "ci"]]=],
  } },
  { [[tmpfs { "/tmp" }]], {
    [=[[1]: a tmpfs is no parent [parents are profile "name" or tables; mounts go into mounts = { … }]]=],
  } },
  { [[{ 5 }]], {
    [=[[1]: 5 is no parent [parents are profile "name" or tables; mounts go into mounts = { … }]]=],
  } },
  { [[limits = { io = { ["/dev/x"] = { reed = 1 }, ["/dev/y"] = 5 } }]], {
    [=[limits.io["/dev/x"].reed: no such field (did you mean 'read'?) [io takes: read, write, read_ops, write_ops]]=],
    [=[limits.io["/dev/y"]: 5 is no table [io takes: read, write, read_ops, write_ops]]=],
  } },
  { [[description = function() end]], {
    [=[description: a function is no data [a constructor is called, with braces: NAME { … }]]=],
  } },
  -- As other programs write it.
  { [[image = "debian", volumes = { "/a:/b" }]], {
    [=[image: no such field [luge has no images: root = "DIR" is a root directory (luge help root)]]=],
    [=[volumes: no such field (did you mean 'mounts'?) [for example mounts = { bind { host.cwd, "/src" }, tmpfs { "/tmp" } }]]=],
  } },
  { [[ports = { "8080:80" }, enviroment = {}]], {
    [=[ports: no such field [write network = { interfaces = { veth { } }, publish = { { 8080, 80 } } }]]=],
    [=[enviroment: no such field (did you mean 'env'?) [for example env = { "LANG", "CI_COMMIT_*", CC = "gcc" }]]=],
  } },
  { [[memory = "1G", hosts = {}]], {
    [=[memory: no such field (did you mean 'limits.memory'?) [for example limits = { memory = "2G" }]]=],
    [=[hosts: no such field (did you mean 'network.hosts'?) [for example network = { hosts = { db = "192.0.2.1" } }]]=],
  } },
  { [[tmpfs = { "/x" }, read_only = true]], {
    [=[tmpfs: no such field [tmpfs { … } is an entry of a list: luge help tmpfs]]=],
    [=[read_only: no such field [leave it out: the root is read-only]]=],
  } },
  { [[limits = { nofile = 9, pids = "12", memory = "512m", wall = "5 sec" }]], {
    [=[limits.nofile: no such field (did you mean 'open_files'?) [for example open_files = 1024]]=],
    [=[limits.pids: "12" is no whole number [a number has no quotes]]=],
    [=[limits.memory: "512m" is no size (write 2G, 512M or a number of bytes) [write "512M", powers of 1024]]=],
    [=[limits.wall: "5 sec" is no duration (write 500ms, 30s, 10m, 2h or a number of seconds) [write "5s"]]=],
  } },
  { [[limits = { memory = "lots", wall = "5 weeks" }]], {
    [=[limits.memory: "lots" is no size (write 2G, 512M or a number of bytes)]=],
    [=[limits.wall: "5 weeks" is no duration (write 500ms, 30s, 10m, 2h or a number of seconds)]=],
  } },
  { [[mounts = { "/a:/b", "/a:/b:rw", "/a:/b:ro,z", bind { "/a", "/c", ro = true }, bind { source = "/a", dest = "/d" } }]], {
    [=[mounts[1]: "/a:/b" is no mount [write bind { "/a", "/b" }]]=],
    [=[mounts[2]: "/a:/b:rw" is no mount [write bind { "/a", "/b", rw = true }]]=],
    [=[mounts[3]: "/a:/b:ro,z" is no mount [write bind { "/a", "/b" }]]=],
    [=[mounts[4].ro: no such field [leave it out: a bind is read-only unless rw = true]]=],
    [=[mounts[5].dest: no such field (did you mean 'target'?) [for example target = "/data"]]=],
  } },
  { [[network = { publish = { "8080:80", "127.0.0.1:8080:80", "80", "x" }, egress = { allow = { "192.0.2.1:443" } } }]], {
    [=[network.publish[1]: "8080:80" is no table [write { 8080, 80 }]]=],
    [=[network.publish[2]: "127.0.0.1:8080:80" is no table [write { "127.0.0.1:8080", 80 }]]=],
    [=[network.publish[3]: "80" is no table [write { 80, 80 }]]=],
    [=[network.publish[4]: "x" is no table [publish takes: host, guest, proto]]=],
    [=[network.egress.allow[1]: "192.0.2.1:443" is no table [write { cidr = "192.0.2.1", port = 443 }]]=],
  } },
  { [[network = "bridge"]], { [=[network: "bridge" is no network [write network = { interfaces = { bridge { } } }]]=] } },
  { [[network = "container:web"]], { [=[network: "container:web" is no network [write network = { join = "web" }]]=] } },
  { [[stop = "INT", health = "curl -f", seccomp = "unconfined", restart = "unless-stopped"]], {
    [=[stop: "INT" is no table [write stop = { signal = "INT" }]]=],
    [=[health: "curl -f" is no table [write health = { command = { "sh", "-c", "curl -f" } }]]=],
    [=[seccomp: "unconfined" is not one of "default", "ci", "strict", "compute" [write seccomp = false]]=],
    [=[restart: "unless-stopped" is not one of "failure", "always" [write restart = "always"]]=],
  } },
}
-- luacheck: pop

for _, row in ipairs(GOLDEN) do
  t.test("wrong: " .. row[1]:gsub("%c", " "), function() t.equal(p.faults(row[1]), row[2]) end)
end

local function text_of(text, options)
  local spec, faults = p.load(text, options)
  t.equal(spec, nil)
  return profile.format(faults)
end

t.test("the exact line and place", function()
  t.equal(text_of [[
local data = "/data"
return container {
  command = { "true" },
  mounts = {
    bind { data },
    tmpfs { "/tmp", sise = "64M" },
  },
  limits = { wall = "ten" },
}
]], [[
t.lua:6: mounts[2].sise: no such field (did you mean 'size'?)
    6 |     tmpfs { "/tmp", sise = "64M" },
      |                     ^~~~
      = a tmpfs takes: target, size, mode, inodes, flags
t.lua:8: limits.wall: "ten" is no duration (write 500ms, 30s, 10m, 2h or a number of seconds)
    8 |   limits = { wall = "ten" },
      |                     ^~~~~
2 errors; nothing was started.
]])
end)

t.test("a fault of the command line names its option", function()
  local function says(override)
    return text_of("return container { }", { overrides = { override } })
  end
  t.equal(says { field = "limits.wall", text = "soon", origin = "--timeout" },
    '--timeout: limits.wall: "soon" is no duration (write 500ms, 30s, 10m, 2h or a number of seconds)\n'
    .. "1 error; nothing was started.\n")
  t.contains(says { field = "limits.wal", text = "1s", origin = "--set limits.wal" },
    "--set limits.wal: limits.wal: no such field (did you mean 'wall'?)")
  t.contains(says { field = "mounts", text = "{ tmpfs { '/x', size = 'big' } }", origin = "--set mounts" },
    '--set mounts: mounts[1].size: "big" is no size')
  t.contains(says { field = "mounts", text = "{ tmpfs {", origin = "--set mounts" }, "--set mounts: mounts: ")
  t.contains(says { field = "mounts", append = { type = "bind", "/a", "b" }, origin = "--bind" },
    '--bind: mounts[1].target: "b" is not absolute')
  t.contains(says { field = "landlock", text = "{ read = { '/usr' } }", origin = "--set landlock" },
    "is not enforced by this version of luge")
end)

t.test("what is no profile", function()
  t.contains(text_of "return 5", "a profile ends with: return container { ... }")
  t.contains(text_of "return tmpfs { '/x' }", "a 'tmpfs'")
  t.contains(text_of "return container { comand = 1, cwd = 2 }", "2 errors; nothing was started.")
end)

t.test("a group gives one of its containers", function()
  local text = 'return group { containers = { a = container { cwd = "/a" }, b = container { cwd = "/b" } } }'
  t.contains(text_of(text), "this is a group, and one container is meant here")
  t.contains(text_of(text), "FILE.lua:a")
  t.contains(text_of(text, { container = "c" }), "no container 'c' in this group")
  t.contains(text_of("return container { }", { container = "c" }), "this is one container")
  local spec = t.ok(p.load(text, { container = "b" }))
  t.equal(spec.cwd, "/b")
  t.equal(spec.profile_name, "t-b")
end)

t.test("a whole group is its containers in the order of their start", function()
  local text = [[return group { main = "test", network = "host", containers = {
    test = container { needs = { web = "healthy", seed = "done" } }, seed = container { needs = { db = "started" }, network = "none" },
    web = container { health = { fd = 3 }, needs = { db = "started" } }, db = container { }, gone = false } }]]
  local group = t.ok(p.load(text, { whole = true }))
  t.equal({ group.type, group.name, group.main, group.order }, { "group", "t", "test", { "db", "seed", "web", "test" } })
  local members = group.members
  t.equal({ members.db.service, members.seed.service, members.web.service }, { true, nil, true })
  t.equal({ members.db.spec.network.type, members.seed.spec.network.type }, { "host", "none" })
  t.equal(members.db.needed_by, { "seed", "web" })
  t.equal(p.load(text, { container = "web" }).network.type, "host", "one of them by itself as well")
end)

t.test("messages show no control characters", function()
  t.lacks(text_of 'return container { cwd = "\27[2J" }', "\27")
  t.lacks(text_of 'return container { ["\27x"] = 1 }', "\27")
end)

t.test("keys far away and faults without end take no time", function()
  t.equal(p.faults "mounts = { [1 << 40] = tmpfs { '/x' } }",
    { "mounts[1099511627776]: no such field [this is a list: its entries have no names]" })
  t.equal(p.faults "[1 << 40] = 1", { "[1099511627776]: no such field [luge help container lists the fields]" })
  t.equal(p.faults "[1.5] = 1", { "[1.5]: no such field [luge help container lists the fields]" })
  t.ok(#p.faults "mounts = { tmpfs { [1e6] = 1, [0] = 1, [-1] = 2 } }" > 1)
  t.equal(#p.faults [[command = (function() local l = {} for i = 1, 20000 do l[i] = {} end return l end)()]], 100)
end)

-- Whatever the tables of other programs' words promise can be written.
t.test("what is written instead is a field, or a value that is good", function()
  local elsewhere, schema = require "sandbox.profile.elsewhere", require "sandbox.profile.schema"
  local checked = 0
  local function check(rec)
    for _, name in ipairs(elsewhere.names(rec)) do
      t.equal(schema.field(rec, name), nil, rec.name .. "." .. name .. " is a field itself")
      local near, hint = elsewhere.field(schema, rec, name)
      t.ok(near or hint, rec.name .. "." .. name)
      t.ok(not near or hint, ("%s.%s: there is no %s"):format(rec.name, name, tostring(near)))
      checked = checked + 1
    end
  end
  check(schema.container)
  check(schema.group)
  for _, name in ipairs { "limits", "network", "health", "stop", "restart", "log" } do
    local type_ = schema.field(schema.container, name)[2]
    check(type_.kind == "record" and type_ or type_.table and (type_.takes and type_.takes.record(type_.table) or type_.table))
  end
  for _, name in ipairs { "bind", "veth", "bridge" } do check(schema.kinds[name]) end
  t.ok(checked > 100, checked .. " names were looked at")
end)
