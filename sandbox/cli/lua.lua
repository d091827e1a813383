-- SPDX-License-Identifier: MIT
-- sandbox.cli.lua: `luge lua [SCRIPT [ARG…]]`: the syscall layer for a script or, on a terminal,
-- at a prompt. As lua(1) where it can be: arg, exit codes, tracebacks. Unlike it, no variable of the
-- environment counts, and `require` finds what luge holds and Lua files beside the script only.

local M = {}

local EXIT_FAILURE = 1
local EXIT_USAGE = require("sandbox.must").FAILED

-- A chunk shares the globals with luge and may have put anything there: what tells of its errors has its own.
local pcall, traceback, type = pcall, debug.traceback, type
local interruptible = require "luge.interruptible"

-- What an error object says: assert(S.open(…)) raises an object of the syscall layer. Its __tostring may be wrong, too.
local function message_of(err)
  if type(err) == "string" then return err end
  local ok, text = pcall(require("sandbox.cli.show").value, err)
  return ok and text or ("(error object is a %s value)"):format(type(err))
end

-- The traceback without luge's own frames, which stand below the call of M.call.
local function handler(err)
  local text = traceback(message_of(err), 2)
  return (text:gsub("\n\t%[C%]: in function 'luge%.interruptible'.*", ""))
end

--- Calls a chunk; on an error its traceback goes to stderr. SIGINT is such an error, the first one.
---@return boolean ok
function M.call(chunk, ...)
  local results = table.pack(interruptible(handler, chunk, ...))
  if not results[1] then io.stderr:write("luge: ", results[2], "\n") end
  return table.unpack(results, 1, results.n)
end

-- `require` looks beside the script last, so that no file there can stand in for a module of luge.
local function look_beside(script)
  local dir = script:match("^(.*)/[^/]*$") or (script:find("/", 1, true) and "/" or ".")
  if dir == "" then dir = "/" end
  package.path = dir .. "/?.lua;" .. dir .. "/?/init.lua"
  package.searchers[#package.searchers + 1] = function(name)
    local path, tried = package.searchpath(name, package.path)
    if not path then return tried end
    local chunk, err = loadfile(path, "t")
    if not chunk then error(("error loading module '%s':\n\t%s"):format(name, err), 0) end
    return chunk, path
  end
end

local function run_script(script, args)
  if script ~= "-" then look_beside(script) end
  local chunk, err = loadfile(script ~= "-" and script or nil, "t") -- nil: standard input
  if not chunk then
    io.stderr:write("luge: ", err, "\n")
    return EXIT_FAILURE
  end
  _G.arg = { [-2] = "luge", [-1] = "lua", [0] = script, table.unpack(args, 2) }
  return M.call(chunk, table.unpack(args, 2)) and 0 or EXIT_FAILURE
end

-- Closes the state as lua(1) does, so that files which the script left open are written out and its finalizers run: youngest
-- first, so that the one of `oldest`, made before the script began, comes after all of them. It spares what closing would
-- do next, to free one by one the many objects that luge itself is made of.
local oldest = {}

function oldest:__gc()
  if not self.code then return end -- the script closes the state itself: os.exit(code, true)
  os.exit(require("sandbox.cli").written_out(self.code))
end

local function close_state(guard, code)
  guard.code = code
  os.exit(code, true)
end

--- Runs the words after `luge lua`; does not return, but for words that are wrong.
---@param args string[]
---@return integer exit_code
function M.run(args)
  collectgarbage "restart" -- luge's own start does without
  local script = args[1]
  if script and script:find("^%-.") then
    io.stderr:write(("luge: lua: %s is no option; luge lua [SCRIPT [ARG...]] (a file of that name: ./%s)\n")
      :format(script, script))
    return EXIT_USAGE
  end
  local guard = setmetatable({}, oldest)
  local prompts = not script and require("syscall").isatty(0)
  close_state(guard, prompts and require("sandbox.cli.prompt").run() or run_script(script or "-", args))
end

return M
