-- SPDX-License-Identifier: MIT
-- sandbox.cli.doctor: `luge doctor`: what this host supports, found by trying, and how to get the rest.
--
-- What is tried is undone at once: a user namespace lives only as long as its descriptor.

local S = require "syscall"
local facts = require "sandbox.plan.facts"

local M = {}

-- Runs `try` in a child in new user and mount namespaces; its exit code 0 is success.
local function in_namespaces(host, try)
  local uid, gid = ("0 %d 1"):format(host.uid), ("0 %d 1"):format(host.gid) -- inside it has none yet
  local pid = S.clone3 { flags = "newuser, newns", exit_signal = "chld" }
  if not pid then return false end
  if pid == 0 then
    S.writefile("/proc/self/setgroups", "deny")
    local mapped = S.writefile("/proc/self/uid_map", uid) and S.writefile("/proc/self/gid_map", gid)
    local ok, result = pcall(try)
    S.exit(mapped and ok and result and 0 or 1)
  end
  local status = S.waitid("pid", pid, "exited")
  return status.code == "exited" and status.status == 0
end

local function tmpfs(options)
  return S.new_mount { type = "tmpfs", options = options or {} }
end

local function overlay_inside()
  local fd = tmpfs()
  if not fd then return false end
  for _, name in ipairs { "lower", "upper", "work" } do S.mkdirat(fd, name, "0755") end
  S.mount { target = "/", flags = "rec, private" }
  if not S.move_mount(fd, "", "fdcwd", "/", "f_empty_path") then return false end
  local base = "/proc/self/fd/" .. fd:getfd()
  return S.new_mount { type = "overlay", options = { { "lowerdir", base .. "/lower" }, { "upperdir", base .. "/upper" },
    { "workdir", base .. "/work" }, { "userxattr", true } } } ~= nil
end

local checks = {}

