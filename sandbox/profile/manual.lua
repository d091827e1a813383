-- SPDX-License-Identifier: MIT
-- sandbox.profile.manual: files made from the schema: luge-profile(5) as roff, and the stubs that tell an editor
-- (lua-language-server) what a profile may say.

local embedded = require "luge.embedded"
local help = require "sandbox.profile.help"
local schema = require "sandbox.profile.schema"

local M = {}

local function roff(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("…", "..."):gsub("\n%.", "\n\\&."):gsub("^([.'])", "\\&%1"))
end

local INTRODUCTION = {
  "A profile is a Lua file that returns one container { … }, or a group { … } of them. It is evaluated before anything",
  "exists: without files, processes or network, with 64 MiB of memory and 2 s of CPU time.",
  "Besides Lua it has the fields and constructors below, and these words:",
}

function M.man()
  local out = { '.TH LUGE\\-PROFILE 5 "" luge "luge manual"', ".SH NAME",
    "luge\\-profile \\- a container in one Lua file",
    ".SH DESCRIPTION" }
  for _, line in ipairs(INTRODUCTION) do out[#out + 1] = (line:gsub("…", "...")) end
  for _, word in ipairs(help.VOCABULARY) do
    -- A quote would end the macro's argument.
    table.move({ ".TP", ".B " .. roff(word[2]):gsub('"', "\\(dq"), roff(word[3]) }, 1, 3, #out + 1, out)
  end
  out[#out + 1] = ".SH FIELDS"
  local constructors = false
  help.each(function(path, f)
    if not help.type_of(f) and not constructors then
      out[#out + 1] = ".SH CONSTRUCTORS"
      constructors = true
    end
    out[#out + 1] = ".TP"
    out[#out + 1] = ".B " .. roff(path)
    out[#out + 1] = roff(f.doc)
    local type_ = help.type_of(f)
    if type_ then
      local default = help.default_of(f)
      out[#out + 1] = ".br"
      out[#out + 1] = roff(help.type_words(type_) .. (f.off and "; false for none" or "")
        .. (default and ". Default: " .. default or "") .. ".")
    end
    local note = help.unenforced_note(f)
    if note then out[#out + 1] = roff(note) end
    out[#out + 1] = ".br"
    out[#out + 1] = "Example: \\fC" .. roff(help.example_of(f)) .. "\\fR"
  end)
  table.move({ ".SH EXAMPLE", "The profile ci, which comes with luge:", ".PP", ".nf" }, 1, 4, #out + 1, out)
  for line in embedded "profiles/ci.lua":gmatch "([^\n]*)\n" do
    if not line:find "SPDX" then out[#out + 1] = roff(line):gsub("^([.'])", "\\&%1") end
  end
  out[#out + 1] = ".fi"
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
  local rec = help.record_of(type_)
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
---$profile
---@param name string
---@return table
function profile(name) end
---$append
---@param list table
---@return table
function append(list) end
---$without
---@param list table
---@return table
function without(list) end
---$remove
---@param name string
---@return table
function remove(name) end
---$optional
---@generic T
---@param value T
---@return T
function optional(value) end
]]

local function stub_class(rec, seen, out)
  if seen[rec.name] or #rec == 0 then return end
  seen[rec.name] = true
  for i = 1, #rec do
    local inner = help.record_of(rec[i][2])
    if inner then stub_class(inner, seen, out) end
  end
  out[#out + 1] = "\n---@class luge." .. rec.name
  for i = 1, #rec do
    local f = rec[i]
    out[#out + 1] = "---@field " .. f[1] .. "? " .. stub_type(f[2]) .. (f.off and "|false" or "") .. " " .. f.doc
  end
end

function M.stubs()
  local docs = {}
  for _, word in ipairs(help.VOCABULARY) do docs[word[1]] = word[3] end
  local out, seen = { (FIXED:gsub("%$(%l+)", docs)) }, {}
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
