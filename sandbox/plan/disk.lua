-- SPDX-License-Identifier: MIT
-- sandbox.plan.disk: `limits.disk`: one tmpfs of that size holds all that the container writes and nobody keeps.
--
-- Its directories become what would be file systems of their own: the private /tmp, /run, /var/tmp and home, /dev/shm,
-- every tmpfs without a size, the upper and work directories of discarded overlays without a size, files over writable
-- binds. So they share the room, and a write beyond it is ENOSPC. A tmpfs or overlay with a size of its own counts
-- beside it; what is kept (a writable bind, an overlay's directory) is the host's and not limited here.

local overlay = require "sandbox.plan.overlay"

local M = {}

local PAGE = 4096

-- The kernel rounds up to pages; more than was asked must not fit. An inode, which no block is counted for, takes about
-- a KiB of the kernel's memory: with one for each KiB of size, empty files cannot take more than full ones.
local function options(size)
  size = size - size % PAGE
  return { { "mode", "0755" }, { "size", size }, { "nr_inodes", size // 1024 + 1024 } }
end

--- The descriptor of the file system's root, made when first asked for, where overlays take their upper directories.
function M.root(c)
  local disk = c.disk
  if not disk then
    local fd = c.steps:open(c.source_place, "limits.disk", "disk", "new_mount",
      { { type = "tmpfs", options = options(c.spec.limits.disk), attrs = "nosuid, nodev" } })
    disk = { fd = fd, n = 0 }
    c.disk = disk
    -- An overlay in a user namespace takes no upper directory that is attached nowhere.
    if c.source_place == "guest" then M.hang(c) end
  end
  return disk.fd
end

--- Attaches it, since the kernel makes copies only of what is (open_tree: EINVAL).
function M.hang(c)
  local disk = c.disk
  if disk.hung then return end
  overlay.hang(c, disk.fd, "limits.disk")
  disk.hung = true
end

--- Before it is taken off from where it is attached, which it cannot be again: goes on with a copy.
function M.copy(c, place)
  c.disk.fd = c.steps:open(place, "limits.disk", "disk", "open_tree", { c.disk.fd, "", "clone, cloexec, empty_path" })
end

--- Before what hangs is taken off.
function M.keep(c)
  local disk = c.disk
  if not (disk and disk.hung) then return end
  M.copy(c, "guest")
  disk.hung = false
end

local ATTRS = { "nosuid", "nodev", "noexec" }

local function attributes(flags)
  local set, clear = {}, {}
  for _, name in ipairs(ATTRS) do
    local list = flags:find(name, 1, true) and set or clear
    list[#list + 1] = name
  end
  if flags:find("noatime", 1, true) then
    set[#set + 1], clear[#clear + 1] = "noatime", "_atime" -- the kernel wants the former mode taken away (EINVAL)
  end
  return { attr_set = #set > 0 and table.concat(set, ", ") or nil,
    attr_clr = #clear > 0 and table.concat(clear, ", ") or nil }
end

--- A directory of it as a detached mount. how: mode (octal text), flags as of a tmpfs, uid and gid in the container.
function M.directory(c, why, how)
  local steps, place = c.steps, c.source_place
  local root = M.root(c)
  c.disk.n = c.disk.n + 1
  local name = "dir" .. c.disk.n
  steps:add(place, why, "mkdirat", { root, name, how.mode })
  local uid, gid = how.uid or 0, how.gid or 0
  if place == "attach" then
    steps:add(place, why, "fchownat", { root, name, c.ids:host_uid(uid) or 0, c.ids:host_gid(gid) or 0 })
  elseif uid ~= 0 or gid ~= 0 then
    steps:add(place, why, "fchownat", { root, name, uid, gid })
  end
  M.hang(c)
  local fd = steps:open("guest", why, "room", "open_tree", { c.disk.fd, name, "clone, cloexec" })
  steps:add("guest", why, "mount_setattr", { fd, "", "empty_path", attributes(how.flags) })
  return fd
end

--- Where a tmpfs without a size goes, or nil where it stays one of its own.
function M.tmpfs(c, mount, how)
  local read_only = mount.flags and (mount.flags .. ","):find("ro,", 1, true) == 1
  if not c.spec.limits.disk or mount.size or read_only then return nil end
  if mount.inodes then
    c:fault(mount.why, "inodes without a size do not go with limits.disk: this tmpfs is a part of the container's one",
      "give it a size of its own, or leave inodes out")
    return nil
  end
  return M.directory(c, mount.why, how)
end

--- Hands the file system to luge, which looks at the end whether it is full.
function M.finish(c)
  if not c.spec.limits.disk then return end
  if not c.disk then
    return c:fault("limits.disk", "nothing that the container writes would count: there is no tmpfs and no discarded overlay "
      .. "without a size of its own", "leave out one of their sizes, or leave out limits.disk")
  end
  c.steps:add("guest", "limits.disk", "sendmsg", { "$channel", { data = "disk", fds = { c.disk.fd } } })
end

return M
