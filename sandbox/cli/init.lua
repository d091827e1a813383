-- SPDX-License-Identifier: MIT
-- sandbox.cli: the command line of luge: finds the command, parses its words, calls its file.
--
-- Each command is sandbox/cli/NAME.lua with run(options, words) -> exit code. Words go to stderr, data to
-- stdout; 125 means that luge itself failed.

local must = require "sandbox.must"

local M = {}

local FAILED, EPIPE = must.FAILED, 32
local USAGE = { check = 2 }

--- Text for a terminal: names in a message may be anybody's, and a terminal obeys what they hold.
local function printable(text)
  return (text:gsub("[^%C\n\t]", "?"):gsub("\194[\128-\159]", "?"))
end

M.printable = printable

--- "luge: message" and, indented, the way out: a text.
function M.complaint(message, hint)
  return ("luge: %s\n%s"):format(printable(message), hint and ("      = %s\n"):format(printable(hint)) or "")
end

--- Says that on stderr. Who watches a container says it by sandbox.container.tell.
function M.complain(message, hint)
  io.stderr:write(M.complaint(message, hint))
  return FAILED
end

local ALIASES = { ["--help"] = "help", ["-h"] = "help", ["--version"] = "version", ["-V"] = "version" }

-- Called as an interpreter ("#!/usr/bin/env -S luge run") the command is named; a bare profile is not run.
local function no_command(word)
  local hint = "luge help lists the commands"
  if word:match("%.lua$") or word:find("/", 1, true) then hint = "luge run " .. word end
  local names = require("sandbox.cli.options").names()
  local near = require("luge.cage").nearest(word, names)
  for _, name in ipairs(names) do
    if #word > 1 and name:sub(1, #word) == word then near = name end
  end
  if near then hint = "did you mean luge " .. near .. "?" end
  hint = require("sandbox.cli.elsewhere").command(word) or hint
  return M.complain(("no command '%s'"):format(word), hint)
end

local function dispatch(argv)
  local name = ALIASES[argv[1]] or argv[1] or "help"
  local words = table.move(argv, 2, #argv, 1, {})
  local help = words[1] == "--help" or words[1] == "-h"
  if name == "lua" and not help then return require("sandbox.cli.lua").run(words) end
  local command = require("sandbox.cli.options").command(name)
  if not command then return no_command(name) end
  if help then return require("sandbox.cli.help").run({}, { name }) end
  local options, rest, hint = require("sandbox.cli.parse").parse(command, words)
  if not options then
    M.complain(rest, hint)
    return USAGE[name] or FAILED
  end
  return require("sandbox.cli." .. name).run(options, rest)
end

-- A bug of luge says where it is; everything else has been turned into a message before.
local function internal_error(message)
  return must.words(message) or debug.traceback("internal error: " .. tostring(message), 2)
end

local lost -- the first error of standard output: message and number

local function note(ok, message, number)
  if not ok then lost = lost or { message, number } end
  return ok, message, number
end

--- What was written so far goes out. Nil when it could not: M.main says why, and a command that goes on for ever ends.
function M.flush() return note(io.stdout:flush()) end

-- Lua's own print flushes each line and forgets what became of it.
local function watch_output()
  local function write(...) return note(io.stdout:write(...)) end
  rawset(_G, "print", function(...) write(table.concat({ ... }, "\t"), "\n") end)
  rawset(io, "write", write)
end

--- The exit code, once standard output is written out; another one, with a message, when it could not be.
function M.written_out(code)
  M.flush()
  if lost and lost[2] ~= EPIPE then return M.complain("standard output: " .. lost[1]) end
  return code
end

--- Runs a command line; argv[1] is the command. Returns the exit code.
function M.main(argv)
  -- Scripts decide for themselves; for the other commands a reader that goes away is no error, and a file that may grow no
  -- further is one to tell, not luge's end.
  if argv[1] ~= "lua" then
    require("syscall").sigaction("pipe", "ignore")
    require("syscall").sigaction("xfsz", "ignore")
  end
  if argv[1] ~= "lua" and argv[1] ~= "run" then watch_output() end
  local ok, code = xpcall(dispatch, internal_error, argv)
  if not ok then return M.complain(code) end
  return M.written_out(code or 0)
end

return M
