-- SPDX-License-Identifier: MIT
-- sandbox.plan.overlay: copy-on-write trees.
--
-- Root mounts them outside, over idmapped detached lowers, and passes the descriptor in: then renames and
-- owners behave as on any file system. An ordinary user can only mount them inside the user namespace
-- (userxattr), where a rename of a lower directory is EXDEV and foreign files cannot be written.

local text = require("sandbox.plan.steps").text

local M = {}

local function fd_path(symbol)
  return "/proc/self/fd/${" .. symbol:sub(2) .. "}"
end
M.fd_path = fd_path

--- Attaches the mount `fd` over "/" in the child: what has to be attached somewhere to be used hides nothing of
-- the host's tree there, since the process's own root lies below. `release` takes it off again.
function M.hang(c, fd, why)
  c.hung = c.hung or {}
  c.hung[#c.hung + 1] = { fd, why }
  c.steps:add("guest", why, "move_mount", { fd, "", "fdcwd", "/", "f_empty_path" })
end

--- Takes off what hangs over "/", the last first. To be planned before the new root is attached there and before
-- the pivot: a mount over the container's root, or one above the old root that umount2 meets first, would lead
-- out of the container by "/..".
function M.release(c)
  for i = #(c.hung or {}), 1, -1 do
    local fd, why = c.hung[i][1], c.hung[i][2]
    c.steps:add("guest", why, "umount2", { fd_path(fd), "detach" })
  end
  c.hung, c.scratch = nil, nil
end

-- Before Linux 6.15 an overlay's layers had to be attached in the mount namespace of whoever mounts it (EINVAL, the
-- kernel log says "failed to clone upperpath"; clone_private_mount() in fs/namespace.c). The version decides: a kernel
-- that takes detached ones though it is older only does the little more.
local function takes_detached_layers(c)
  local major, minor = c.facts.kernel:match "^(%d+)%.(%d+)"
  return (tonumber(major) or 0) * 1000 + (tonumber(minor) or 0) >= 6015
end

--- Where this kernel wants its layers attached, luge gets a mount namespace to itself, so that the host sees nothing
-- of it. To be planned before the overlay's layers are opened: only mounts of the own namespace can be copied.
function M.own_mounts(c, why)
  if c.source_place ~= "attach" or c.attaches_layers or takes_detached_layers(c) then return end
  c.attaches_layers = {}
  c.steps:add("attach", why, "unshare", { "newns" })
  c.steps:add("attach", why, "mount", { { target = "/", flags = "rec, slave" } })
end

--- Attaches a layer that root opened outside, over "/" as `hang` does in the child, where that has to be.
function M.attach_layer(c, fd, why)
  if not c.attaches_layers then return end
  table.insert(c.attaches_layers, fd)
  c.steps:add("attach", why, "move_mount", { fd, "", "fdcwd", "/", "f_empty_path" })
end

-- The overlay has copies of its own. While something lies over "/" luge counts as chrooted, and the next id map's
-- user namespace would be EPERM.
local function release_layers(c, why)
  if not c.attaches_layers then return end
  while #c.attaches_layers > 0 do
    local fd = table.remove(c.attaches_layers)
    if c.disk and c.disk.fd == fd then require("sandbox.plan.disk").copy(c, "attach") end
    c.steps:add("attach", why, "umount2", { fd_path(fd), "detach" })
  end
  c.scratch = nil
end

-- A tmpfs for upper directories that nobody keeps; an overlay takes none that is unattached in a user namespace. In
-- what is only a view the container writes nothing.
local function scratch(c, why, size, is_written)
  if is_written and not size and c.spec.limits.disk then
    local fd = require("sandbox.plan.disk").root(c)
    M.attach_layer(c, fd, why)
    return fd
  end
  if not size and c.scratch then return c.scratch end
  local options = { { "mode", "0755" } }
  if size then options[2] = { "size", size } end
  local fd = c.steps:open(c.source_place, why, "scratch", "new_mount",
    { { type = "tmpfs", options = options, attrs = "nosuid, nodev" } })
  if c.source_place == "guest" then M.hang(c, fd, why) else M.attach_layer(c, fd, why) end
  if not size then c.scratch = fd end
  return fd
end

