-- SPDX-License-Identifier: MIT
-- sandbox.plan.special: /proc, /sys and /dev, the trees that talk to the kernel.

local text = require("sandbox.plan.steps").text

local M = {}

-- Hidden: they show or change the host, whatever their modes say.
local HIDDEN_PROC = { "acpi", "asound", "kcore", "keys", "latency_stats", "timer_list", "timer_stats",
  "sched_debug", "scsi", "interrupts", "kpagecount", "kpageflags", "kpagecgroup", "vmallocinfo" }
local READONLY_PROC = { "bus", "fs", "irq", "sys", "sysrq-trigger" }
local HIDDEN_SYS = { "firmware", "devices/virtual/powercap", "kernel/debug", "kernel/tracing", "kernel/security" }

--- For the receipt, as paths below the root.
M.hidden, M.readonly = { ["/proc"] = HIDDEN_PROC, ["/sys"] = HIDDEN_SYS }, { ["/proc"] = READONLY_PROC }

-- Always there: name, major, minor.
local NODES = { { "null", 1, 3 }, { "zero", 1, 5 }, { "full", 1, 7 }, { "random", 1, 8 }, { "urandom", 1, 9 },
  { "tty", 5, 0 } }
local LINKS = { { "fd", "/proc/self/fd" }, { "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" },
  { "stderr", "/proc/self/fd/2" }, { "ptmx", "pts/ptmx" } }

-- A detached clone of a mount that is attached by then.
local function clone_of(c, why, hint, fd)
  return c.steps:open("guest", why, hint, "open_tree", { fd, "", "clone, cloexec, empty_path" })
end

--- A detached read-only mount of the host's /dev/null, checked to be it: what hides a file. The second and later ones are
-- clones of the first.
function M.null(c, why)
  if c.null then return clone_of(c, why, "null", c.null) end
  local place = c.source_place
  c.null = c.steps:open(place, why, "null", "open_tree", { "fdcwd", "/dev/null", "clone, cloexec" })
  c.steps:add(place, why, "expect_device", { c.null, "char", 1, 3 })
  c.steps:add(place, why, "mount_setattr", { c.null, "", "empty_path", { attr_set = "rdonly" } })
  return c.null
end

--- A detached, empty, read-only directory: what hides a directory. One file system serves all of a container.
function M.nothing(c, why)
  if c.nothing then return clone_of(c, why, "nothing", c.nothing) end
  c.nothing = c.steps:open("guest", why, "nothing", "new_mount",
    { { type = "tmpfs", options = { { "mode", "0755" }, { "nr_inodes", 2 } }, attrs = "rdonly, nosuid, nodev, noexec" } })
  return c.nothing
end

local function hide(c, why, tree, prefix, names)
  for _, name in ipairs(names) do
    local kind = c.facts:kind(prefix .. name)
    if kind then
      local cover = kind == "directory" and M.nothing(c, why) or M.null(c, why)
      c.steps:add("guest", why, "move_mount", { cover, "", tree, name, "f_empty_path" })
    end
  end
end

-- An own procfs, mounted by descriptor: what a hostile root has at /proc is never looked at.
function M.proc(c, mount, attach)
  local steps, why = c.steps, mount.why
  local attrs = "nosuid, nodev, noexec"
  local tree
  if c.spec.namespaces.pid == "host" and c.ids.userns then
    -- A new one shows the processes of an own pid namespace: the kernel refuses another's.
    tree = steps:open(c.source_place, why, "proc", "open_tree", { "fdcwd", "/proc", "clone, cloexec, recursive" })
    steps:add(c.source_place, why, "mount_setattr", { tree, "", "empty_path, recursive", { attr_set = attrs } })
  else
    tree = steps:open("guest", why, "proc", "new_mount", { { type = "proc", attrs = attrs } })
  end
  attach(c, mount, tree)
  hide(c, why, tree, "/proc/", HIDDEN_PROC)
  for _, name in ipairs(READONLY_PROC) do
    if c.facts:kind("/proc/" .. name) then
      local fd = steps:open("guest", why, "ro", "open_tree", { tree, name, "clone, cloexec, recursive" })
      steps:add("guest", why, "mount_setattr", { fd, "", "empty_path, recursive", { attr_set = "rdonly" } })
      steps:add("guest", why, "move_mount", { fd, "", tree, name, "f_empty_path" })
    end
  end
end

-- sysfs belongs to the network namespace that it was mounted in. Without an own one a container may not mount it: of a network
-- that it joins the host's root does, from inside that; of the host's, and for a root that is none there, the host's is shown.
function M.sysfs(c, mount, attach)
  local steps, why = c.steps, mount.why
  local attrs = "rdonly, nosuid, nodev, noexec"
  local joined = not c.new_net and c.ids.userns and c.facts.initial_userns and c.joined
  local host_view = not c.new_net and c.ids.userns and not joined
  local tree
  if joined then
    steps:add("attach", why, "setns", { joined.net, "newnet" })
    tree = steps:open("attach", why, "sys", "new_mount", { { type = "sysfs", attrs = attrs } })
    steps:add("attach", why, "setns", { joined.own, "newnet" })
  elseif not host_view then
    tree = steps:open("guest", why, "sys", "new_mount", { { type = "sysfs", attrs = attrs } })
  else
    tree = steps:open(c.source_place, why, "sys", "open_tree", { "fdcwd", "/sys", "clone, cloexec, recursive" })
    steps:add(c.source_place, why, "mount_setattr", { tree, "", "empty_path, recursive", { attr_set = attrs } })
  end
  attach(c, mount, tree)
  hide(c, why, tree, "/sys/", HIDDEN_SYS)
  -- The host's tree comes with its cgroups: those of version 1 have no namespace worth the name.
  if host_view then hide(c, why, tree, "/sys/", { "fs/cgroup" }) end
