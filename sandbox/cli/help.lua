-- SPDX-License-Identifier: MIT
-- sandbox.cli.help: `luge help`: usage made from the table of options; fields of profiles from the schema.

local cli = require "sandbox.cli"
local catalogue = require "sandbox.cli.options"

local M = {}

local function option_text(option)
  local names = option.short and ("-%s, --%s"):format(option.short, option[1]) or "    --" .. option[1]
  return option.arg and names .. " " .. option.arg or names
end

local function overview()
  print("luge runs a program in a container that one Lua file describes.\n")
  for _, command in ipairs(catalogue.commands) do
    local text = command[1] .. " " .. command.usage
    print(("  luge %s%s  %s"):format(text, (" "):rep(42 - utf8.len(text)), command.summary))
  end
  print("\nPROFILE: a path (with / or ending in .lua), FILE.lua:NAME of a group, - for standard input, or a name")
  print("that is looked up in $LUGE_PATH, $XDG_CONFIG_HOME/luge/profiles, /etc/luge/profiles and those that came with luge.")
  print("\nluge help COMMAND · luge help FIELD (container, mounts, limits.wall, tmpfs …) · luge(1), luge-profile(5)")
end

local function command_help(command)
  print(("luge %s %s\n\n  %s"):format(command[1], command.usage, command.summary))
  if #command.options > 0 then print() end
  for _, option in ipairs(command.options) do
    print(("  %-30s %s"):format(option_text(option), option.help))
  end
  if not command.exits then return end
  print "\n  Exit codes:"
  for _, row in ipairs(command.exits) do print(("  %-5s %s"):format(row[1], row[2])) end
end

local EXIT_CODES = {
  { "0 …", "the command's own" }, { "128+n", "signal n ended it" },
  { "124", "luge stopped it: time was up, too much output, or unhealthy" },
  { "125", "luge itself failed: a bad profile, a missing kernel feature, wrong usage" },
  { "126", "the command could not be executed" }, { "127", "the command was not found" },
}

local function roff(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("\n%.", "\n\\&."))
end

-- luge(1).
local function manual()
  local version = require("sandbox.cli.version").VERSION
  local out = { ".TH LUGE 1 \"\" \"luge " .. version .. "\"", ".SH NAME",
    "luge \\- run a program in a container that one Lua file describes", ".SH SYNOPSIS" }
  local function add(...) for _, line in ipairs { ... } do out[#out + 1] = line end end
  for _, command in ipairs(catalogue.commands) do
    add(".B luge " .. command[1], roff(command.usage), ".br")
  end
  add(".SH COMMANDS")
  for _, command in ipairs(catalogue.commands) do
    add(".SS luge " .. command[1] .. " " .. roff(command.usage), roff(command.summary) .. ".")
    for _, option in ipairs(command.options) do
      add(".TP", ".B " .. roff((option_text(option):gsub("^%s+", ""))), roff(option.help) .. ".")
    end
  end
  add(".SH EXIT STATUS")
  for _, row in ipairs(EXIT_CODES) do add(".TP", ".B " .. roff(row[1]), roff(row[2]) .. ".") end
  for _, command in ipairs(catalogue.commands) do
    for _, row in ipairs(command.exits or {}) do add(".TP", ".B " .. row[1], ("luge %s: %s."):format(command[1], roff(row[2]))) end
  end
  add(".SH SEE ALSO", "luge\\-profile(5), namespaces(7), seccomp(2)")
  return table.concat(out, "\n") .. "\n"
end

local GENERATED = {
  ["luge.1"] = manual,
  ["luge-profile.5"] = function() return require("sandbox.profile.help").man() end,
  ["stubs"] = function() return require("sandbox.profile.help").stubs() end,
}

function M.run(_, words)
  local topic = words[1]
  if not topic then
    overview()
    return 0
  end
  if GENERATED[topic] then
    io.write(GENERATED[topic]())
    return 0
  end
  local command = catalogue.command(topic)
  if command then command_help(command) end
  -- A command and a field may have one name.
  local text, message = require("sandbox.profile.help").field(topic)
  if command and not text then return 0 end
  if command then print() end
  if not text then return cli.complain(message, "luge help lists the commands, luge help container the fields") end
  print(text)
  return 0
end

return M
