-- SPDX-License-Identifier: MIT
-- The schema against itself: everything is documented, every example and every default is what it says.

local t = dofile "tests/integration/harness.lua"
local p = dofile "tests/lua/profile.lua"
local schema = require "sandbox.profile.schema"
local values = require "sandbox.profile.values"
local help = require "sandbox.profile.help"

-- The text of a container in which the field at `path` has its example.
local function body_with(path, example)
  local names = {}
  for name in path:gmatch "[^.]+" do names[#names + 1] = name end
  local text = example
  for i = #names, 1, -1 do text = names[i] .. " = " .. (i < #names and "{ " .. text .. " }" or text) end
  return text
end

local EXTRA = { -- what a field's example needs beside it
  ["user.gid"] = "uid = 1,", ["user.groups"] = "uid = 1,", ["id_map.gids"] = "uids = { { 0, 100000, 65536 } },",
  ["capabilities.ambient"] = 'bounding = { "chown" },',
  ["capabilities.effective"] = 'permitted = { "chown" },', ["capabilities.inheritable"] = 'bounding = { "chown" },',
  ["capabilities.permitted"] = 'bounding = { "chown" },',
  ["network.publish"] = "interfaces = { veth { } },", ["keep.artifacts"] = 'to = "out",', ["keep.to"] = 'artifacts = { "/a" },',
  ["health.interval"] = 'fd = 3,', ["health.timeout"] = 'fd = 3,', ["health.retries"] = 'fd = 3,', ["health.start_period"] = 'fd = 3,',
}

local function inner_record(type_)
  if type(type_) ~= "table" then return nil end
  if type_.kind == "record" then return type_ end
  if type_.kind == "either" then return type_.table end
  if type_ == nil or type_.kind ~= "typed" or not type_.table then return nil end
  return type_.takes.record(type_.table)
end

local function each_field(rec, prefix, visit)
  for i = 1, #rec do
    local f = rec[i]
    local path = prefix .. f[1]
    visit(path, f)
    local inner = inner_record(f[2])
    if inner then each_field(inner, path .. ".", visit) end
  end
end

local INTERFACES = { veth = true, bridge = true, macvlan = true, link = true }

-- The field of a constructor's table, or the one that it is in.
local function kind_field(kind, path) return schema.field(kind, path:match "^[^.]+") end

local function is_enforced(path)
  local enforced = true
  each_field(schema.container, "", function(name, f)
    if f.enforced == false and (name == path or path:sub(1, #name + 1) == name .. ".") then enforced = false end
  end)
  return enforced
end

t.test("every field has a sentence and an example", function()
  local function look(path, f)
    t.ok(type(f.doc) == "string" and f.doc:find "%.$", path .. ": no sentence")
    t.ok(type(f.example) == "string", path .. ": no example")
    t.ok(f.enforced == nil or type(f.because) == "string", path .. ": no way out")
  end
  each_field(schema.container, "", look)
  each_field(schema.group, "group.", look)
  for name, kind in pairs(schema.kinds) do
    t.ok(kind.doc, name)
    each_field(kind, name .. ".", look)
  end
end)

t.test("every scalar type has its function", function()
  local function look(path, type_)
    if type(type_) == "string" then
      t.ok(values[type_], path .. ": no type " .. type_)
    else
      t.ok(type_.kind, path)
      for _, part in ipairs { "of", "scalar", "list", "key", "other" } do
        if type_[part] and type_.kind ~= "typed" then look(path, type_[part]) end
      end
    end
  end
  each_field(schema.container, "", function(path, f) look(path, f[2]) end)
  for name, kind in pairs(schema.kinds) do
    each_field(kind, name .. ".", function(path, f) look(path, f[2]) end)
  end
end)

t.test("every example of a field is good, or said to be not enforced", function()
  each_field(schema.container, "", function(path, f)
    local text = body_with(path, f.example)
    if EXTRA[path] then text = text:gsub("^([%w_]+ = {)", "%1 " .. EXTRA[path]) end
    local faults = p.faults(text, { facts = p.facts_with { uid = 0 } })
    if path == "needs" then
      t.contains(faults[1], "names containers of a group") -- the group's test has it: validate_test
    elseif is_enforced(path) then
      t.equal(faults, {}, path .. ": " .. text)
    else
      t.ok(#faults > 0, path)
      t.contains(faults[1], "is not enforced by this version of luge", path)
    end
  end)
end)

t.test("every constructor's example is good, with each field's example put in", function()
  local function place(name, text)
    if name == "device" then return "devices = { " .. text .. " }" end
    if name == "rule" then return "seccomp = { rules = { " .. text .. " } }" end
    if name == "empty" then return "root = " .. text end
    if INTERFACES[name] then return "network = { interfaces = { " .. text .. " } }" end
    return "mounts = { " .. text .. " }"
  end
  local ADDRESSED = { veth = 'address = "10.0.5.2/24", address6 = "fd00:5::2/64",' }
  ADDRESSED.bridge, ADDRESSED.macvlan, ADDRESSED.link = ADDRESSED.veth, ADDRESSED.veth, ADDRESSED.veth
  local BESIDE = { gateway = ADDRESSED, gateway6 = ADDRESSED, routes = ADDRESSED, file = {}, env = {},
    nat = { bridge = 'gateway = "auto", subnet = "10.0.5.0/24",' },
    size = { bind = 'overlay = "discard",', layers = 'upper = "discard",' } }
  local WITHIN = { ["peer.gateway"] = 'address = "10.1.0.1/24",', ["peer.gateway6"] = 'address6 = "fd00:1::1/64",' }
  WITHIN["peer.routes"] = WITHIN["peer.gateway"]
  for _, name in ipairs(schema.constructors()) do
    local kind = schema.kinds[name]
    if kind then
      t.equal(p.faults(place(name, kind.example)), {}, name)
      each_field(kind, "", function(path, f)
        local outer, inner = path:match "^([^.]+)%.(.+)$"
        local given = { [outer or path] = outer and ("{ %s %s %s = %s }"):format(inner ~= "name" and 'name = "eth1",' or "",
          WITHIN[path] or "", inner, f.example) or f.example }
        for i = 1, #kind do
          local other = kind[i]
          if other.required and not given[other[1]] then given[other[1]] = other.example end
        end
        if name == "layers" and path ~= "target" then given.target = '"/opt"' end
        if name == "secret" and path ~= "file" then given.env = '"TOKEN"' end
        local text = name .. " { " .. ((BESIDE[path] or {})[name] or "")
        for key, value in pairs(given) do text = text .. key .. " = " .. value .. ", " end
        local faults = p.faults(place(name, text .. "}"))
        if kind_field(kind, path).enforced == false then
          t.contains(faults[1], "is not enforced by this version of luge", text)
        else
          t.equal(faults, {}, text)
        end
      end)
    end
  end
end)

t.test("defaults are what the written form means", function()
  local spec = p.spec ""
  t.equal(spec,
    p.spec 'umask = "022", cwd = "/", stop = { signal = "TERM", grace = "10s" }, network = "none", root = "system"')
  local mount = p.spec('mounts = { bind { "/x" } }').mounts[1]
  t.equal(mount, { type = "bind", source = "/x", target = "/x", rw = false, create = false, exec = true,
    suid = false,
    dev = false, recursive = true, id_map = true })
  t.equal(p.spec('mounts = { tmpfs { "/x" } }').mounts[1].mode, tonumber("1777", 8))
  t.equal(p.spec('mounts = { dir { "/x" } }').mounts[1].mode, tonumber("0755", 8))
  t.equal(p.spec('mounts = { file { "/x" } }').mounts[1].mode, tonumber("0644", 8))
  t.equal(p.spec('mounts = { secret { "/x", env = "A" } }').mounts[1].mode, tonumber("0400", 8))
end)

t.test("help knows every field, and the nearest of a wrong one", function()
  each_field(schema.container, "", function(path)
    t.contains(t.ok(help.field(path), path), path .. ": ")
    t.ok(help.field("container." .. path), path)
  end)
  for _, name in ipairs(schema.constructors()) do t.ok(help.field(name), name) end
  t.contains(help.field "wall", "limits.wall: ")
  t.contains(help.field "landlock", "Not enforced by this version of luge")
  local text, message = help.field "limits.wal"
  t.equal(text, nil)
  t.equal(message, "no field 'limits.wal' (did you mean 'limits.wall'?)")
  t.contains(select(2, help.field "wal"), "'limits.wall'")
end)

t.test("the manual and the editor's stubs name every field", function()
  local manual = require "sandbox.profile.manual"
  local man, stubs = manual.man(), manual.stubs()
  for _, path in ipairs(help.names()) do
    t.contains(man, "\n.B " .. path:gsub("%-", "\\-") .. "\n", path)
    t.contains(stubs, path:match "[^.]+$", path)
  end
  t.ok(load(stubs, "=stubs", "t"), "the stubs are no Lua")
  t.lacks(man, "…")
end)
