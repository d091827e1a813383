-- SPDX-License-Identifier: MIT
-- A bug of luge's own, put in by replacing one of its functions: what was made is taken back all the same, and a
-- child that failed does not go on as a second luge.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"

-- Runs `luge run default -- true` with `broken` done to the engine before; returns the result and the state directory.
local function run_broken(broken, options)
  local dir = t.dir()
  local state = dir .. "/state"
  t.must(S.mkdir(state, "0700"))
  t.write(dir .. "/script.lua", broken .. [[

    local ok, message = pcall(require("sandbox.cli.run").run, ]] .. (options or "{}") .. [[, { "default", "true" })
    io.stdout:write("pid ", require("syscall").getpid(), " ", tostring(ok), " ", tostring(message), "\n")
    io.stdout:flush()
  ]])
  return t.run { t.luge, "lua", dir .. "/script.lua", env = { LUGE_STATE = state } }, state
end

t.test("an error in the monitor leaves no lock behind, and is still told", function()
  local r, state = run_broken [[require("sandbox.container.monitor").watch = function() error "a bug" end]]
  t.contains(r.stdout, "false")
  t.contains(r.stdout, "a bug")
  t.equal(table.concat(S.dir(state), " "), "")
end)

t.test("an undo that is wrong use stops none of the others", function()
  local left_over = t.write(t.dir() .. "/left", "")
  local left = require("sandbox.container.launch").undo_all({ { op = "first", undo = { "unlink", { left_over } } },
    { op = "second", undo = { "unlink", { "a\0b" } } } }, {})
  t.equal(#left, 1)
  t.contains(left[1], "unlink: ")
  t.contains(left[1], "NUL")
  t.equal(S.lstat(left_over), nil)
end)

t.test("an error in the child ends the child", function()
  local r, state = run_broken [[require("sandbox.container.guest").run = function() error "a bug" end]]
  local lines = select(2, r.stdout:gsub("pid %d+", ""))
  t.equal(lines, 1, r.stdout)
  t.equal(table.concat(S.dir(state), " "), "")
end)

t.test("an error in the background is told to the caller, and leaves nothing behind", function()
  local r, state = run_broken([[require("sandbox.container.monitor").watch = function() error "a bug" end]], "{ detach = true }")
  t.matches(r.stdout, "^pid %d+ true 125\n$")
  t.contains(r.stderr, "internal error")
  t.contains(r.stderr, "a bug")
  t.equal(table.concat(S.dir(state), " "), "")
end)