end

--- gid 5 is tty's on every Linux; a container with one mapped group does not have it (EINVAL).
function M.devpts_options(c)
  local options = "newinstance,ptmxmode=0666,mode=0620"
  return c.ids:host_gid(5) and options .. ",gid=5" or options
end

-- The nodes everybody has, and what the profile adds.
local function wanted_nodes(c)
  local common, others, known = {}, {}, {}
  for _, node in ipairs(NODES) do known["/dev/" .. node[1]] = node end
  for _, device in ipairs(c.spec.devices) do
    local node = known[device.path]
    if node then common[#common + 1] = node else others[#others + 1] = device end
  end
  return common, others
end

-- Real root makes the nodes, from outside; nobody else may, and binds the host's.
local function make_directory(c, why, nodes)
  local steps, place = c.steps, c.own_dev and "attach" or "guest"
  local tree = steps:open(place, why, "dev", "new_mount",
    { { type = "tmpfs", options = { { "mode", "0755" }, { "size", "64k" } }, attrs = "nosuid, noexec" } })
  for _, node in ipairs(c.own_dev and nodes or {}) do
    steps:add("attach", why, "mknodat", { tree, node[1], "0666", "char", { major = node[2], minor = node[3] } })
  end
  for _, link in ipairs(LINKS) do steps:add(place, why, "symlinkat", { link[2], tree, link[1] }) end
  for _, name in ipairs { "pts", "shm" } do steps:add(place, why, "mkdirat", { tree, name, "0755" }) end
  -- The container's root's: the profile may mount below it.
  if c.own_dev and c.ids.userns and c.ids:host_uid(0) then
    steps:add("attach", why, "fchownat", { tree, "", c.ids:host_uid(0), c.ids:host_gid(0) or -1, "empty_path" })
  end
  return tree
end

local function bind_node(c, why, tree, name, source, check)
  local steps, place = c.steps, c.source_place
  local maker = c.own_dev and "attach" or "guest"
  local fd = steps:open(place, why, "node", "open_tree", { "fdcwd", text(source), "clone, cloexec" })
  for above in name:gmatch("()/") do
    local dir = name:sub(1, above - 1)
    if not c.dev_dirs[dir] then
      c.dev_dirs[dir] = true
      steps:add(maker, why, "mkdirat", { tree, text(dir), "0755" })
    end
  end
  if check then steps:add(place, why, "expect_device", { fd, "char", check[2], check[3] }) end
  -- The device can be written all the same; its mode and owner, which are the host's, cannot.
  steps:add(place, why, "mount_setattr", { fd, "", "empty_path", { attr_set = "rdonly" } })
  steps:add(maker, why, "mknodat", { tree, text(name), "0644", "file" })
  steps:add("guest", why, "move_mount", { fd, "", tree, text(name), "f_empty_path" })
end

function M.dev(c, mount, attach)
  local steps, why = c.steps, mount.why
  local nodes, others = wanted_nodes(c)
  c.dev_dirs = { pts = true, shm = true }
  c.own_dev = c.facts.privileged and c.facts.initial_userns
  local tree = make_directory(c, why, nodes)
  c.dev_tree = tree
  attach(c, mount, tree)
  if not c.own_dev then
    for _, node in ipairs(nodes) do bind_node(c, why, tree, node[1], "/dev/" .. node[1], node) end
  end
  for _, device in ipairs(others) do
    local st = c.facts:stat(device.path)
    if st and (st.type == "char" or st.type == "block") then
      bind_node(c, "devices", tree, device.path:match("^/dev/(.+)$"), device.path)
    elseif st or not device.optional then
      c:fault("devices", ("%s %s"):format(device.path, st and "is no device" or "does not exist"),
        st and "bind { … } is for files and directories"
          or ("leave it out (where it is inherited: remove %q), or write optional(device { … })"):format(device.path))
    end
  end
  local function below(name, how)
    local target = mount.target .. "/" .. name
    if c.written[target] then c.made[target] = true return end
    how.target = "/proc/self/fd/${" .. tree:sub(2) .. "}/" .. name
    steps:add("guest", why, "mount", { how })
  end
  below("pts", { source = "devpts", type = "devpts", flags = "nosuid, noexec", data = M.devpts_options(c) })
  local shared = mount.target .. "/shm"
  if c.spec.limits.disk and not c.written[shared] then
    local fd = require("sandbox.plan.disk").directory(c, why, { mode = "1777", flags = "nosuid, nodev, noexec" })
    return steps:add("guest", why, "move_mount", { fd, "", tree, "shm", "f_empty_path" })
  end
  below("shm", { source = "tmpfs", type = "tmpfs", flags = "nosuid, nodev, noexec", data = "mode=1777" })
end

return M
