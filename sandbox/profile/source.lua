-- SPDX-License-Identifier: MIT
-- sandbox.profile.source: where in a profile's text a field was written, to the column.
--
-- Lua remembers lines of calls only. From the line on which a constructor was called, this reads the text: a lexer,
-- and as much of the grammar as is needed to walk from field to field. Loaded when a fault or `plan` wants a place.

local M = {}

-- Lexer ------------------------------------------------------------------------------------------------------------

-- Returns the offset after a long bracket that starts at `at`, or nil when there is none.
local function after_long_bracket(text, at)
  local equals = text:match("^%[(=*)%[", at)
  if not equals then return nil end
  local _, last = text:find("]" .. equals .. "]", at, true)
  return (last or #text) + 1
end

local function after_string(text, at)
  local quote = text:sub(at, at)
  at = at + 1
  while true do
    at = text:find("[\\\n" .. quote .. "]", at)
    if not at then return #text + 1 end
    local c = text:sub(at, at)
    if c == quote then return at + 1 end
    if c == "\n" then return at end -- not finished: the compiler has said so
    if text:sub(at + 1, at + 1) == "z" then
      at = text:find("%S", at + 2) or #text + 1
    else
      at = at + 2
    end
  end
end

local function after_number(text, at)
  local _, last = text:find("^%.?%d[%w.]*", at)
  while text:find("^[eEpP][+-]%d", last) do _, last = text:find("^%w*", last + 2) end
  return last + 1
end

local function after_comment(text, at)
  return after_long_bracket(text, at + 2) or text:find("\n", at, true) or #text + 1
end

-- The kind of the token at `at` and the offset after it.
local function next_token(text, at)
  local c = text:sub(at, at)
  if c:find("[%a_]") then return "name", select(2, text:find("^[%w_]+", at)) + 1 end
  if c == '"' or c == "'" then return "string", after_string(text, at) end
  if text:find("^%.?%d", at) then return "number", after_number(text, at) end
  local after = after_long_bracket(text, at)
  if after then return "string", after end
  local _, last = text:find("^[=~<>]=", at)
  if not last then _, last = text:find("^%.%.%.?", at) end
  return "operator", (last or at) + 1
end

-- The tokens of a text: { kind, text, line, column, last = column of the end when it is on the same line }.
local function lex(text)
  local tokens, line, line_start = {}, 1, 1
  local function count_lines(first, after)
    local newline = text:find("\n", first, true)
    while newline and newline < after do
      line, line_start = line + 1, newline + 1
      newline = text:find("\n", newline + 1, true)
    end
  end
  local at = 1
  if text:sub(1, 1) == "#" then at = text:find("\n", 1, true) or #text + 1 end
  while true do
    local first = text:find("%S", at)
    count_lines(at, first or #text + 1)
    if not first then break end
    if text:sub(first, first + 1) == "--" then
      at = after_comment(text, first)
    else
      local kind, after = next_token(text, first)
      local token = { kind = kind, text = text:sub(first, after - 1), line = line, column = first - line_start + 1 }
      local eol = (text:find("\n", first, true) or #text + 1) - 1
      token.last = math.min(after - 1, eol) - line_start + 1
      tokens[#tokens + 1] = token
      at = after
    end
    count_lines(first, at)
  end
  local ending = { kind = "end", text = "", line = line, column = 1, last = 1 }
  tokens[#tokens + 1] = ending
  -- A text may break off anywhere: past its end there is nothing but the end.
  return setmetatable(tokens, { __index = function() return ending end })
end

local lexed_text, lexed_tokens

local function tokens_of(text)
  if lexed_text ~= text then lexed_text, lexed_tokens = text, lex(text) end
  return lexed_tokens
end

-- Expressions ------------------------------------------------------------------------------------------------------

local OPENS = { ["{"] = true, ["("] = true, ["["] = true, ["function"] = true, ["if"] = true, ["do"] = true,
  ["repeat"] = true }
local CLOSES = { ["}"] = true, [")"] = true, ["]"] = true, ["end"] = true, ["until"] = true }

local function opens(token) return token.kind ~= "string" and OPENS[token.text] end
local function closes(token) return token.kind == "end" or token.kind ~= "string" and CLOSES[token.text] end

local function is(token, text) return token.kind ~= "string" and token.text == text end

-- The index of the last token of the expression that starts at `first`; it ends before a comma, a semicolon or what
-- closes the surrounding table.
local function expression_end(tokens, first)
  local depth, i = 0, first
  while true do
    local token = tokens[i]
    if token.kind == "end" then return i - 1 end
    if depth == 0 and (is(token, ",") or is(token, ";") or closes(token)) then return i - 1 end
    if opens(token) then depth = depth + 1 elseif closes(token) then depth = depth - 1 end
    i = i + 1
  end
end

local function unquote(token)
  if token.kind == "number" then return math.tointeger(tonumber(token.text)) or tonumber(token.text) end
  if token.kind ~= "string" then return nil end
  return token.text:match("^['\"](.*)['\"]$") or token.text:match("^%[=*%[\n?(.-)%]=*%]$")
end

-- The entries of the table whose `{` is at `open`: { key, key_token, first, last }; a key that is computed is nil.
local function entries(tokens, open)
  local list, i, position = {}, open + 1, 0
  while not closes(tokens[i]) do
    local entry
    if tokens[i].kind == "name" and is(tokens[i + 1], "=") then
      entry = { key = tokens[i].text, key_token = tokens[i], first = i + 2 }
    elseif is(tokens[i], "[") then
      local bracket = expression_end(tokens, i + 1) + 1
      local key = bracket == i + 2 and unquote(tokens[i + 1]) or nil
      entry = { key = key, key_token = tokens[i + 1], first = bracket + 2 }
    else
      position = position + 1
      entry = { key = position, first = i }
    end
    entry.last = expression_end(tokens, entry.first)
    list[#list + 1] = entry
    i = math.max(entry.last, i) + 1
    if is(tokens[i], ",") or is(tokens[i], ";") then i = i + 1 end
    if tokens[i].kind == "end" then break end
  end
  return list
end

-- The operands of `and` and `or` from `first` to `last`, the last one first: it is the value more often.
local function operands(tokens, first, last)
  local list, depth, start = {}, 0, first
  for i = first, last do
    local token = tokens[i]
    if opens(token) then depth = depth + 1 elseif closes(token) then depth = depth - 1 end
    if depth == 0 and (is(token, "and") or is(token, "or")) then
      table.insert(list, 1, { start, i - 1 })
      start = i + 1
    end
  end
  table.insert(list, 1, { start, last })
  return list
end

-- The value of the nearest `local name = …` or `local a, name = …, …` before token `before`: its first token.
local function definition(tokens, name, before)
  for i = before - 1, 1, -1 do
    if is(tokens[i], "local") and tokens[i + 1].kind == "name" then
      local at, position = i + 1, nil
      for n = 1, 16 do
        if tokens[at].text == name then position = n end
        if not is(tokens[at + 1], ",") then break end
        at = at + 2
      end
      if position and is(tokens[at + 1], "=") then
        local first = at + 2
        for _ = 2, position do first = expression_end(tokens, first) + 2 end
        return first
      end
    end
  end
end

local WRAPPERS = { optional = true, remove = true }

-- The last token of the simple value that starts at `first`, for definitions: they have no comma after them.
local function simple_end(tokens, first)
  local i = first
  while tokens[i].kind == "name" and is(tokens[i + 1], ".") do i = i + 2 end
  if tokens[i].kind == "name" and not is(tokens[i + 1], "{") and not is(tokens[i + 1], "(") then return i end
  if tokens[i].kind == "name" then i = i + 1 end
  if opens(tokens[i]) then return expression_end(tokens, i + 1) + 1 end
  return i
end

local walk

-- Walks on inside the table at `open`. Returns the entry of the last key that was found, and how many were.
local function walk_table(tokens, open, keys, n, hops)
  local found
  for _, entry in ipairs(entries(tokens, open)) do
    if entry.key == keys[n] then found = entry end
  end
  if not found then return nil, n - 1 end
  if n == #keys then return found, n end
  local deeper, depth = walk(tokens, found.first, found.last, keys, n + 1, hops)
  if deeper then return deeper, depth end
  return found, n
end

local function walk_call(tokens, name, first, last, keys, n, hops)
  local open = first
  if is(tokens[first], "(") then open = first + 1 end
  if WRAPPERS[name] and keys[n] == "value" then
    local close = open == first and last or expression_end(tokens, open)
    if n == #keys then return { key = "value", first = open, last = close }, n end
    return walk(tokens, open, close, keys, n + 1, hops)
  end
  if is(tokens[open], "{") then return walk_table(tokens, open, keys, n, hops) end
  if tokens[open].kind == "string" and keys[n] == 1 then return { key = 1, first = open, last = open }, n end
  return nil, n - 1
end

local function walk_operand(tokens, first, last, keys, n, hops)
  while is(tokens[first], "(") and first < last do first, last = first + 1, last - 1 end
  if is(tokens[first], "{") then return walk_table(tokens, first, keys, n, hops) end
  if first > last or tokens[first].kind ~= "name" then return nil, n - 1 end
  if first == last then
    local value = hops > 0 and definition(tokens, tokens[first].text, first)
    if not value then return nil, n - 1 end
    return walk(tokens, value, simple_end(tokens, value), keys, n, hops - 1)
  end
  local callee = first
  while is(tokens[callee + 1], ".") and callee + 2 <= last do callee = callee + 2 end
  if callee == last then return nil, n - 1 end
  return walk_call(tokens, tokens[callee].text, callee + 1, last, keys, n, hops)
end

-- Looks for keys[n], keys[n + 1] … in the value of an expression: entry, how many keys led there; or nil.
function walk(tokens, first, last, keys, n, hops)
  local best, best_depth = nil, n - 1
  for _, range in ipairs(operands(tokens, first, last)) do
    local entry, depth = walk_operand(tokens, range[1], range[2], keys, n, hops)
    if entry and depth > best_depth then best, best_depth = entry, depth end
  end
  return best, best_depth
end

-- Places -----------------------------------------------------------------------------------------------------------

local function starts_call(tokens, i)
  local after = tokens[i + 1]
  return tokens[i].kind == "name" and (is(after, "{") or is(after, "(") or after.kind == "string")
    and not is(tokens[i - 1], "function")
end

-- The tokens that name what is called on a line; those called `name` only, when there are such.
local function calls_on(tokens, line, name)
  local all, named = {}, {}
  for i = 1, #tokens do
    local token = tokens[i]
    if token.line > line then break end
    if token.line == line and starts_call(tokens, i) then
      all[#all + 1] = i
      if token.text == name then named[#named + 1] = i end
    end
  end
  return #named > 0 and named or all
end

local function span(tokens, first, last)
  local start, stop = tokens[first], tokens[first]
  for i = first, last do
    if tokens[i].line == start.line then stop = tokens[i] end
  end
  return start.line, start.column, stop.last
end

--- Where the field that `keys` leads to was written, in the table of a constructor that was called on `line`: line,
--- first and last column. `part` is "key" (the default; the value where there is no key) or "value"; `name` is the
--- constructor's. What cannot be followed to its end gives the last place on the way; nil when there is none.
---@param text string
---@param line integer
---@param keys (string|integer)[]
---@param part? "key"|"value"
---@param name? string
---@return integer? line
---@return integer? column
---@return integer? last
function M.locate(text, line, keys, part, name)
  local tokens = tokens_of(text)
  local calls = calls_on(tokens, line, name)
  if #keys == 0 then
    if calls[1] then return span(tokens, calls[1], calls[1]) end
    return nil
  end
  local best, best_depth = nil, 0
  for _, i in ipairs(calls) do
    local last = i + 1
    if opens(tokens[last]) then last = expression_end(tokens, last + 1) + 1 end
    local entry, depth = walk_call(tokens, tokens[i].text, i + 1, last, keys, 1, 8)
    if entry and depth > best_depth then best, best_depth = entry, depth end
  end
  if not best then return nil end
  if best.key_token and (part ~= "value" or best_depth < #keys) then
    return best.key_token.line, best.key_token.column, best.key_token.last
  end
  return span(tokens, best.first, best.last)
end

return M
