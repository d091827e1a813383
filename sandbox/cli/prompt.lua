-- SPDX-License-Identifier: MIT
-- sandbox.cli.prompt: `luge lua` on a terminal: lines are run, the values of expressions shown,
-- help(S.open) documents.

local show = require "sandbox.cli.show"
local S = require "syscall"
local nl = require "netns"

local M = {}

-- The name of a function of S or nl as its documentation has it; names are taken as they are.
local function name_of(what)
  if type(what) == "string" then return (what:gsub("^S%.", "")) end
  for name, value in pairs(S) do
    if rawequal(value, what) then return name end
  end
  for prefix, functions in pairs { ["nl."] = nl, ["nl.nft."] = nl.nft, ["link:"] = require("netns.link").methods,
    ["socket:"] = debug.getregistry()["netns.socket"].__index } do
    for name, value in pairs(functions) do
      if rawequal(value, what) then return prefix .. name end
    end
  end
end

-- The names that begin so, in lines; "S." are those without another beginning.
local function names_lines(docs, prefix)
  local names = {}
  for name in pairs(docs) do
    local full = name:find "[.:]" and name or "S." .. name
    if full:match "^.*[.:]" == prefix then names[#names + 1] = full end
  end
  table.sort(names)
  local lines, line = {}, ""
  for _, name in ipairs(names) do
    if #line + #name > 78 then
      lines[#lines + 1], line = line, ""
    end
    line = line .. (line ~= "" and " " or "") .. name
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

local PARTS = {
  { "S.", "System calls:" }, { "nl.", "The network (nl, or S.nl):" }, { "nl.nft.", "nftables:" },
  { "link:", "Methods of what nl.link(NAME) returns:" }, { "socket:", "Methods of what nl.open() returns:" },
}

local function list_names(docs, only)
  local out = {}
  for _, part in ipairs(PARTS) do
    if not only or part[1]:sub(1, #only) == only then out[#out + 1] = part[2] .. "\n" .. names_lines(docs, part[1]) end
  end
  return table.concat(out, "\n\n")
end

local FOOTER = "\n\nhelp(S.open) or help \"open\" tells about one."

-- The documented name nearest to one that is not: "S.opne".
local function nearest_name(docs, name)
  local names = {}
  for known in pairs(docs) do names[#names + 1] = known end
  return require("luge.cage").nearest(name, names)
end

--- The text that help(what) prints; of a nil without what, all names.
function M.help_text(what)
  local docs = require "syscall.docs"
  if what == nil then return list_names(docs) .. FOOTER end
  local name = name_of(what)
  if name and docs[name] then return docs[name] end
  if rawequal(what, S) or what == "S" then return list_names(docs, "S.") .. FOOTER end
  if rawequal(what, nl) or what == "nl" then return list_names(docs, "nl.") .. FOOTER end
  local near = type(what) == "string" and nearest_name(docs, name)
  local shown = type(what) == "table" and "a table" or show.value(what)
  return ("no documentation of %s%s; help() lists all names"):format(shown, near and (" (did you mean %q?)"):format(near) or "")
end

-- The chunk of what was typed so far: first as an expression, then as statements. nil and true when
-- more lines are needed, nil and the message when it is wrong.
local function compile(text)
  local chunk = load("return " .. text:gsub("^%s*=", ""), "=prompt", "t")
  if chunk then return chunk end
  local err
  chunk, err = load(text, "=prompt", "t")
  if chunk then return chunk end
  return nil, err:find("<eof>$") and true or err
end

-- One whole input, from as many lines as it takes; nil at the end of input. io.stdin and io.stdout are those of the start,
-- whatever io.input() and io.output() are by now.
local function read_chunk()
  local text
  while true do
    io.stdout:write(text and ">> " or "> ")
    io.stdout:flush()
    local line = io.type(io.stdin) == "file" and io.stdin:read "L"
    if not line then
      io.stdout:write "\n"
      return nil
    end
    text = (text or "") .. line
    local chunk, err = compile(text)
    if chunk then return chunk end
    if err ~= true then
      io.stderr:write(err, "\n")
      text = nil
    end
  end
end

-- As the chunk itself, for print and the values' __tostring are the user's.
local function show_results(ok, ...)
  if ok and select("#", ...) > 0 then
    require("sandbox.cli.lua").call(function(...) print(show.results(...)) end, ...)
  end
end

--- Reads and runs until the end of input.
---@return integer exit_code
function M.run()
  local call = require("sandbox.cli.lua").call
  _G.S, _G.nl = S, nl
  -- help(S.opne) is help(nil): told apart from help() by the number of arguments.
  _G.help = function(...)
    if select("#", ...) > 0 and ... == nil then return print "no such function; help() lists all names" end
    print(M.help_text((...)))
  end
  -- As other prompts end; it is luge itself that leaves.
  local left = false
  local function leave() left = true end
  _G.exit, _G.quit = leave, leave
  print(_VERSION .. "; S is the syscall layer, nl the network. help(S.open) documents, Ctrl-D or exit() ends.")
  for chunk in read_chunk do
    show_results(call(chunk))
    if left then break end
  end
  return 0
end

return M