local function discarded_upper(c, mount, owner)
  local steps, place = c.steps, c.source_place
  local fd = scratch(c, mount.why, mount.size, mount.overlay or mount.upper)
  c.uppers = (c.uppers or 0) + 1
  local upper, work = "upper" .. c.uppers, "work" .. c.uppers
  steps:add(place, mount.why, "mkdirat", { fd, upper, "0755" })
  steps:add(place, mount.why, "mkdirat", { fd, work, "0755" })
  if owner.uid and place == "attach" then
    steps:add(place, mount.why, "fchownat", { fd, upper, owner.uid, owner.gid })
  end
  if owner.perm then steps:add(place, mount.why, "fchmodat", { fd, upper, owner.perm }) end
  for _, dir in ipairs(mount.adopted and mount.adopted.list or {}) do
    steps:add(place, mount.why, "mkdirat", { fd, text(upper .. dir.path), dir.mode })
    if place == "attach" then
      steps:add(place, mount.why, "fchownat", { fd, text(upper .. dir.path), c.ids:host_uid(0) or 0, c.ids:host_gid(0) or 0 })
    end
  end
  return fd_path(fd) .. "/" .. upper, fd_path(fd) .. "/" .. work
end

-- A kept upper directory belongs to whom the source belongs; seen through the same map as the lower.
local function kept_upper(c, mount, dir, userns)
  local above = require("sandbox.plan.reach").crossing(c, dir)
  if above then
    c:fault(mount.why, ("the overlay's directory %s is in %s, which the container writes"):format(dir, above),
      "keep the changes elsewhere")
  end
  local steps, place = c.steps, c.source_place
  local st = c.facts:stat(mount.source or mount.lower[#mount.lower])
  local uid, gid = st and st.uid, st and st.gid
  -- Closed at the top: what the container leaves inside, set-user-id programs too, is out of others' reach. Files of
  -- a root directory may become the host root's whomever it belongs to, who must not reach them either.
  local top_uid, top_gid = uid, gid
  if mount.type == "root" then top_uid, top_gid = nil, nil end
  steps:add("host", mount.why, "ensure_directory", { text(dir), "0700", top_uid, top_gid, n = 4 })
  for _, name in ipairs { "/upper", "/work" } do
    steps:add("host", mount.why, "ensure_directory", { text(dir .. name), st and st.perm or "0755", uid, gid, n = 4 })
  end
  if not userns then
    local fd = steps:open(place, mount.why, "upper", "open", { text(dir), "path, directory, cloexec" })
    return fd_path(fd) .. "/upper", fd_path(fd) .. "/work"
  end
  local fd = steps:open(place, mount.why, "upper", "open_tree", { "fdcwd", text(dir), "clone, cloexec" })
  steps:add(place, mount.why, "mount_setattr", { fd, "", "empty_path", { attr_set = "nosuid, nodev", userns = userns } })
  M.attach_layer(c, fd, mount.why)
  return fd_path(fd) .. "/upper", fd_path(fd) .. "/work"
end

--- Adds the steps of an overlay over the descriptors `lowers` (topmost first); returns the descriptor of the
-- detached mount. `upper` is "discard", a directory or nil (read-only); `owner` is { uid, gid, perm } of the
-- upper directory as it shall be seen from outside.
function M.add(c, mount, lowers, upper, owner, userns)
  local paths = {}
  for i, fd in ipairs(lowers) do paths[i] = fd_path(fd) end
  local options = { { "lowerdir", table.concat(paths, ":") } }
  if upper then
    local up, work
    if upper == "discard" then
      up, work = discarded_upper(c, mount, owner)
    else
      up, work = kept_upper(c, mount, upper, userns)
    end
    options[2], options[3] = { "upperdir", up }, { "workdir", work }
  end
  if c.source_place == "guest" then
    options[#options + 1] = { "userxattr", true }
  elseif upper then
    options[#options + 1] = { "redirect_dir", "on" }
  end
  local fd = c.steps:open(c.source_place, mount.why, "overlay", "new_mount",
    { { type = "overlay", options = options, attrs = M.attrs(mount) } })
  release_layers(c, mount.why)
  return fd
end

--- The mount attributes of a tree that comes from the host.
function M.attrs(mount)
  local attrs = {}
  if not (mount.rw or mount.overlay or mount.upper or mount.view) then attrs[#attrs + 1] = "rdonly" end
  if not mount.suid then attrs[#attrs + 1] = "nosuid" end
  if not mount.dev then attrs[#attrs + 1] = "nodev" end
  if mount.exec == false then attrs[#attrs + 1] = "noexec" end
  return table.concat(attrs, ", ")
end

return M
