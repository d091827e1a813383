-- SPDX-License-Identifier: MIT
-- sandbox.plan.source: host trees as descriptors of detached mounts.
--
-- As root they are opened and idmapped outside, before the container can see anything; an ordinary user's
-- child opens them itself, since a clone of a mount outside one's own user namespace is refused (EPERM).

local overlay = require "sandbox.plan.overlay"
local reach = require "sandbox.plan.reach"
local setid = require "sandbox.plan.setid"

local M = {}

local CLONE = "clone, cloexec, recursive"

-- One user namespace a distinct map; the container's own where the map is its own.
local function userns_for(c, why, map)
  local key = {}
  for _, list in ipairs { map.uids, map.gids } do
    for _, e in ipairs(list) do key[#key + 1] = ("%s:%s:%s"):format(e[1], e[2], e[3]) end
    key[#key + 1] = "/"
  end
  key = table.concat(key, " ")
  c.usernses = c.usernses or {}
  if not c.usernses[key] then
    c.usernses[key] = c.steps:open("attach", why, "map", "userns_open", { map })
  end
  return c.usernses[key]
end

-- The container's own user namespace: shows id n of the file system as id n of the container.
local function own_userns(c, why)
  if not c.own_userns then
    c.own_userns = c.steps:open("attach", why, "userns", "open", { "/proc/${child}/ns/user", "rdonly, cloexec" })
  end
  return c.own_userns
end

local function can_idmap(c)
  return c.facts.privileged and c.facts.initial_userns
end

-- The directory that shows on top: of layers the last, which is the highest.
local function top_of(mount)
  return mount.source or mount.lower[#mount.lower]
end

-- A source that luge is going to make is its caller's.
local function owner_of(c, mount)
  local st = c.facts:stat(top_of(mount))
  if not st and mount.create then return { uid = c.facts.uid, gid = c.facts.gid, perm = 493 } end -- 0755
  return st
end

-- Whether the container can make files that belong to the host's root or its group, mapped or as they are.
local function makes_root_files(c, mount, st)
  local ids = c.ids
  if can_idmap(c) and mount.id_map ~= false and (st.uid == 0 or st.gid == 0) then return true end
  return c.facts.privileged and (ids:host_uid(c.user.uid) == 0 or ids:host_uid(0) == 0)
end

-- The map through which a bind's files are seen, or nil where they are seen as they are.
local function map_of_bind(c, mount)
  local st, ids = owner_of(c, mount), c.ids
  if st and makes_root_files(c, mount, st) then setid.guard(c, mount) end
  if mount.id_map == false or not can_idmap(c) then return nil end
  if type(mount.id_map) == "table" then return mount.id_map end
  if not st or ids:host_uid(c.user.uid) == st.uid and ids:host_gid(c.user.gid) == st.gid then return nil end
  local discarded = (mount.overlay or mount.upper) == "discard"
  return discarded and ids:full_map(st.uid, st.gid) or ids:single_map(st.uid, st.gid)
end

-- The map of a root directory: its root is the container's root, where the container has a range.
local function map_of_root(c, mount)
  local st = owner_of(c, mount)
  if st and makes_root_files(c, mount, st) then setid.guard(c, mount) end
  if not can_idmap(c) or not c.ids.userns or c.ids.kind == "self" or mount.kind == "host" then return nil end
  return { uids = c.ids.uids, gids = c.ids.gids, is_own = true }
end

-- The user namespace of a map.
local function namespace_of(c, mount, map)
  if not map then return nil end
  return map.is_own and own_userns(c, mount.why) or userns_for(c, mount.why, map)
end

-- What the kernel does to a kept upper directory it does as luge, the host's root, who needs a place in its map. No
-- process of the container is that user.
local function with_luge(list)
  local function is_taken(id)
    for _, e in ipairs(list) do
      if id >= e[1] and id < e[1] + e[3] then return true end
    end
  end
  local free = 0
  while is_taken(free) do free = free == 0 and 65534 or free + 1 end
  local all = table.move(list, 1, #list, 1, {})
  all[#all + 1] = { free, 0, 1 }
  return all
end

local function upper_userns(c, mount, map)
  local upper = mount.overlay or mount.upper
  if not map or not upper or upper == "discard" then return nil end
  return userns_for(c, mount.why, { uids = with_luge(map.uids), gids = with_luge(map.gids) })
end

-- A detached copy of one host tree, with attributes and map; inside a lower layer of an overlay when lower.
local function clone(c, mount, path, userns, lower)
  local steps, place = c.steps, c.source_place
  path = reach.path(c, place, mount.why, path)
  if lower and place == "guest" then
    return steps:open(place, mount.why, "lower", "open", { path, "path, cloexec" })
  end
  local whole = not lower and mount.recursive ~= false
  local fd = steps:open(place, mount.why, "tree", "open_tree", { "fdcwd", path, whole and CLONE or "clone, cloexec" })
  local attrs = { attr_set = lower and "nosuid, nodev" or overlay.attrs(mount) }
  attrs.userns = userns
  if attrs.attr_set ~= "" or userns then
    local flags = whole and "empty_path, recursive" or "empty_path"
    steps:add(place, mount.why, "mount_setattr", { fd, "", flags, attrs })
  end
  if lower then overlay.attach_layer(c, fd, mount.why) end
  return fd
end

-- Whom an upper directory must belong to, so that the overlay's top shows as the lower's does.
local function upper_owner(c, mount, userns, is_root)
  local st = owner_of(c, mount)
  if not st then return {} end
  local ids = c.ids
  local owner = { perm = st.perm & 511, uid = st.uid, gid = st.gid } -- 0777
  if mount.adopted then
    owner.uid, owner.gid = ids:host_uid(0) or 0, ids:host_gid(0) or 0
  elseif userns and is_root then
    owner.uid, owner.gid = ids:host_uid(st.uid) or 0, ids:host_gid(st.gid) or 0
  elseif userns then
    owner.uid, owner.gid = ids:host_uid(c.user.uid), ids:host_gid(c.user.gid)
  end
  return owner
end

--- The descriptor of a detached mount of `mount`'s tree: a plain bind, or an overlay over it.
function M.open(c, mount, is_root)
  local map
  if is_root then map = map_of_root(c, mount) else map = map_of_bind(c, mount) end
  local userns = namespace_of(c, mount, map)
  local upper = mount.overlay or mount.upper or mount.view and "discard" or nil
  local sources = mount.lower or { mount.source }
  if not upper and #sources == 1 then return clone(c, mount, sources[1], userns) end
  local userns_of_upper = upper_userns(c, mount, map)
  local lowers = {}
  overlay.own_mounts(c, mount.why)
  for i = #sources, 1, -1 do lowers[#lowers + 1] = clone(c, mount, sources[i], userns, true) end
  local fd = overlay.add(c, mount, lowers, upper, upper_owner(c, mount, userns, is_root), userns_of_upper)
  if mount.view and not mount.overlay and not mount.upper then c.seal_readonly[#c.seal_readonly + 1] = { fd, mount.why } end
  return fd
end

return M
