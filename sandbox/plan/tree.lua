-- SPDX-License-Identifier: MIT
-- sandbox.plan.tree: the container's file tree, decided before a step is written.
--
-- Standard mounts and the profile's become one list in path order. Then each target is looked up in what will
-- lie below it: where a read-only host tree lacks it, that tree becomes the lower layer of a throw-away
-- overlay (a "view"), so that nothing is ever made in the host's files.

local network = require "netns.plan"

local M = {}

-- What comes from the host under the root "system".
local SYSTEM_DIRS = { "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt" }
local ETC_BINDS = { "/etc/alternatives", "/etc/ssl/certs", "/etc/pki", "/etc/ld.so.conf.d" }
local ETC_COPIES = { "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ssl/openssl.cnf", "/etc/timezone" }
local ETC_NETWORK = { "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services", "/etc/protocols" }

local FILE, DIRECTORY, SHARED = 420, 493, 1023 -- modes: 0644, 0755, 1777

local function standard(list, mount)
  mount.standard = true
  mount.why = mount.why or "root"
  list[#list + 1] = mount
end

-- A host tree as it is: read-only, never idmapped.
local function host_tree(list, path, target)
  standard(list, { type = "bind", source = path, target = target or path, exec = true, recursive = true,
    id_map = false })
end

local function add_network_files(c, list)
  local hosts, resolver = network.files(c)
  standard(list, { type = "file", target = "/etc/hosts", mode = FILE, why = "network", text = hosts, has_symbols = true })
  if resolver then
    standard(list, { type = "file", target = "/etc/resolv.conf", mode = FILE, why = "network", text = resolver })
  end
end

local function add_etc(c, list)
  local facts = c.facts
  for _, path in ipairs(ETC_BINDS) do
    if facts:stat(path) then host_tree(list, path) end
  end
  for _, path in ipairs(ETC_COPIES) do
    if facts:stat(path) then standard(list, { type = "copy", source = path, target = path }) end
  end
  local zone = facts:link("/etc/localtime")
  if zone then standard(list, { type = "symlink", target = "/etc/localtime", to = zone }) end
  standard(list, { type = "symlink", target = "/etc/mtab", to = "/proc/self/mounts" })
  standard(list, { type = "file", target = "/etc/passwd", text = c.accounts.passwd, mode = FILE, why = "user" })
  standard(list, { type = "file", target = "/etc/group", text = c.accounts.group, mode = FILE, why = "user" })
  if c.spec.network.type == "host" then
    for _, path in ipairs(ETC_NETWORK) do
      if facts:stat(path) then standard(list, { type = "copy", source = path, target = path, why = "network" }) end
    end
  else
    add_network_files(c, list)
    standard(list, { type = "file", target = "/etc/nsswitch.conf", mode = FILE, why = "network",
      text = "passwd: files\ngroup: files\nhosts: files dns\n" })
  end
end

local function add_system(c, list)
  for _, path in ipairs(SYSTEM_DIRS) do
    local link = c.facts:link(path)
    if link then
      standard(list, { type = "symlink", target = path, to = link })
    elseif c.facts:stat(path) then
      host_tree(list, path)
    end
  end
  add_etc(c, list)
end

-- Private writable places: a tmpfs each, or below one.
local function add_scratch(list, paths)
  for _, path in ipairs(paths) do
    standard(list, { type = "tmpfs", target = path, mode = path:match("tmp$") and SHARED or DIRECTORY,
      owner = not path:match("tmp$") and path ~= "/run" })
  end
end

-- Covered anyway, or no place for a home.
local NO_HOME = { "/home", "/root", "/run", "/tmp", "/var/tmp", "/usr" }

local function may_be_home(path)
  if not path or not path:find("^/[^/]") then return false end
  for _, place in ipairs(NO_HOME) do
    if path == place or path:sub(1, #place + 1) == place .. "/" then return false end
  end
  return true
end

-- The homes that the whole host's tree would show. The caller's own may lie elsewhere, and holds what only a
-- container with the caller's id could read.
local function homes(c)
  local list = { "/home", "/root" }
  for _, home in ipairs { c.facts.passwd.home or "/", c.facts.home } do
    if may_be_home(home) and home ~= list[#list] then list[#list + 1] = home end
  end
  return list
end

local function add_standard(c, list)
  local root = c.spec.root
  if root.type == "system" then
    add_system(c, list)
    add_scratch(list, { "/run", "/var/tmp" })
    if c.home ~= "/" then add_scratch(list, { c.home }) end
  elseif root.type == "host" then
    add_scratch(list, { "/run", "/var/tmp" })
    for _, home in ipairs(homes(c)) do
      if c.facts:stat(home) then standard(list, { type = "tmpfs", target = home, mode = DIRECTORY }) end
    end
  end
  if root.type ~= "system" and network.has_files(c.spec.network) then add_network_files(c, list) end
  standard(list, { type = "proc", target = "/proc", why = "mounts" })
  standard(list, { type = "sysfs", target = "/sys", why = "mounts" })
  standard(list, { type = "dev", target = "/dev", why = "devices" })
  standard(list, { type = "tmpfs", target = "/tmp", mode = SHARED, why = "mounts" })
end

local LEAVES = { symlink = true, file = true, secret = true, copy = true }

-- Nothing can be made below a mask, and nothing would be seen there.
local function is_masked(masks, target)
  repeat
    target = target:match "^(.*)/"
    if masks[target] then return true end
  until target == ""
end

-- What luge mounts on some hosts, or with some profiles.
local function may_be_standard(target)
  for _, list in ipairs { SYSTEM_DIRS, ETC_BINDS, ETC_COPIES, ETC_NETWORK, { "/etc/localtime", "/home", "/root", "/run", "/var/tmp",
    "/dev/pts", "/dev/shm" } } do
    for _, path in ipairs(list) do
      if path == target then return true end
    end
  end
  return target:find "^/proc/" ~= nil or target:find "^/sys/" ~= nil
end

-- A name that nothing has would leave in the container what it was to take out.
local function check_removals(c, removed, standard_ones)
  local targets = {}
  for _, mount in ipairs(standard_ones) do targets[#targets + 1], targets[mount.target] = mount.target, true end
  for _, mount in ipairs(c.spec.mounts) do targets[#targets + 1] = mount.target end
  for target, entry in pairs(removed) do
    if type(entry) == "table" and not targets[target] and not may_be_standard(target) then
      local near = require("luge.cage").nearest(target, targets)
      c:fault("mounts", ("remove %q: nothing is mounted there"):format(target),
        (near and ("did you mean %s? "):format(near) or "") .. "Where it may be missing: optional(remove …)", entry)
    end
  end
end

-- The profile's mounts replace standard ones of the same target; `remove "…"` leaves one out.
local function combined(c)
  local list, written, masks = {}, {}, {}
  for i, mount in ipairs(c.spec.mounts) do
    written[mount.target] = true
    if mount.type == "mask" then masks[mount.target] = mount end
    mount.why = ("mounts[%d]"):format(i)
  end
  local all = {}
  add_standard(c, all)
  local removed = c.spec.removed_mounts or {}
  check_removals(c, removed, all)
  for _, mount in ipairs(all) do
    local mask = masks[mount.target]
    if mask then mask.over_file = LEAVES[mount.type] or mount.type == "bind" and c.facts:stat(mount.source).type ~= "directory" end
    if not (written[mount.target] or removed[mount.target] or is_masked(masks, mount.target)) then list[#list + 1] = mount end
  end
  for _, mount in ipairs(c.spec.mounts) do list[#list + 1] = mount end
  for i, mount in ipairs(list) do mount.order = i end
  table.sort(list, function(a, b)
    if a.target ~= b.target then return a.target < b.target end
    return a.order < b.order
  end)
  return list
end

-- What has files below which other mounts may go.
local HAS_FILES = { bind = true, layers = true, tmpfs = true, proc = true, sysfs = true, dev = true, devpts = true,
  mqueue = true, cgroup = true }

-- The mount (or the root) whose files lie at `path`: the nearest one above it.
local function cover_of(trees, root, path)
  local above = path:match("^(.*)/[^/]*$")
  while above ~= "" do
    if trees[above] then return trees[above] end
    above = above:match("^(.*)/[^/]*$")
  end
  return root
end

local function writable(cover)
  return cover.overlay or cover.upper
end

-- Whether the target is there already, in a tree that comes from the host.
local function found_below(c, cover, target)
  local prefix = cover.target == "/" and "" or cover.target
  local inside = target:sub(#prefix + 1)
  for _, source in ipairs(cover.lower or { cover.source }) do
    if c.facts:stat_in_root(source, inside) then return true end
  end
  return false
end

-- Whether the container's root has no power over the tree's owners, so that even in a copy-on-write view it could
-- not make a name there.
local function is_foreign(c, cover)
  if cover.standard or cover.kind == "host" then return true end
  local st = c.facts:stat(cover.source or cover.lower[#cover.lower])
  return not c.facts.privileged and st and st.uid ~= c.facts.uid
end

-- What is at `path` of the tree: of layers, what the highest one has there.
local function look(c, cover, path)
  local sources = cover.lower or { cover.source }
  for i = #sources, 1, -1 do
    local st = c.facts:lstat_in_root(sources[i], path)
    if st then return st end
  end
end

local function fault_below_file(c, mount, file)
  c:fault(mount.why, ("%s cannot be made: %s is a file"):format(mount.target, file), "choose another target")
end

-- Directories of a foreign tree in which a name will be made: they are made beforehand in the view's upper
-- directory, as the container's own, where the overlay merges them with those below.
local function adopt_parents(c, mount, cover)
  local foreign = is_foreign(c, cover)
  cover.adopted = cover.adopted or foreign and { list = {}, known = {} }
  local path = ""
  local prefix = cover.target == "/" and "" or cover.target
  local above = mount.target:sub(#prefix + 1):match("^(.*)/[^/]*$") -- what is at the target itself is replaced
  for name in above:gmatch("/([^/]+)") do
    path = path .. "/" .. name
    local st = look(c, cover, path)
    if not st then return end
    if st.type == "symlink" and not foreign then return end
    if st.type == "symlink" then
      c:fault(mount.why, ("%s is a symbolic link, and %s is missing behind it"):format(prefix .. path, mount.target),
        "write the path that the link leads to")
      return
    end
    if st.type ~= "directory" then return fault_below_file(c, mount, prefix .. path) end
    if foreign and not cover.adopted.known[path] then
      cover.adopted.known[path] = true
      cover.adopted.list[#cover.adopted.list + 1] = { path = path, mode = ("%04o"):format(st.perm & SHARED) }
    end
  end
end

local MAKES_NAME = { dir = true, file = true, symlink = true, secret = true, copy = true }

local function settle(c, mount, cover)
  mount.cover = cover
  if not (cover.source or cover.lower) or writable(cover) then return end
  local found = found_below(c, cover, mount.target)
  if found and not MAKES_NAME[mount.type] then return end
  if found and mount.type == "dir" then
    mount.found = true
    return
  end
  if cover.rw then
    if found and (mount.type == "file" or mount.type == "secret") then return end
    c:fault(mount.why, ("%s does not exist in %s, which is writable: luge does not make it there")
      :format(mount.target, cover.source or "its root"), "create it, or leave out rw")
    return
  end
  -- The kernel lets an ordinary user take no copy of a tree without what is mounted in it (EINVAL).
  if cover.kind == "host" and not c.facts.privileged then
    c:fault(mount.why, ("%s does not exist on this host, and an ordinary user cannot put it into a view of \"/\"")
      :format(mount.target), "mount on a path that exists, or below /tmp or /run")
    return
  end
  cover.view = true
  adopt_parents(c, mount, cover)
end

-- Nothing goes below a file, wherever it is from.
local function is_leaf(c, mount)
  if LEAVES[mount.type] then return true end
  if mount.type ~= "bind" or mount.standard then return false end
  local st = c.facts:stat(mount.source)
  return st and st.type ~= "directory"
end

-- A link that luge makes leads nowhere yet, or to the host's tree: nothing can be mounted through it, nor below a file.
local function check_leaves(c, mount, leaves)
  local above = mount.target:match("^(.*)/[^/]*$")
  while above ~= "" do
    local leaf = leaves[above]
    if leaf and leaf.type == "symlink" then
      return c:fault(mount.why, ("%s is a symbolic link to %s"):format(above, leaf.to), "write the path that it leads to")
    elseif leaf and mount.standard and not leaf.standard then
      leaf.told = leaf.told or c:fault(leaf.why, ("%s would be a file, and luge puts %s below it"):format(above, mount.target),
        "choose another target") or true
      return
    elseif leaf then
      return fault_below_file(c, mount, above)
    end
    above = above:match("^(.*)/[^/]*$")
  end
end

-- What luge would take from the host for /etc, where the profile brings an /etc: that one is whole.
local function is_brought(c, mount, cover)
  if not mount.standard or mount.why ~= "root" or mount.type == "tmpfs" then return false end
  return cover ~= c.tree and not cover.standard and (cover.type == "bind" or cover.type == "layers")
end

--- Decides c.tree (the root) and c.mounts (in path order, each with `.cover`), adding faults.
function M.decide(c)
  local root = c.spec.root
  c.tree = { type = "root", target = "/", why = "root", rw = root.rw, overlay = root.overlay, upper = root.upper,
    size = root.size, lower = root.lower, source = root.type == "host" and "/" or root.path, kind = root.type }
  c.mounts, c.targets = combined(c), {}
  local trees, leaves, mounts = {}, {}, {}
  for _, mount in ipairs(c.mounts) do
    c.targets[mount.target] = true
    local cover = cover_of(trees, c.tree, mount.target)
    if not is_brought(c, mount, cover) then
      mounts[#mounts + 1] = mount
      check_leaves(c, mount, leaves)
      settle(c, mount, cover)
      if is_leaf(c, mount) then
        leaves[mount.target] = mount
      elseif HAS_FILES[mount.type] then
        trees[mount.target] = mount
      end
    end
  end
  c.mounts = mounts
end

return M
