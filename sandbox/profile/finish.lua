-- SPDX-License-Identifier: MIT
-- sandbox.profile.finish: a merged profile becomes a spec: every default made explicit from the schema and the
-- facts of the host, then what only fields together can show to be wrong. A pure function of both.

local schema = require "sandbox.profile.schema"

local M = {}

local function copy(v)
  if type(v) ~= "table" then return v end
  local out = {}
  for key, value in next, v do out[key] = copy(value) end
  return out
end
M.copy = copy

local function add_defaults(rec, value)
  for i = 1, #rec do
    local f = rec[i]
    local name, type_ = f[1], f[2]
    if value[name] == nil then
      if f.default ~= nil then value[name] = copy(f.default) end
      -- One that may be off is there only when it was written.
      if type(type_) == "table" and type_.kind == "record" and not f.off then value[name] = {} end
    end
    if type(type_) == "table" and type_.kind == "record" and type(value[name]) == "table" then
      add_defaults(type_, value[name])
    end
  end
end

-- Environment --------------------------------------------------------------------------------------------

local DEFAULT_ENV = {
  PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG = "C.UTF-8", container = "luge",
}

local function lua_pattern(glob)
  return "^" .. glob:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*") .. "$"
end

-- A secret's variable is never inherited by a pattern: it would show in the plan.
local function secret_names(mounts)
  local names = {}
  for _, m in ipairs(mounts) do
    if m.type == "secret" and m.env then names[m.env] = m end
  end
  return names
end

local function inherit_patterns(written, host, secrets, env)
  for name, value in next, written do
    if value == true and name:find("*", 1, true) then
      local form = lua_pattern(name)
      for host_name, text in next, host do
        if host_name:find(form) and not secrets[host_name] then env[host_name] = text end
      end
    end
  end
end

local function environment(spec, written, host, complain)
  local env, secrets = copy(DEFAULT_ENV), secret_names(spec.mounts)
  inherit_patterns(written, host, secrets, env)
  for name, value in next, written do
    if name:find("*", 1, true) then
      value = nil
    elseif value and secrets[name] then
      complain({ "env", name }, "the secret of " .. secrets[name].target .. " would show in the plan",
        "leave " .. name .. " out of env: the program reads " .. secrets[name].target)
    end
    if value == true then value = host[name] end
    if value == false then env[name] = nil elseif value ~= nil then env[name] = value end
  end
  spec.env = env
end

-- Mounts and devices -------------------------------------------------------------------------------------

