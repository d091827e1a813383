-- SPDX-License-Identifier: MIT
-- sandbox.profile.help: the schema as words: `luge help FIELD`, the list of fields, luge-profile(5) as roff, and the
-- stubs that tell an editor (lua-language-server) what a profile may say.

local schema = require "sandbox.profile.schema"

local M = {}

-- Names of types as a reader of the manual meets them.
local WORDS = {
  text = "text", word = "text", boolean = "true or false", integer = "whole number", number = "number",
    any = "table",
  size = "size: 512K, 64M, 2G or bytes", rlimit_size = 'size, or "unlimited"',
  rlimit_count = 'whole number, or "unlimited"', duration = "duration: 500ms, 30s, 10m, 2h or seconds",
  offset = 'duration, also negative: "-1h"', mode = 'permissions as a string: "0755"',
    id = "number of a user or group",
  cpu = "number of a CPU", cpus = 'CPUs: "0-3,6"', path = "absolute path in the container",
    hostpath = "path of the host",
  device_path = "path below /dev, or what follows /dev/", namespace = 'true, "host" or the path of a namespace',
  name = "name", hostname = "host name", user_name = "name of a user", env_name = "name of a variable",
  user = '"name", "name:group" or "uid:gid"', signal = 'signal: "TERM"', capability = "name of a capability",
  capability_preset = '"oci" or "all"', syscall = "name of a system call", mount_flags = "mount flags",
  comparison = 'comparison { 0, "==", "AF_UNIX" }', id_range = "range { inside, outside, count }",
  sysctl = "text or number", cgroup_path = "path in a cgroup hierarchy",
  interface_name = "name of an interface", link_name = "name of a link of the host", mac = "Ethernet address",
  address4 = '"auto", false or an IPv4 address with a width: "10.0.5.2/24"',
  address6 = '"auto", false or an IPv6 address with a width: "fd00:5::2/64"',
  gateway4 = '"auto", false or an IPv4 address', gateway6 = '"auto", false or an IPv6 address',
  cidr4 = "IPv4 address with a width", cidr6 = "IPv6 address with a width", subnet4 = "IPv4 network",
  subnet6 = "IPv6 network", ip = "IPv4 or IPv6 address", destination = 'network, "default" or "default6"',
  network = "network or address", port = "port", port_range = "port or range of ports", host_port = "port, or ADDRESS:PORT",
  rate = "rate", join = "path of a network namespace, or name of a container",
}

