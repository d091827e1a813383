-- SPDX-License-Identifier: MIT
-- sandbox.cli: the command line of luge: finds the command, parses its words, calls its file.
--
-- Each command is sandbox/cli/NAME.lua with run(options, words) -> exit code. Words go to stderr, data to
-- stdout; 125 means that luge itself failed.

local M = {}

local FAILED = 125
local USAGE = { check = 2 }

--- "luge: message" and, indented, the way out.
function M.complain(message, hint)
  io.stderr:write("luge: ", message, "\n")
  if hint then io.stderr:write("      = ", hint, "\n") end
  return FAILED
end

local ALIASES = { ["--help"] = "help", ["-h"] = "help", ["--version"] = "version", ["-V"] = "version" }

-- Called as an interpreter ("#!/usr/bin/env -S luge run") the command is named; a bare profile is not run.
local function no_command(word)
  local catalogue = require "sandbox.cli.options"
  local hint = "luge help lists the commands"
  if word:match("%.lua$") or word:find("/", 1, true) then hint = "luge run " .. word end
  for _, command in ipairs(catalogue.commands) do
    if command[1]:sub(1, #word) == word or word:sub(1, #command[1]) == command[1] then
      hint = "did you mean luge " .. command[1] .. "?"
    end
  end
  return M.complain(("no command '%s'"):format(word), hint)
end

local function dispatch(argv)
  local name = ALIASES[argv[1]] or argv[1] or "help"
  local words = table.move(argv, 2, #argv, 1, {})
  if name == "lua" then return require("sandbox.cli.lua").run(words) end
  local command = require("sandbox.cli.options").command(name)
  if not command then return no_command(name) end
  if words[1] == "--help" or words[1] == "-h" then
    return require("sandbox.cli.help").run({}, { name })
  end
  local options, rest, hint = require("sandbox.cli.parse").parse(command, words)
  if not options then
    M.complain(rest, hint)
    return USAGE[name] or FAILED
  end
  return require("sandbox.cli." .. name).run(options, rest)
end

-- A bug of luge says where it is; everything else has been turned into a message before.
local function internal_error(message)
  return debug.traceback("internal error: " .. tostring(message), 2)
end

--- Runs a command line; argv[1] is the command. Returns the exit code.
function M.main(argv)
  local ok, code = xpcall(dispatch, internal_error, argv)
  if ok then return code or 0 end
  return M.complain(code)
end

return M