-- Splits off the removals: true, or the entry itself where it has yet to be seen whether there is such a target. The plan puts
-- what lies deeper after what it lies in; here all keeps the number that errors call it by.
local function mounts(spec)
  local list, removed = {}, {}
  for _, m in ipairs(spec.mounts) do
    if m.removed then
      removed[m.removed] = m.found or m.optional or m
    else
      list[#list + 1] = m
    end
  end
  spec.mounts, spec.removed_mounts = list, removed
end

local function devices(spec)
  local list, index = {}, {}
  for i, name in ipairs(schema.devices) do
    list[i] = { path = "/dev/" .. name, access = "rw" }
    index["/dev/" .. name] = i
  end
  for _, device in ipairs(spec.devices or {}) do
    local path = device.removed or device.path
    local entry = not device.removed and { path = path, access = device.access, optional = device.optional }
    local i = index[path] or #list + 1
    list[i], index[path] = entry, i
  end
  spec.devices = {}
  for i = 1, #list do
    if list[i] then spec.devices[#spec.devices + 1] = list[i] end
  end
end

-- Identity and namespaces --------------------------------------------------------------------------------

local function in_ranges(ranges, id)
  for _, range in ipairs(ranges) do
    if id >= range[1] and id < range[1] + range[3] then return true end
  end
  return false
end

local function overlap(ranges)
  for side = 1, 2 do
    for i, a in ipairs(ranges) do
      for j = 1, i - 1 do
        local b = ranges[j]
        if a[side] < b[side] + b[3] and b[side] < a[side] + a[3] then return true end
      end
    end
  end
end

local function identity(spec, facts, complain)
  local ns, map = spec.namespaces, spec.id_map
  map = map or { type = facts.uid == 0 and facts.initial_userns ~= false and "auto" or "self" }
  if type(ns.user) == "string" and ns.user ~= "host" then
    complain({ "namespaces", "user" }, "a container always has a user namespace of its own, or the host's",
      "leave it out; id_map says which ids it has")
  elseif map.type == "host" then
    if ns.user == true and spec.written_user_namespace then
      complain({ "namespaces", "user" }, 'disagrees with id_map = "host", which makes no user namespace',
        "leave one of them out")
    end
    ns.user = "host"
  elseif ns.user == "host" then
    complain({ "namespaces", "user" }, "leaves the container's root root on the host",
      'say so: write id_map = "host" too')
  end
  if map.type == "explicit" then
    map.gids = map.gids or copy(map.uids)
    for _, side in ipairs { "uids", "gids" } do
      if #map[side] > 340 then
        complain({ "id_map", side }, "the kernel takes 340 ranges, these are " .. #map[side])
      elseif overlap(map[side]) then complain({ "id_map", side }, "two ranges overlap") end
    end
  end
  spec.id_map = map
end

local function user(spec, facts, complain)
  local map = spec.id_map
  local who = spec.user or map.type == "host" and spec.namespaces.user == "host" and { uid = facts.uid,
    gid = facts.gid }
    or { uid = 0, gid = 0 }
  if who.uid and not who.gid and not who.group_name then who.gid = who.uid end
  spec.user = who
  local ranges = map.type == "explicit" and map or map.type == "auto" and { uids = { { 0, 0, 65536 } },
    gids = { { 0, 0, 65536 } } }
  if not ranges then return end
  local hint = map.type == "auto" and "the private range holds the ids 0 to 65535"
    or "add a range to id_map that holds it"
  if who.uid and not in_ranges(ranges.uids, who.uid) then
    complain({ "user" }, "user " .. who.uid .. " has no place in id_map", hint)
  end
  if who.gid and not in_ranges(ranges.gids, who.gid) then
    complain({ "user" }, "group " .. who.gid .. " has no place in id_map", hint)
  end
end

local function namespaces(spec, complain)
  local ns, network = spec.namespaces, spec.network.type
  local net = network == "host" and "host" or true
  if spec.network.join or spec.network.pod then net = "joined" end
  if spec.written_net_namespace and ns.net ~= net then
    complain({ "namespaces", "net" }, network == "table" and "disagrees with network" or
      'disagrees with network = "' .. network .. '"', ns.net == "host"
      and 'write network = "host"'
      or "leave it out: network decides")
  end
  ns.net = net
  if ns.mount ~= true then
    complain({ "namespaces", "mount" }, "a container always has its own view of the file systems",
      ns.mount == "host" and 'to see the host\'s write root = "/"' or "leave it out")
  end
  if spec.hostname and ns.uts ~= true then
    complain({ "hostname" }, "would rename the host: namespaces.uts is not the container's own",
      "leave hostname out")
  end
  if ns.pid ~= true then
    if spec.init then complain({ "init" }, "needs a pid namespace of its own to be PID 1 in",
      "write init = false") end
    spec.init = false
  end
end

-- Protections --------------------------------------------------------------------------------------------

local function capabilities(spec, complain)
  local c = spec.capabilities
  if c and next(c) ~= nil then
    spec.capabilities = require "sandbox.profile.capabilities".sets(c, spec, complain)
  else
    spec.capabilities = { bounding = {}, permitted = {}, effective = {}, inheritable = {}, ambient = {} }
  end
end

local function seccomp(spec, optional, complain)
  local s = spec.seccomp
  if s == false then return end
  s = s or {}
  if s.base == nil then s.base = "default" end
  s.allow, s.deny, s.rules, s.optional = s.allow or {}, s.deny or {}, s.rules or {}, optional.seccomp ~= nil
  if s.allow[1] or s.deny[1] or s.rules[1] then
    for _, fault in ipairs(require "sandbox.plan.seccomp".check(s)) do
      complain(fault.keys, fault.message, fault.hint)
    end
  end
  spec.seccomp = s
end

-- What a parameter of the kernel belongs to; others are the whole host's.
local SYSCTLS = {
  { "^net%.", "net" }, { "^kernel%.shm", "ipc" }, { "^kernel%.msg", "ipc" }, { "^kernel%.sem$", "ipc" },
  { "^fs%.mqueue%.", "ipc" }, { "^kernel%.hostname$", "uts" }, { "^kernel%.domainname$", "uts" }, { "^user%.max_",
    "user" },
}

local function sysctls(spec, complain)
  local out = {}
  if spec.namespaces.net == true then out["net.ipv4.ip_unprivileged_port_start"] = "0" end
  for name, value in next, spec.sysctl or {} do
    local owner
    for _, row in ipairs(SYSCTLS) do owner = owner or name:find(row[1]) and row[2] end
    if not owner then
      complain({ "sysctl", name }, "belongs to the whole host, not to a container")
    elseif spec.namespaces[owner] ~= true and value then
      complain({ "sysctl", name }, "would change the host: namespaces." .. owner .. " is not the container's own")
    end
    out[name] = value or nil
  end
  spec.sysctl = out
end

local function root(spec, complain)
  local r = spec.root
  if r.type == "layers" then
    if r.target then complain({ "root" }, "a root has no target", "leave target out") end
    if #r.lower == 0 then complain({ "root" }, "needs a directory to lie at the bottom",
      'for example layers { "rootfs" }') end
  end
  for _, m in ipairs(spec.mounts) do
    if m.type == "layers" and #m.lower == 0 then complain({ "mounts" }, "layers on " .. m.target
      .. " name no directory") end
  end
end

local function limits(spec)
  local scheduler = spec.limits.scheduler
  if scheduler and not scheduler.policy then scheduler.policy = "other" end
end

local function log(spec)
  if spec.log == nil then spec.log = {} end
  if type(spec.log) == "table" then add_defaults(schema.log.table, spec.log) end
end

local function health(spec, complain)
  local h = spec.health
  if type(h) ~= "table" then return end
  if (h.command == nil) == (h.fd == nil) then
    complain({ "health" }, "needs one of command and fd", 'for example health = { command = { "true" } }')
  elseif h.command and #h.command == 0 then
    complain({ "health", "command" }, "has no words", 'for example { "test", "-e", "/run/ready" }')
  end
end

-- Empty without a script.
local function hooks(written)
  if not written or not (written.prepare or written.guest or written.started or written.stopped) then return {} end
  return written
end

-- Everything together ------------------------------------------------------------------------------------

local function strip(map)
  local out = {}
  for key, value in next, map do out[key] = value or nil end
  return out
end

-- A proxy, for tests and LUGE_DEBUG: it costs too much for every run.
local function freeze(v)
  if type(v) ~= "table" then return v end
  local inner = {}
  for key, value in next, v do inner[key] = freeze(value) end
  return setmetatable({}, {
    __index = inner, __len = function() return #inner end, __pairs = function() return next, inner end,
    __newindex = function(_, key) error("a spec does not change: " .. tostring(key), 2) end,
  })
end
M.freeze = freeze

-- `merged` is what sandbox.profile.merge returns; complain(keys, message, hint) adds a fault.
function M.finish(merged, profile_name, facts, complain)
  local spec = merged.value
  spec.written_user_namespace = spec.namespaces and spec.namespaces.user ~= nil
  spec.written_net_namespace = spec.namespaces and spec.namespaces.net ~= nil
  if spec.init == nil and spec.namespaces and (spec.namespaces.pid or true) ~= true then spec.init = false end
  local env = spec.env or {}
  add_defaults(schema.container, spec)
  spec.profile_name, spec.name = profile_name, spec.name or "$name"
  mounts(spec)
  devices(spec)
  identity(spec, facts, complain)
  user(spec, facts, complain)
  if spec.network.type == "user" then spec.network = require "sandbox.profile.finish_network".expand(spec.network) end
  if spec.network.type == "private" then
    spec.network = require "sandbox.profile.finish_network".private(spec.network, complain)
  elseif spec.network.type == "internet" then
    spec.network = require "sandbox.profile.finish_firewall".internet(facts, complain)
  elseif spec.network.type == "table" then
    require "sandbox.profile.finish_network".finish(spec.network, complain)
  end
  namespaces(spec, complain)
  capabilities(spec, complain)
  seccomp(spec, merged.optional, complain)
  sysctls(spec, complain)
  root(spec, complain)
  limits(spec)
  log(spec)
  if type(spec.restart) == "table" then add_defaults(schema.restart.table, spec.restart) end
  health(spec, complain)
  environment(spec, env, facts.env or {}, complain)
  spec.hostname, spec.annotations = spec.hostname or spec.name, strip(spec.annotations)
  spec.landlock = false
  spec.hooks = hooks(spec.hooks)
  if not spec.keep.to then spec.keep = nil end
  spec.written_user_namespace, spec.written_net_namespace = nil, nil
  spec.optional, spec.unenforced = {}, {}
  for path in next, merged.optional do spec.optional[path] = true end
  for path in next, merged.unenforced do spec.unenforced[path] = true end
  return spec
end

return M