local function check(name, try)
  checks[#checks + 1] = { name = name, try = try }
end

check("kernel", function(host)
  local major, minor = host.kernel:match("^(%d+)%.(%d+)")
  local enough = tonumber(major) > 5 or tonumber(major) == 5 and tonumber(minor) >= 12
  return enough, host.kernel, "luge needs Linux 5.12 (mount_setattr)"
end)

check("user namespaces", function(host)
  if in_namespaces(host, function() return true end) then return true, "work" end
  return false, "closed", require("sandbox.container.closed").way_out()
end)

check("id_map auto", function(host)
  if host.privileged or host.uid == 0 then
    local pool = require("sandbox.plan.users").roots_pool(host)
    if pool then return true, "private ranges of 65,536 ids from " .. pool.first end
    return nil, "not here: the user namespace that luge runs in has too few ids", 'the default is id_map = "self" here'
  end
  if not (host.newuidmap and host.newgidmap) then
    return false, "newuidmap and newgidmap are missing", "install the package uidmap"
  end
  if not (host.subuid[1] and host.subgid[1]) then
    return false, host.user .. " has no subordinate ids",
      "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 " .. host.user
  end
  return true, ("from %d, %d ids"):format(host.subuid[1].first, host.subuid[1].count)
end)

check("idmapped mounts", function(host)
  if not (host.privileged and host.initial_userns) then
    return nil, "not for ordinary users", "their own files appear as the container user's without"
  end
  local map = S.userns_open { uids = { { 0, 1000, 1 } }, gids = { { 0, 1000, 1 } } }
  local tree = map and S.open_tree("fdcwd", host.cwd, "clone, cloexec")
  local ok = tree and S.mount_setattr(tree, "", "empty_path", { userns = map })
  return ok ~= nil, (ok and "work on " or "refused on ") .. host.cwd,
    "use a file system that has them (ext4, xfs, btrfs, tmpfs)"
end)

check("overlay", function(host)
  if host.privileged then
    local known = (S.readfile("/proc/filesystems") or ""):find("\toverlay\n", 1, true)
    return known ~= nil, "mounted by root", "modprobe overlay"
  end
  return in_namespaces(host, overlay_inside), "inside user namespaces",
    "Linux 6.6 has user xattrs on tmpfs, which it needs"
end)

check("seccomp", function()
  local actions = S.readfile("/proc/sys/kernel/seccomp/actions_avail") or ""
  local enough = actions:find("errno") ~= nil and actions:find("kill_process") ~= nil
  return enough, actions:match("[^\n]*"), "a kernel with CONFIG_SECCOMP_FILTER"
end)

check("new proc and sysfs", function(host)
  local covered = 0
  for line in (S.readfile("/proc/self/mountinfo") or ""):gmatch("[^\n]+") do
    if line:match("^%d+ %d+ %S+ %S+ /proc/%S+ ") then covered = covered + 1 end
  end
  if covered > 0 and not (host.privileged and host.initial_userns) then
    return false, covered .. " mounts cover parts of /proc",
      "luge runs inside a container that masks /proc: run it outside, or with /proc unmasked"
  end
  return true, "can be mounted"
end)

check("state directory", function(host)
  local directory, why = require("sandbox.container.state").directory(host)
  return directory ~= nil, directory or why, "set LUGE_STATE to a directory of yours"
end)

-- Which limits of a profile each controller holds.
local HOLDS = { { "memory", "memory swap" }, { "pids", "pids" }, { "cpu", "cpus cpu_weight" }, { "cpuset", "cpuset" },
  { "io", "io" }, { "hugetlb", "hugetlb" } }

check("cgroups", function(host)
  local layout = host.cgroups
  local on = { {}, {} }
  for _, name in ipairs { "memory", "pids", "cpu", "cpuset", "io", "hugetlb", "devices", "freezer" } do
    local hierarchy = layout:find(name)
    if hierarchy then table.insert(on[hierarchy.version], name) end
  end
  local parts = {}
  for version, names in ipairs(on) do
    if #names > 0 then parts[#parts + 1] = ("v%d has %s"):format(version, table.concat(names, " ")) end
  end
  return nil, layout:kind() .. (#parts > 0 and ": " .. table.concat(parts, "; ") or "")
end)

-- Whether a limit of this controller can be had by the user who asks; where not, why.
local function usable(host, controller)
  local layout = host.cgroups
  local hierarchy = layout:find(controller)
  if not hierarchy then return false, "missing" end
  local place = layout:place(hierarchy, nil, host.uid)
  if not place then return false, "closed" end
  if hierarchy.version == 2 and not layout:enable(place, { controller }) then return false, "closed" end
  return true
end

check("limits", function(host)
  local can, cannot, closed = {}, {}, false
  for _, row in ipairs(HOLDS) do
    local ok, why = usable(host, row[1])
    table.insert(ok and can or cannot, row[2])
    closed = closed or why == "closed"
  end
  local memory = host.cgroups:find("memory")
  if usable(host, "memory") and memory.version == 2 then can[1] = can[1] .. " memory_high oom_group" end
  local found = (#can > 0 and table.concat(can, " ") or "none") .. " by cgroups"
  if #cannot == 0 then return true, found end
  return nil, found .. "; not " .. table.concat(cannot, " "), closed
    and "luge run by root, or in a scope of its own: systemd-run --user --scope -p Delegate=yes luge run …; pids falls back "
    .. "to RLIMIT_NPROC" or "a kernel that has these controllers, mounted below /sys/fs/cgroup"
end)

-- Everything that a container's firewall is made of, on a loopback of its own.
local function firewall_inside()
  local nl = require "netns"
  local link = { link = "lo", mac = "02:00:00:00:00:01", addresses = { "192.0.2.2", "2001:db8::2" }, nat = true, bridge = "lo" }
  return S.unshare "newnet" and nl.firewall { table = "luge-doctor", links = { link }, egress = { log = true, allow = {} },
    publish = { { proto = "tcp", port = 80, to = "192.0.2.2", to_port = 80, link = 1 },
      { proto = "tcp", port = 80, to = "2001:db8::2", to_port = 80, link = 1, on_bridge = true } } } and nl.conntracks() ~= nil
end

check("firewall", function(host)
  if in_namespaces(host, firewall_inside) then return true, "nftables has what a network's firewall takes" end
  return nil, "nftables lacks something, or user namespaces are closed",
    "a kernel with ctnetlink, and nf_tables for inet, netdev and bridge, with nat, masquerade, reject, fib "
    .. "and sets (modprobe -a nf_tables nf_conntrack_netlink)"
end)

check("network user", function(host)
  local user = require "netns.plan_user"
  local message, way_out = user.missing(host, {})
  if message then return nil, message, way_out end
  return true, "by " .. user.backend(host, {})
end)

local WORDS = { [true] = "yes", [false] = "NO" }

function M.run(options)
  local host = facts.gather()
  local rows, code = {}, 0
  for i, entry in ipairs(checks) do
    local ok, text, way = entry.try(host)
    if ok == false then code = 1 end
    rows[i] = { name = entry.name, ok = ok, found = text, way_out = ok ~= true and way or nil }
  end
  if options.json then
    local json = require "luge.json"
    for _, row in ipairs(rows) do if row.ok == nil then row.ok = json.null end end
    print(json.encode({ schema = 1, checks = json.array(rows) }, { pretty = true }))
    return code
  end
  for _, row in ipairs(rows) do
    print(("%-20s %-4s %s"):format(row.name, WORDS[row.ok] or "-", row.found or ""))
    if row.way_out then print((" "):rep(25) .. "= " .. row.way_out) end
  end
  return code
end

return M
