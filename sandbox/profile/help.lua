-- SPDX-License-Identifier: MIT
-- sandbox.profile.help: the schema as words: `luge help FIELD` and the list of fields.

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
  subnet6 = "IPv6 network", ip = "IPv4 or IPv6 address", ip4 = "IPv4 address", ip6 = "IPv6 address",
  destination = 'network, "default" or "default6"',
  network = "network or address", port = "port", port_range = "port or range of ports", host_port = "port, or ADDRESS:PORT",
  rate = "rate", join = "path of a network namespace, or name of a container",
}

--- What a profile may use besides fields and constructors: name, example, what it is.
M.VOCABULARY = {
  { "profile", 'profile "NAME"',
    "A parent, whose fields this profile starts from: the first entries of container { … }, merged in their order." },
  { "param", "param.NAME", "The VALUE of -D NAME=VALUE on the command line, a text; nil where it is not given." },
  { "host", "host.cwd",
    "Facts of the host: cwd home user uid gid arch cpus memory kernel, and env: host.env.NAME is a variable of luge's." },
  { "require", 'require "NAME"', "The Lua file NAME.lua beside the profile, or on the profile path: functions and tables." },
  { "append", "command = append { \"-v\" }", "Adds to an inherited list, which a plain one would replace." },
  { "without", "capabilities = without { \"chown\" }", "Takes entries away from an inherited list." },
  { "remove", 'remove "/tmp"', "Deletes an inherited entry: a mount or device of that target, a variable of that name." },
  { "optional", 'memory = optional("1G")', "Accepts that the host cannot give this protection or mount; the report says so." },
}

-- Lines of at most 100 columns, those after the first with so many blanks before them.
function M.wrap(text, indent)
  local lines, line = {}, ""
  for word in text:gmatch "%S+" do
    if line ~= "" and indent + utf8.len(line) + 1 + (utf8.len(word) or #word) > 100 then
      lines[#lines + 1], line = line, word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n" .. (" "):rep(indent))
end

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

-- The field of that path, or whose own name it is where nothing else is called so ("wall"; what a container has comes
-- before a group's): field, its path; or nil, and the paths that end so.
local function find(name)
  local found, ends = nil, { own = {}, group = {} }
  each(function(path, f)
    if path == name then found = found or f end
    if path:match "[^.]+$" == name then table.insert(path:find "^group%." and ends.group or ends.own, { f, path }) end
  end)
  if found then return found, name end
  for _, list in ipairs { ends.own, ends.group } do
    if #list == 1 then return list[1][1], list[1][2] end
    if #list > 1 then
      for i, pair in ipairs(list) do list[i] = pair[2] end
      return nil, list
    end
  end
  return nil, {}
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
    out[#out + 1] = ("  %-" .. width .. "s  "):format(rec[i][1]) .. M.wrap(rec[i].doc .. note, width + 4)
  end
end

-- The fields that take a constructor: "mounts", "network.interfaces".
local function places_of(name)
  local places = {}
  each(function(path, f)
    local type_ = type_of(f)
    if type(type_) == "table" and type_.kind == "list" then type_ = type_.of end
    for _, taken in ipairs(type(type_) == "table" and type_.kind == "typed" and type_.takes or {}) do
      if taken == name and not path:find "^group%." then places[#places + 1] = path end
    end
  end)
  return table.concat(places, ", ")
end

local function describe(path, f)
  local out = { M.wrap(path .. ": " .. f.doc, 0), "" }
  local type_ = type_of(f)
  local rec = type_ and record_of(type_) or not type_ and f
  if type_ then
    out[#out + 1] = "  Type:     " .. M.wrap(type_words(type_) .. (f.off and "; false for none" or ""), 12)
    out[#out + 1] = "  Default:  " .. (default_of(f) or "none")
  end
  local places = not type_ and places_of(path) or ""
  if places ~= "" then out[#out + 1] = "  Is in:    " .. places end
  if f.unit then out[#out + 1] = "  Unit:     " .. f.unit end
  out[#out + 1] = "  Example:  " .. example_of(f)
  if f.protection then out[#out + 1] = "  optional(…) accepts that a host lacks it." end
  if unenforced_note(f) then out[#out + 1] = "  " .. M.wrap(unenforced_note(f), 2) end
  if rec and rec.positional then
    out[#out + 1] = "  Without names: " .. table.concat(rec.positional, ", ") .. (rec.positional.rest and "…" or "")
  end
  if rec and #rec > 0 then
    out[#out + 1] = ""
    field_lines(rec, out)
  end
  return table.concat(out, "\n") .. "\n"
end

-- The path that a wrong one was meant to be, or nil: first among the fields beside it.
local function nearest_path(name, paths)
  local errors = require "sandbox.profile.errors"
  local above, last = name:match "^(.*%.)([^.]+)$"
  local beside, ends, own = {}, {}, {}
  for _, path in ipairs(paths) do
    local rest = above and path:sub(1, #above) == above and path:sub(#above + 1)
    if rest and not rest:find(".", 1, true) then beside[#beside + 1] = rest end
    local leaf = path:match "[^.]+$"
    if not path:find ".%." then own[#own + 1] = path end
    ends[leaf] = ends[leaf] or path
  end
  local near = last and errors.nearest(last, beside)
  if near then return above .. near end
  return errors.nearest(name, own) or errors.nearest(name, paths)
    or require "sandbox.profile.elsewhere".field(schema, schema.container, name) or ends[errors.nearest(name, ends) or ""]
end

--- What `luge help NAME` says of a field ("limits.wall", "container.mounts"), a constructor or another word of profiles; nil,
--- a message and the way out else.
function M.field(name)
  name = name:gsub("^container%.", "")
  if name == "container" then return M.list() end
  local f, path = find(name)
  if f then return describe(path, f) end
  for _, word in ipairs(M.VOCABULARY) do
    if word[1] == name then return ("%s\n\n  Example:  %s\n"):format(M.wrap(name .. ": " .. word[3], 0), word[2]) end
  end
  if #path > 0 then
    return nil, ("'%s' is a field of several"):format(name), M.wrap("luge help " .. table.concat(path, ", "), 8)
  end
  local near = nearest_path(name, M.names())
  return nil, ("no field '%s'%s"):format(name, near and (" (did you mean '%s'?)"):format(near) or "")
end

-- Every field and constructor with one line each.
function M.list()
  local out = { "The fields of container { … }:", "" }
  field_lines(schema.container, out)
  out[#out + 1] = "\nConstructors:\n"
  local constructors = { }
  for _, name in ipairs(schema.constructors()) do
    local kind = schema.kinds[name] or name == "group" and schema.group
    if kind then constructors[#constructors + 1] = { name, doc = kind.doc } end
  end
  field_lines(constructors, out)
  out[#out + 1] = "\nBesides:\n"
  local words = {}
  for i, word in ipairs(M.VOCABULARY) do words[i] = { word[2], doc = word[3] } end
  field_lines(words, out)
  out[#out + 1] = "\nluge help FIELD says more: luge help limits.wall, luge help bind."
  return table.concat(out, "\n") .. "\n"
end

--- Whether a container has that field itself.
function M.has(name) return schema.field(schema.container, name) ~= nil end

-- The names that completion offers after `luge help` and `--set`.
function M.names()
  local paths = {}
  each(function(path) paths[#paths + 1] = path end)
  return paths
end

M.each, M.record_of, M.type_of, M.type_words, M.default_of = each, record_of, type_of, type_words, default_of
M.example_of, M.unenforced_note = example_of, unenforced_note

return M
