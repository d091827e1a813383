-- SPDX-License-Identifier: MIT
-- sandbox.plan.cgroup_layout: where this host's cgroup controllers are, and where luge may make a cgroup for them.
--
-- A controller is on one hierarchy of version 1 or on the one of version 2, each host as it likes; on a hybrid host
-- some are here and some there. All is read through `host`, so that tests can describe a host in text.

local S = require "syscall"
local must = require "sandbox.must"

local M = {}
M.__index = M

-- What version 1 calls a controller that version 2 renamed; cpuacct, devices and freezer have no version 2 controller.
local V1_NAMES = { io = "blkio" }

--- A path as it is: "\040" is how mountinfo writes a blank.
function M.unescape(text)
  return (text:gsub("\\(%d%d%d)", function(octal) return string.char(tonumber(octal, 8)) end))
end

-- Our own cgroup's directory below a mount, or nil where the mount does not show it: a hierarchy may be mounted from
-- some cgroup down, and a cgroup namespace calls what lies outside it "/..".
local function directory(mount, path)
  if not path or path:sub(1, 3) == "/.." then return nil end
  if mount.root ~= "/" then
    if path ~= mount.root and path:sub(1, #mount.root + 1) ~= mount.root .. "/" then return nil end
    path = path:sub(#mount.root + 1)
  end
  return path == "/" and mount.at or mount.at .. path
end

-- controller = path, and [""] = the path in version 2.
local function own_paths(text)
  local own = {}
  for names, path in text:gmatch("%d+:([^:\n]*):([^\n]*)") do
    if names == "" then own[""] = path end
    for name in names:gmatch("[^,]+") do own[name] = path end
  end
  return own
end

-- A line of mountinfo; the type of the file system begins at `tail`.
local function add_mount(self, own, line, tail)
  local kind, options = line:match("^ %- (%S+) %S+ (%S+)", tail)
  local root, at = line:match("^%d+ %d+ %S+ (%S+) (%S+)")
  local mount = { at = M.unescape(at), root = M.unescape(root) }
  if kind == "cgroup2" then
    self.v2 = self.v2 or { version = 2, mount = mount.at, own = directory(mount, own[""]) }
    return
  end
  for name in options:gmatch("[^,]+") do
    if own[name] and not self.v1[name] and not name:find("=", 1, true) then
      self.v1[name] = { version = 1, mount = mount.at, own = directory(mount, own[name]) }
    end
  end
end

--- A layout from a host: { read = function(path), writable = function(path), exists = function(path),
-- delegated = function(path), pid = our own }.
function M.new(host)
  local self = setmetatable({ host = host, v1 = {}, read_at = {} }, M)
  local own = own_paths(host.read("/proc/self/cgroup") or "")
  for line in (host.read("/proc/self/mountinfo") or ""):gmatch("[^\n]+") do
    local tail = line:find(" - cgroup", 1, true)
    if tail then add_mount(self, own, line, tail) end
  end
  return self
end

--- The layout of this host.
function M.gather()
  return M.new {
    read = function(path) return (S.readfile(path)) end,
    writable = function(path) return S.access(path, "w") == true end,
    exists = function(path) return must.look(path, S.stat(path)) ~= nil end,
    -- systemd marks what it gave away, and touches nothing below.
    delegated = function(path)
      return S.getxattr(path, "user.delegate") == "1" or S.getxattr(path, "trusted.delegate") == "1"
    end,
    pid = S.getpid(),
  }
end

--- The text of a file, without its newline; read once.
function M:read(path)
  local text = self.read_at[path]
  if text == nil then
    text = self.host.read(path) or false
    self.read_at[path] = text
  end
  return text and (text:gsub("\n$", "")) or nil
end

-- Whether a list of names in a file has one.
function M:lists(path, name)
  return (" " .. (self:read(path) or "") .. " "):find(" " .. name .. " ", 1, true) ~= nil
end

--- The hierarchy of a controller, by its name in version 2: { version =, mount =, own = } or nil. `own` is the
-- directory of luge's own cgroup there, nil where it is out of sight.
function M:find(controller)
  local v1 = self.v1[V1_NAMES[controller] or controller]
  if v1 then return v1 end
  if self.v2 and self:lists(self.v2.mount .. "/cgroup.controllers", controller) then return self.v2 end
end

--- How the controllers are spread: "v1", "v2", "hybrid" or "none".
function M:kind()
  local has_v1 = next(self.v1) ~= nil
  local has_v2 = self.v2 ~= nil and (self:read(self.v2.mount .. "/cgroup.controllers") or "") ~= ""
  return has_v1 and has_v2 and "hybrid" or has_v1 and "v1" or self.v2 and "v2" or "none"
end

--- Whether the machine's first cgroup is at the mount: it alone may have processes beside its children.
function M:is_first(dir)
  return self.v2 ~= nil and dir == self.v2.mount and not self.host.exists(dir .. "/cgroup.type")
end

--- Who is in a cgroup itself, not below it: "nobody", "luge" (luge alone) or "others".
function M:occupied(dir)
  local procs = self:read(dir .. "/cgroup.procs") or ""
  if procs == "" then return "nobody" end
  return procs == tostring(self.host.pid) and "luge" or "others"
end

local function above(dir) return dir:match("^(.*)/[^/]+$") end

-- Slices and a user's manager are systemd's own business: it takes controllers away from them when no unit of its
-- own wants any, and a limit would be gone.
local function is_systemds(dir)
  local name = dir:match("[^/]+$")
  return name:find("%.slice$") ~= nil or name:find("^user@%d+%.service$") ~= nil
end

function M:may_change(dir)
  local host = self.host
  return host.writable(dir) and host.writable(dir .. "/cgroup.procs") and host.writable(dir .. "/cgroup.subtree_control")
end

--- The version 2 cgroup that was given to us to make others in, or nil: the one above luge's own, if that belongs to
-- what was delegated, else luge's own. Root may write everywhere, so there systemd's mark is asked for.
function M:given(uid)
  local v2 = self.v2
  local own = v2 and v2.own
  if not own or self:is_first(own) or own:find("$", 1, true) or not self:may_change(own) then return nil end
  if own == v2.mount then return uid ~= 0 and own or nil end
  local parent = above(own)
  local parent_ours = parent ~= v2.mount and not is_systemds(parent) and self:may_change(parent)
  if uid == 0 then
    if parent_ours and self.host.delegated(parent) then return parent end
    return self.host.delegated(own) and own or nil
  end
  if parent_ours then return parent end
  return not is_systemds(own) and own or nil
end

--- Where a container's cgroup goes on a hierarchy: { top =, made = } or nil and the reason. top: the cgroup that it is
-- made in; made: luge makes and removes top itself. parent: what limits.parent says.
function M:place(hierarchy, parent, uid)
  local host, mount = self.host, hierarchy.mount
  if parent then
    local top = parent == "/" and mount or mount .. parent
    if not host.exists(top .. "/cgroup.procs") then return nil, "missing", top end
    if not host.writable(top) then return nil, "closed", top end
    return { top = top }
  end
  local given
  if hierarchy.version == 2 then given = self:given(uid) end
  if given then return { top = given } end
  if host.writable(mount) then return { top = mount .. "/luge", made = true } end
  local own = hierarchy.own
  if hierarchy.version == 1 and own and not own:find("$", 1, true) and host.writable(own)
    and host.writable(own .. "/cgroup.procs") then
    return { top = own }
  end
  return nil, "closed", own or mount
end

--- Version 2: which cgroups must be told to give `controllers` to their children, from the outermost on, and whether
-- luge must step aside into a leaf first, since a cgroup with processes gives none ("no internal processes").
---@return table|nil { list = dirs, leave = dir or nil } or nil, "lacks"|"occupied", dir, controller
function M:enable(place, controllers)
  local outer = place.made and above(place.top) or place.top
  local missing, plan = {}, { list = {} }
  for _, name in ipairs(controllers) do
    if not self:lists(outer .. "/cgroup.controllers", name) then return nil, "lacks", outer, name end
    if not self:lists(outer .. "/cgroup.subtree_control", name) then missing[#missing + 1] = name end
  end
  if #missing > 0 then
    local who = self:is_first(outer) and "nobody" or self:occupied(outer)
    if who == "others" then return nil, "occupied", outer, missing[1] end
    plan.leave = who == "luge" and outer or nil
    plan.list[1] = { dir = outer, controllers = missing }
  end
  -- Luge's own may go, and come again without any, between the plan and the run.
  if place.made and #controllers > 0 then
    plan.list[#plan.list + 1] = { dir = place.top, controllers = controllers }
  end
  return plan
end

return M