local function type_words(type_)
  if type(type_) == "string" then return WORDS[type_] end
  local kind, out = type_.kind, {}
  if kind == "record" then return "table" end
  if kind == "list" then return "list of: " .. type_words(type_.of) end
  if kind == "map" then return "table: name = " .. type_words(type_.of) end
  if kind == "env" then return 'table of "NAME" and NAME = text' end
  if kind == "choice" then
    for i = 1, #type_ do out[i] = type(type_[i]) == "string" and '"' .. type_[i] .. '"' or tostring(type_[i]) end
    if type_.other then out[#out + 1] = "a " .. type_words(type_.other) end
  elseif kind == "either" then
    out[1] = type_words(type_.scalar)
    if type_.list then out[#out + 1] = type_words(type_.list) end
    if type_.table then out[#out + 1] = "a table" end
  else
    for _, word in ipairs(type_.words or {}) do out[#out + 1] = '"' .. word .. '"' end
    if type_.other then out[#out + 1] = "a " .. WORDS.hostpath end
    for _, name in ipairs(type_.takes) do
      if schema.kinds[name] and schema.kinds[name].example then out[#out + 1] = name end
    end
    if type_.table then out[#out + 1] = "a table" end
  end
  return table.concat(out, ", ")
end

-- The record behind a type, if it has fields of its own.
local function record_of(type_)
  if type(type_) ~= "table" then return nil end
  if type_.kind == "record" then return type_ end
  if type_.kind == "either" then return type_.table end
  if type_.kind == "typed" and type_.table then return type_.takes.record(type_.table) end
end

local function show_default(v)
  if type(v) == "string" then return '"' .. v .. '"' end
  if type(v) == "table" then return next(v) and "a table" or "{ }" end
  return tostring(v)
end

local function default_of(f)
  if f.required then return "none: it is needed" end
  if f.shown then return f.shown end
  if f.default ~= nil then return show_default(f.default) end
  return nil
end

local function unenforced_note(f)
  if f.enforced == nil then return nil end
  local because = f.because and ": " .. f.because or ""
  if f.enforced == false then return "Not enforced by this version of luge; written, it is an error" .. because
    .. "." end
  return "Not all values are enforced by this version of luge" .. because .. "."
end

-- All fields as { path, field, record }, in the schema's order; kinds are "tmpfs" with fields "tmpfs.size".
local function each(visit)
  local function fields(prefix, rec)
    for i = 1, #rec do
      local f = rec[i]
      local path = prefix == "" and f[1] or prefix .. "." .. f[1]
      visit(path, f, rec)
      local inner = record_of(f[2])
      if inner then fields(path, inner) end
    end
  end
  fields("", schema.container)
  for _, name in ipairs(schema.constructors()) do
    if schema.kinds[name] then
      visit(name, schema.kinds[name])
      fields(name, schema.kinds[name])
    end
  end
  visit("group", schema.group)
  fields("group", schema.group)
end

local function find(name)
  local paths, found = {}, nil
  each(function(path, f)
    paths[#paths + 1] = path
    if path == name and not found then found = f end
  end)
  -- A field's own name is enough where nothing else is called so: "wall".
  if not found then
    local last
    each(function(path, f)
      if path:match "[^.]+$" == name then
        if found then last = false else found, last = f, path end
      end
    end)
    if last == false then return nil, paths end
    if found then return found, paths, last end
  end
  return found, paths, name
end

-- A field has a type, a constructor's record is one.
local function type_of(f)
  return f.kind ~= "record" and f[2] or nil
end

local function example_of(f)
  return type_of(f) and f[1] .. " = " .. f.example or f.example
end

local function field_lines(rec, out)
  local width = 0
  for i = 1, #rec do width = math.max(width, #rec[i][1]) end
  for i = 1, #rec do
    local note = rec[i].enforced == false and " (not in this version)" or ""
    out[#out + 1] = ("  %-" .. width .. "s  %s"):format(rec[i][1], rec[i].doc) .. note
  end
end

local function describe(path, f)
  local out = { path .. ": " .. f.doc, "" }
  local type_ = type_of(f)
  local rec = type_ and record_of(type_) or not type_ and f
  if type_ then
    out[#out + 1] = "  Type:     " .. type_words(type_) .. (f.off and "; false for none" or "")
    out[#out + 1] = "  Default:  " .. (default_of(f) or "none")
  end
  if f.unit then out[#out + 1] = "  Unit:     " .. f.unit end
  out[#out + 1] = "  Example:  " .. example_of(f)
  if f.protection then out[#out + 1] = "  optional(…) accepts that a host lacks it." end
  if unenforced_note(f) then out[#out + 1] = "  " .. unenforced_note(f) end
  if rec and rec.positional then
    out[#out + 1] = "  Without names: " .. table.concat(rec.positional, ", ") .. (rec.positional.rest and "…" or "")
  end
  if rec and #rec > 0 then
    out[#out + 1] = ""
    field_lines(rec, out)
  end
  return table.concat(out, "\n") .. "\n"
end

-- What `luge help NAME` says of a field ("limits.wall", "container.mounts") or constructor; nil and a message else.
function M.field(name)
  name = name:gsub("^container%.", "")
  if name == "container" then return M.list() end
  local f, paths, path = find(name)
  if f then return describe(path, f) end
  local nearest = require "sandbox.profile.errors".nearest
  local near = nearest(name, paths)
  for _, other in ipairs(near and {} or paths) do
    near = near or nearest(name, { other:match "[^.]+$" }) and other
  end
  return nil, "no field '" .. name .. "'" .. (near and " (did you mean '" .. near .. "'?)" or "")
    .. "; luge help container lists them"
end

-- Every field and constructor with one line each.
function M.list()
  local out = { "The fields of container { … }:", "" }
  field_lines(schema.container, out)
  out[#out + 1] = ""
  out[#out + 1] = "Constructors:"
  out[#out + 1] = ""
  for _, name in ipairs(schema.constructors()) do
    local kind = schema.kinds[name]
    if kind then out[#out + 1] = ("  %-9s  %s"):format(name, kind.doc) end
  end
  out[#out + 1] = ""
  out[#out + 1] = "Besides: profile \"NAME\" (a parent), param.NAME (from -D NAME=VALUE), host (cwd home user uid gid arch cpus"
  out[#out + 1] = "memory kernel env), require, append { … }, without { … }, remove(\"…\") and optional(…): luge-profile(5)."
  out[#out + 1] = ""
  out[#out + 1] = "luge help FIELD says more: luge help limits.wall, luge help bind."
  return table.concat(out, "\n") .. "\n"
end

-- The names that completion offers after `luge help` and `--set`.
function M.names()
  local paths = {}
  each(function(path) paths[#paths + 1] = path end)
  return paths
end

-- luge-profile(5) ----------------------------------------------------------------------------------------

local function roff(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("…", "..."):gsub("\n%.", "\n\\&."):gsub("^([.'])", "\\&%1"))
end

local INTRODUCTION = {
  "A profile is a Lua file that returns one container { … }, or a group { … } of them. It is evaluated before anything",
  "exists: without files, processes or network, with 64 MiB of memory and 2 s of CPU time.",
  "Beside Lua it has the constructors below, host (facts: cwd home user uid gid arch cpus memory kernel, and env),",
  "param.NAME (from \\-D NAME=VALUE), profile \"NAME\" (a parent), require for files beside it, and",
  "append { … }, without { … } and remove(\"…\") to change what a parent says. optional(…) around a mount or a",
  "protection accepts that the host lacks it.",
}

function M.man()
  local out = { '.TH LUGE\\-PROFILE 5 "" luge "luge manual"', ".SH NAME",
    "luge\\-profile \\- a container in one Lua file",
    ".SH DESCRIPTION" }
  for _, line in ipairs(INTRODUCTION) do out[#out + 1] = (line:gsub("…", "...")) end
  out[#out + 1] = ".SH FIELDS"
  local constructors = false
  each(function(path, f)
    if not type_of(f) and not constructors then
      out[#out + 1] = ".SH CONSTRUCTORS"
      constructors = true
    end
    out[#out + 1] = ".TP"
    out[#out + 1] = ".B " .. roff(path)
    out[#out + 1] = roff(f.doc)
    local type_ = type_of(f)
    if type_ then
      local default = default_of(f)
      out[#out + 1] = ".br"
      out[#out + 1] = roff(type_words(type_) .. (f.off and "; false for none" or "")
        .. (default and ". Default: " .. default or "") .. ".")
    end
    local note = unenforced_note(f)
    if note then out[#out + 1] = roff(note) end
    out[#out + 1] = ".br"
    out[#out + 1] = "Example: \\fC" .. roff(example_of(f)) .. "\\fR"
  end)
  out[#out + 1] = '.SH "SEE ALSO"'
  out[#out + 1] = ".BR luge (1)"
  return table.concat(out, "\n") .. "\n"
end

-- Editor's stubs -----------------------------------------------------------------------------------------

local STUBS = { boolean = "boolean", integer = "integer", number = "number", any = "table", id = "integer",
  size = "string|number", duration = "string|number", offset = "string|number", rlimit_size = "string|number",
  rlimit_count = "integer|string", cpu = "integer", cpus = "string", namespace = "boolean|string",
    word = "string|number",
  sysctl = "string|number", comparison = "any[]", id_range = "integer[]", cgroup_path = "string" }

local function stub_type(type_)
  if type(type_) == "string" then return STUBS[type_] or "string" end
  local kind = type_.kind
  if kind == "list" then return "table" end
  if kind == "map" or kind == "env" then return "table" end
  if kind == "record" then return "luge." .. type_.name .. "|table" end
  local rec = record_of(type_)
  local table_part = (rec and "|luge." .. rec.name or "") .. ((type_.list or kind == "typed") and "|table" or "")
  if kind == "choice" then
    local out = {}
    for i = 1, #type_ do out[i] = type(type_[i]) == "string" and '"' .. type_[i] .. '"' or tostring(type_[i]) end
    if type_.other then out[#out + 1] = "string" end
    return table.concat(out, "|")
  end
  return (kind == "either" and stub_type(type_.scalar) or "string") .. table_part
end

local FIXED = [[
---@meta
-- What a luge profile may say; made by luge from its schema.

---@class luge.host
---@field cwd string
---@field home string
---@field user string
---@field uid integer
---@field gid integer
---@field arch string
---@field cpus integer
---@field memory integer
---@field kernel string
---@field env table<string, string>
host = {}
---@type table<string, string>
param = {}
---A parent: what that profile returns.
---@param name string
---@return table
function profile(name) end
---Adds to an inherited list.
---@param list table
---@return table
function append(list) end
---Takes from an inherited list.
---@param list table
---@return table
function without(list) end
---Deletes an inherited entry.
---@param name string
---@return table
function remove(name) end
---Accepts that a host cannot give this protection or mount.
---@generic T
---@param value T
---@return T
function optional(value) end
]]

local function stub_class(rec, seen, out)
  if seen[rec.name] or #rec == 0 then return end
  seen[rec.name] = true
  for i = 1, #rec do
    local inner = record_of(rec[i][2])
    if inner then stub_class(inner, seen, out) end
  end
  out[#out + 1] = "\n---@class luge." .. rec.name
  for i = 1, #rec do
    local f = rec[i]
    out[#out + 1] = "---@field " .. f[1] .. "? " .. stub_type(f[2]) .. (f.off and "|false" or "") .. " " .. f.doc
  end
end

function M.stubs()
  local out, seen = { FIXED }, {}
  stub_class(schema.container, seen, out)
  stub_class(schema.group, seen, out)
  for _, name in ipairs(schema.constructors()) do
    local rec = schema.kinds[name] or schema[name]
    stub_class(rec, seen, out)
    out[#out + 1] = "\n---" .. rec.doc
    out[#out + 1] = "---@param fields " .. (#rec > 0 and "luge." .. rec.name .. "|table" or "table")
    out[#out + 1] = "---@return table"
    out[#out + 1] = "function " .. name .. "(fields) end"
  end
  return table.concat(out, "\n") .. "\n"
end

return M
