-- SPDX-License-Identifier: MIT
-- sandbox.profile.load: from a profile's file to the table it returns, by way of the cage.
--
-- The cage (runtime/cage.c) runs the Lua code; here are the files it may see, and the faults it may have.

local cage = require "luge.cage"
local search = require "sandbox.profile.search"

local M = {}

-- What a profile may know of the host; the other facts are the plan's.
local HOST = { "cwd", "home", "user", "uid", "gid", "arch", "cpus", "memory", "kernel", "env" }

-- Lua shortens long names of chunks in its messages; this is the same rule.
local function shown_in_messages(label)
  return #label <= 59 and label or "..." .. label:sub(-56)
end

-- Splits "ci.lua:7: text" where the file is one that was read.
local function split_message(message, files)
  for _, file in ipairs(files.list) do
    local prefix = shown_in_messages(file.label) .. ":"
    if message:sub(1, #prefix) == prefix then
      local line, text = message:match("^(%d+): (.*)$", #prefix + 1)
      if line then return file.label, tonumber(line), text end
    end
  end
end

local function line_of(text, number)
  local n = 0
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    n = n + 1
    if n == number then return line end
  end
end

-- Where on its line a word stands that is there only once: first and last column.
local function find_word(line, word)
  local first, last = line:find(word, 1, true)
  if not first or line:find(word, last + 1, true) then return nil end
  return first, last
end

-- The call chain, without what lies below the line that the message is about.
local function chain_above(chain, file, line)
  for i, place in ipairs(chain or {}) do
    if place == file .. ":" .. line then return chain[i + 1] and table.move(chain, i + 1, #chain, 1, {}) or nil end
  end
  return chain
end

local function place_fault(fault, files)
  local file, line, text = split_message(fault.message, files)
  if file then
    if fault.file ~= file or fault.line ~= line then fault.chain = chain_above(fault.chain, file, line) end
    fault.file, fault.line, fault.message = file, line, text
  end
  local known = fault.file and files.known[fault.file]
  if not known then return end
  local source = known.text
  local column, last
  if fault.keys then
    local at
    at, column, last = require "sandbox.profile.source".locate(source, fault.line, fault.keys, "value")
    fault.line = at or fault.line
  end
  local snippet = line_of(source, fault.line)
  if snippet == "" then snippet = nil end
  local near = not column and fault.message:match(" near '(.+)'$") or fault.message:match("^no %a[%a ]* '([^']+)'")
    or fault.message:match("^host has no field '([^']+)'") or fault.message:match("global '([^']+)'")
  if snippet and near and not column then column, last = find_word(snippet, near) end
  fault.column, fault.length = column, column and last - column + 1
  fault.snippet = snippet
  fault.origin = {
    file = fault.file, line = fault.line, column = column, last = last, text = snippet, chain = fault.chain,
  }
end

-- Faults of a chunk that ended badly, as callers want them: { message, file, line, column, length, chain, snippet }.
local function finish_faults(faults, files)
  for _, fault in ipairs(faults) do
    place_fault(fault, files)
    fault.hint = fault.hint or require "sandbox.profile.errors".lua_hint(fault.message, fault.snippet)
    fault.keys, fault.path = nil, nil
  end
  table.sort(faults, function(a, b)
    if a.file ~= b.file then return (a.file or "") < (b.file or "") end
    if a.line ~= b.line then return (a.line or 0) < (b.line or 0) end
    return a.message < b.message
  end)
  return faults
end

local function fault_of(message, file, hint)
  return { { message = message, file = file, origin = { file = file }, hint = hint } }
end

local function sorted_keys(set)
  local keys = {}
  for key in pairs(set or {}) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function new_info(files, used)
  local info = { main = files.list[1].label, text = {}, directory = {}, files = {}, trusted = files.trusted }
  for i, file in ipairs(files.list) do
    info.text[file.label] = file.text
    info.directory[file.label] = file.directory
    info.files[i] = {
      label = file.label, path = file.path, dev = file.dev, ino = file.ino, size = file.size, mtime = file.mtime,
    }
  end
  info.env, info.params = sorted_keys(used.env), sorted_keys(used.param)
  return info
end

-- Answers the cage: what file is meant, or a fact of the host.
local function answer(files, facts)
  return function(kind, name, from)
    if kind == "fact" then return nil, facts[name] end
    local asking = files.known[from] or files.list[1]
    local file, message
    if kind == "module" then
      file, message = files:open_module(name, asking)
    else
      file, message = files:open_profile(name, asking)
    end
    if not file then return nil, message end
    return file.text, file.label
  end
end

-- true, value, origins, info; or false, faults.
local function run(files, request, expression)
  local main = files.list[1]
  local good, value, origins, used = cage.run {
    text = main.text, label = main.label, expression = expression,
    constructors = request.constructors or {}, facts = HOST, params = request.params or {},
    exit_code = request.exit_code or 125, ask = answer(files, request.facts),
  }
  if not good then return false, finish_faults(value, files) end
  return true, value, origins, new_info(files, used)
end

local function open_source(files, source)
  if source.path then return files:open_path(source.path) end
  if source.name then return files:open_name(source.name) end
  if source.stdin then return files:open_stdin() end
  return files:add_text(source.text, source.label or "text", source.directory)
end

local ARTICLE = { string = "a string", number = "a number", boolean = "a boolean", table = "a table" }

--- Evaluates a profile. request = { source = {path=}|{name=}|{stdin=true}|{text=,label=}, params=, facts=,
--- constructors=, exit_code= }. Gives raw, origins, info; or nil, faults. A profile over its CPU time ends the process.
function M.evaluate(request)
  local files = search.new(request.facts)
  local main, message, hint = open_source(files, request.source)
  if not main then return nil, fault_of(message, nil, hint) end
  local good, raw, origins, info = run(files, request, false)
  if not good then return nil, raw end
  local kind = type(raw) == "table" and raw.type
  if kind == "container" or kind == "group" then return raw, origins, info end
  local got = raw == nil and "nothing" or kind and ("a '%s'"):format(kind) or ARTICLE[type(raw)]
  local wanted = "the profile returns %s; a profile ends with: return container { ... }"
  return nil, fault_of(wanted:format(got), main.label)
end

--- Evaluates the Lua expression of an option; `label` says which: "--set limits". Gives value, origins, info; or nil,
--- faults.
function M.expression(text, label, request)
  local files = search.new(request.facts)
  files:add_text(text, label)
  local good, value, origins, info = run(files, request, true)
  if not good then return nil, value end
  if value == nil then return nil, fault_of("the expression gives nil", label) end
  return value, origins, info
end

return M
