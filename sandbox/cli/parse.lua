-- SPDX-License-Identifier: MIT
-- sandbox.cli.parse: words to options, by the one table. What is wrong comes back as a message and a hint.


local M = {}

local function find(options, kind, name)
  for _, option in ipairs(options) do
    if (kind == "short" and option.short or kind == "long" and option[1]) == name then return option end
  end
end

local function nearest(options, name)
  local names = {}
  for i, option in ipairs(options) do
    if #name >= 2 and option[1]:sub(1, #name) == name then return option[1] end
    names[i] = option[1]
  end
  return require("luge.cage").nearest(name, names)
end

local function unknown(command, word)
  local near = word:sub(1, 2) == "--" and nearest(command.options, word:match("^%-%-([^=]*)"))
  local is_known = command.stops_at_profile or command[1] == "kill"
  local hint = is_known and require("sandbox.cli.elsewhere").option(word, command[1]) or near and "did you mean --" .. near .. "?"
    or ("luge help %s lists its options"):format(command[1])
  return nil, ("%s: no such option"):format(word), hint
end

local function store(found, option, value)
  local name = option[1]
  if option.list then
    found[name] = found[name] or {}
    table.insert(found[name], value)
  else
    found[name] = value
  end
end

-- One word that starts with "-": { option, value, needs_value } or nil, message, hint.
local function take_option(command, word)
  local name, value = word:match("^%-%-([^=]+)=(.*)$")
  local option
  if name or word:sub(1, 2) == "--" then
    option = find(command.options, "long", name or word:sub(3))
  else
    option, value = find(command.options, "short", word:sub(2, 2)), word:sub(3)
    if value == "" then value = nil end
  end
  if not option then return unknown(command, word) end
  -- "-it" is -i and -t.
  if value and not option.arg and not name and word:sub(1, 2) ~= "--" then
    return { option = option, rest = "-" .. value }
  end
  if value and not option.arg then return nil, ("%s: --%s takes no value"):format(word, option[1]) end
  return { option = option, value = value }
end

-- An option behind the word where options end: it is luge's, another launcher's, or a word of the command.
local function after_profile(command, argv, i)
  local word, option, what = argv[i], argv[i + 1], command.stops_at_profile
  local taken, _, foreign = take_option(command, option)
  local before = option
  if taken and taken.option.arg and not taken.value and argv[i + 2] then before = option .. " " .. argv[i + 2] end
  local hint = taken and ("luge %s %s %s …"):format(command[1], before, word) or foreign:match("^luge help") and "" or foreign
  hint = hint .. (hint ~= "" and "; " or "") .. ("for a word of the command: luge %s %s -- %s"):format(command[1], word, option)
  return nil, ("%s: options go before %s"):format(option, what == true and "PROFILE" or what), hint
end

--- Parses the words after a command's name: options by long name, and the other words.
---@return table|nil options
---@return string[]|string words or the message
---@return string|nil hint
function M.parse(command, argv)
  local found, words = {}, {}
  local i = 1
  while i <= #argv do
    local word = argv[i]
    if word == "--" then
      table.move(argv, i + 1, #argv, #words + 1, words)
      if command.stops_at_profile and words[2] == "--" then table.remove(words, 2) end
      break
    elseif word:sub(1, 1) ~= "-" or word == "-" then
      words[#words + 1] = word
      if command.stops_at_profile then
        if argv[i + 1] == "--" then i = i + 1
        elseif (argv[i + 1] or ""):match("^%-") then
          return after_profile(command, argv, i)
        end
        table.move(argv, i + 1, #argv, #words + 1, words)
        break
      end
    else
      local taken, message, hint = take_option(command, word)
      if not taken then return nil, message, hint end
      while taken.rest do
        store(found, taken.option, true)
        taken, message, hint = take_option(command, taken.rest)
        if not taken then return nil, message, hint end
      end
      if taken.option.arg and not taken.value then
        i = i + 1
        taken.value = argv[i]
        if not taken.value then return nil, ("--%s needs %s"):format(taken.option[1], taken.option.arg) end
      end
      store(found, taken.option, taken.option.arg and taken.value or true)
    end
    i = i + 1
  end
  if command.most and #words > command.most then
    return nil, ("%s: one word too many"):format(words[command.most + 1]),
      (("luge %s %s"):format(command[1], command.usage):gsub(" $", ""))
  end
  return found, words
end

return M
