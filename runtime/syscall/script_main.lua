-- SPDX-License-Identifier: MIT
-- syscall.script_main: what a state that was made for one script (runtime/script.c) does: a function of the text, the
-- name and the facts as JSON, which returns nil or the words of an error, "NAME:LINE: words".

-- Where the script itself was when something failed: the innermost of its own functions.
local function line_of(name)
  for level = 2, 100 do
    local info = debug.getinfo(level, "Sl")
    if not info then return nil end
    if info.source == "@" .. name and info.currentline > 0 then return info.currentline end
  end
end

-- Lua shortens long names (LUA_IDSIZE) in front of its messages; errors of the syscall layer are objects, without a place.
local function placed(name, short)
  return function(err)
    local text = type(err) == "string" and err or tostring(err)
    local line, words = text:match("^(%d+): (.*)$", text:sub(1, #short + 1) == short .. ":" and #short + 2 or #text + 1)
    if not line then
      if text:sub(1, #name + 1) == name .. ":" then return text end
      line, words = line_of(name), text
    end
    return ("%s:%s %s"):format(name, line and line .. ":" or "", words)
  end
end

return function(text, name, facts)
  local container = require("luge.json").decode(facts)
  local chunk, message = load(text, "@" .. name, "t")
  local short = (chunk and debug.getinfo(chunk, "S").short_src) or name
  if not chunk then return (placed(name, message:match("^(.-):%d+: ") or name)(message)) end
  rawset(_G, "container", container)
  local ok, words = xpcall(chunk, placed(name, short), container)
  return not ok and words or nil
end
