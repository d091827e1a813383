-- SPDX-License-Identifier: MIT
-- sandbox.plan.users: who the container's users are on the host.
--
-- The result, `ids`, is what other parts of the plan ask: which host id stands behind an id of the container
-- (a number, or "${range+5}" where the private range is found only at run time), and which maps show the
-- files of one host user as those of the container's.

local M = {}

local RANGE = 65536

local function extent(inside, outside, count)
  return { inside, outside, count }
end

-- "${range+1000}": the range is locked by a step, so that two containers never share one.
local function in_range(id)
  return id == 0 and "${range}" or ("${range+%d}"):format(id)
end

-- The caller's own id stands behind `id`; the rest of a subordinate range behind the others.
local function around(id, own, first)
  local list = {}
  if id > 0 then list[#list + 1] = extent(0, first, id) end
  list[#list + 1] = extent(id, own, 1)
  if id < RANGE - 1 then
    list[#list + 1] = extent(id + 1, ("${range+%d}"):format(id), RANGE - 1 - id)
  end
  return list
end

--- The ids that root gives away, as S.take_slot takes them: above those that systems use, and of a nested user namespace
-- those that it has beside its own system's; nil where these are too few.
function M.roots_pool(facts)
  local pool = { first = 8 * RANGE, step = RANGE, count = 28000, avoid = facts.given_ranges }
  if facts.initial_userns ~= false then return pool end
  local count = 0
  for _, uids in ipairs(facts.own_ids.uids) do
    for _, gids in ipairs(facts.own_ids.gids) do
      local first = math.max(uids.first, gids.first, RANGE)
      local room = (math.min(uids.first + uids.count, gids.first + gids.count) - first) // RANGE
      if room > count then pool.first, count = first, room end
    end
  end
  pool.count = math.min(count, pool.count)
  return count > 0 and pool or nil
end

local function count_of(extents)
  local count = 0
  for _, e in ipairs(extents) do count = count + e.count end
  return count
end

local function maps_auto(c)
  local facts, user = c.facts, c.user
  if facts.privileged or facts.uid == 0 then
    c.ids.pool = M.roots_pool(facts)
    if not c.ids.pool then
      return c:fault("id_map", ("\"auto\" needs %d ids beside the first %d, and the user namespace that luge runs in has %d in all")
        :format(RANGE, RANGE, count_of(facts.own_ids.uids)), "leave id_map out, or write id_map = \"self\"")
    end
  end
  if facts.privileged then return { extent(0, "${range}", RANGE) }, { extent(0, "${range}", RANGE) } end
  if not (facts.newuidmap and facts.newgidmap) then
    return c:fault("id_map", "\"auto\" needs newuidmap and newgidmap when luge runs as an ordinary user",
      "install the package uidmap, or write id_map = \"self\"")
  end
  if not (facts.subuid[1] and facts.subgid[1]) then
    return c:fault("id_map", "\"auto\" needs subordinate ids, and " .. facts.user .. " has none in /etc/subuid and /etc/subgid",
      "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 " .. facts.user ..
      ", or write id_map = \"self\"")
  end
  local uids, gids = facts.subuid[1], facts.subgid[1]
  if uids.first ~= gids.first or uids.count < RANGE or gids.count < RANGE then
    return c:fault("id_map", ("\"auto\" needs %d ids that begin at one number in /etc/subuid and /etc/subgid; %s has %d "
      .. "from %d and %d from %d"):format(RANGE, facts.user, uids.count, uids.first, gids.count, gids.first),
      "give the user the same range in both, or write id_map = \"self\"")
  end
  c.ids.pool = { first = uids.first, step = RANGE, count = uids.count // RANGE }
  return around(user.uid, facts.uid, "${range}"), around(user.gid, facts.gid, "${range}")
end

local function maps_self(c)
  local facts, user = c.facts, c.user
  return { extent(user.uid, facts.uid, 1) }, { extent(user.gid, facts.gid, 1) }
end

-- The host id behind `id` under a map, or nil when none is.
local function outside(map, id)
  if not map then return id end
  for _, e in ipairs(map) do
    local first, host, count = e[1], e[2], e[3]
    if id >= first and id < first + count then
      if type(host) == "number" then return host + (id - first) end
      local base = tonumber(host:match("%+(%d+)")) or 0
      return in_range(base + id - first)
    end
  end
end

local methods = {}
methods.__index = methods

function methods:host_uid(id) return outside(self.uids, id) end
function methods:host_gid(id) return outside(self.gids, id) end

--- Maps that show `owner`'s files as the container user's and nobody else's: what a writable bind takes,
-- since then no file of another user can be made or changed on the host.
function methods:single_map(owner_uid, owner_gid)
  return {
    uids = { extent(owner_uid, self:host_uid(self.user.uid), 1) },
    gids = { extent(owner_gid, self:host_gid(self.user.gid), 1) },
  }
end

-- Every id of the first 65,536 to itself, but `owner` and the container's user have changed places.
local function swapped(map, owner, id)
  local list = {}
  local function keep(first, last)
    if first <= last then list[#list + 1] = extent(first, outside(map, first), last - first + 1) end
  end
  local low, high = math.min(owner, id), math.max(owner, id)
  if owner == id then
    keep(0, RANGE - 1)
  elseif owner >= RANGE then
    keep(0, id - 1)
    keep(id + 1, RANGE - 1)
    list[#list + 1] = extent(owner, outside(map, id), 1)
  else
    keep(0, low - 1)
    list[#list + 1] = extent(low, outside(map, high), 1)
    keep(low + 1, high - 1)
    list[#list + 1] = extent(high, outside(map, low), 1)
    keep(high + 1, RANGE - 1)
  end
  return list
end

--- Maps that are one to one, for files whose changes are thrown away. Only a full range has them.
function methods:full_map(owner_uid, owner_gid)
  if not self.full then return nil end
  return {
    uids = swapped(self.uids, owner_uid, self.user.uid),
    gids = swapped(self.gids, owner_gid, self.user.gid),
  }
end

-- The first of an extent's host ids that luge's own user namespace has not.
local function first_missing(own, first, count)
  while count > 0 do
    local left
    for _, e in ipairs(own) do
      if first >= e.first and first < e.first + e.count then left = e.first + e.count - first end
    end
    if not left then return first end
    first, count = first + left, count - left
  end
end

-- Nobody can give what he has not.
local function check_own(c, ids)
  if c.facts.initial_userns ~= false then return end
  for _, kind in ipairs { "uids", "gids" } do
    for _, e in ipairs(ids[kind]) do
      local missing = first_missing(c.facts.own_ids[kind], e[2], e[3])
      if missing then
        return c:fault("id_map", ("%s: %d is none of the user namespace that luge runs in"):format(kind, missing),
          "take ids of /proc/self/" .. kind:sub(1, 3) .. "_map, or leave id_map out")
      end
    end
  end
end

-- Those of luge's own user namespace, each as itself.
local function maps_host(c)
  local own, maps = c.facts.own_ids, {}
  for _, kind in ipairs { "uids", "gids" } do
    maps[kind] = {}
    for i, e in ipairs(own[kind]) do maps[kind][i] = extent(e.first, e.first, e.count) end
  end
  return maps.uids, maps.gids
end

local function check_host(c)
  if c.facts.privileged then return end
  if c.facts.uid == 0 and c.facts.initial_userns == false then
    c:fault("id_map", "\"host\" needs power over the mounts that luge sees, and they belong to a user namespace above its own",
      "give luge mounts of its own (unshare -rm), or leave id_map out")
  else
    c:fault("id_map", "\"host\" needs root: without a user namespace an ordinary user cannot make the others",
      "leave id_map out, or run luge as root")
  end
end

local function check_user(c, ids)
  if ids.uids and not (ids:host_uid(c.user.uid) and ids:host_gid(c.user.gid)) then
    local where = ids.userns and "id_map" or "the user namespace that luge runs in"
    c:fault("user", ("%d:%d is not in %s"):format(c.user.uid, c.user.gid, where),
      ids.userns and "add it to id_map, or choose a user within" or "choose a user within")
  end
  for _, group in ipairs(ids.setgroups and c.spec.user.groups ~= "keep" and c.user.groups or {}) do
    if ids.uids and not ids:host_gid(group) then
      return c:fault("user", ("its group %d is not in id_map"):format(group),
        "add it to id_map, or name the user's groups: user = { name = …, groups = {} }")
    end
  end
  return ids
end

--- Decides c.ids from the spec's id_map, adding faults where the host cannot give it.
function M.decide(c)
  local spec, facts = c.spec, c.facts
  local kind = spec.id_map.type
  local ids = setmetatable({ kind = kind, user = c.user }, methods)
  c.ids = ids
  if kind == "host" then
    check_host(c)
    if facts.initial_userns == false then ids.uids, ids.gids = maps_host(c) end
    ids.setgroups = not facts.setgroups_denied
    return check_user(c, ids)
  end
  ids.userns = true
  if kind == "auto" then
    ids.uids, ids.gids = maps_auto(c)
    ids.full = facts.privileged
    ids.range = true
  elseif kind == "self" then
    ids.uids, ids.gids = maps_self(c)
  else
    ids.uids, ids.gids = spec.id_map.uids, spec.id_map.gids
    check_own(c, ids)
  end
  -- The caller's own ids alone need no helper, whose newgidmap would deny setgroups besides.
  ids.only_own = kind == "self" or kind == "explicit" and #ids.uids == 1 and #ids.gids == 1
    and ids.uids[1][2] == facts.uid and ids.uids[1][3] == 1 and ids.gids[1][2] == facts.gid and ids.gids[1][3] == 1
  if not facts.privileged and not ids.only_own and not (facts.newuidmap and facts.newgidmap) and kind == "explicit" then
    c:fault("id_map", "needs newuidmap and newgidmap when luge runs as an ordinary user", "install the package uidmap")
  end
  -- One mapped group: the kernel forbids setgroups to whoever could drop a group that denies access.
  ids.setgroups = (facts.privileged or not ids.only_own) and not facts.setgroups_denied
  return check_user(c, ids)
end

local function map_text(map)
  local lines = {}
  for i, e in ipairs(map) do lines[i] = ("%s %s %d\n"):format(e[1], e[2], e[3]) end
  return table.concat(lines)
end

local function map_words(map)
  local words = {}
  for _, e in ipairs(map) do
    for i = 1, 3 do words[#words + 1] = tostring(e[i]) end
  end
  return words
end

-- Whether the map needs the set-uid helpers: the kernel lets an ordinary user map only himself.
local function needs_helper(c)
  return not c.facts.privileged and not c.ids.only_own
end

local function with_helper(c, program, map)
  return c.steps:add("attach", "id_map", "spawn", { { program, "${child}", table.unpack(map_words(map)) } })
end

local function directly(c, file, text)
  return c.steps:add("attach", "id_map", "writefile", { "/proc/${child}/" .. file, text })
end

--- The steps that write the maps. With the last of them the child is let go on: it works beside the other attach
-- steps until it needs a descriptor of theirs.
function M.plan(c)
  local ids = c.ids
  if not ids.userns or c.shared then return end -- one that is shared has them
  local last
  if needs_helper(c) then
    with_helper(c, c.facts.newuidmap, ids.uids)
    last = with_helper(c, c.facts.newgidmap, ids.gids)
  else
    if not ids.setgroups then directly(c, "setgroups", "deny") end
    directly(c, "uid_map", map_text(ids.uids))
    last = directly(c, "gid_map", map_text(ids.gids))
  end
  last.releases = true
end

--- Whether supplementary groups are set at all: "keep" leaves those of the caller, and with one mapped group the
-- kernel refuses.
function M.sets_groups(c)
  return c.spec.user.groups ~= "keep" and c.ids.setgroups
end

--- Inside: the child still has the caller's ids, which the new namespace does not know.
function M.become_root(c)
  local ids = c.ids
  if not ids.userns then return end
  local steps, has_root = c.steps, ids:host_uid(0)
  local uid = has_root and 0 or c.user.uid
  local gid = ids:host_gid(0) and 0 or c.user.gid
  if M.sets_groups(c) then steps:add("guest", "id_map", "setgroups", { {} }) end
  steps:add("guest", "id_map", "setresgid", { gid, gid, gid })
  steps:add("guest", "id_map", "setresuid", { uid, uid, uid })
  -- The change of ids gave the files of /proc/self to the host's root; the stage is not dumpable again.
  steps:add("guest", "id_map", "prctl", { "set_dumpable", 1 })
  if has_root then return end
  -- Executing the stage would cost a user other than root the capabilities that sealing takes: the ambient set
  -- survives, until the stage's capset empties it.
  local all = c.facts.capabilities
  steps:add("guest", "id_map", "capset", { { effective = all, permitted = all, inheritable = all } })
  steps:add("guest", "id_map", "cap_ambient_raise", { all })
end

local function identity(map)
  local list = {}
  for i, e in ipairs(map) do list[i] = { e[1], e[1], e[3] } end
  return list
end

--- Whoever holds CAP_SYS_ADMIN over the namespace in which the mounts were made can undo them: uncover a mask, make
-- a read-only bind writable. In a further user and mount namespace they are locked together.
function M.lock_mounts(c)
  if not c.ids.userns then return end
  for _, name in ipairs(c.spec.capabilities.bounding) do
    if name == "sys_admin" then
      c.steps:add("guest", "capabilities", "unshare_mapped", { "newuser, newns",
        { uids = identity(c.ids.uids), gids = identity(c.ids.gids), setgroups = c.ids.setgroups and true or false } })
    end
  end
end

return M
