-- SPDX-License-Identifier: MIT
-- The frozen heap: the binary begins with every module in memory, and works as well without.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"

local ADDRESS = "1000000000-"

local function is_frozen()
  return S.readfile("/proc/self/maps"):find("\n" .. ADDRESS, 1, true) ~= nil
    or S.readfile("/proc/self/maps"):sub(1, #ADDRESS) == ADDRESS
end

t.test("the modules are in memory, their file is the binary", function()
  if not is_frozen() then t.skip "a build with sanitizers has no frozen heap" end
  local line = S.readfile("/proc/self/maps"):match("%f[^\n\0]" .. ADDRESS .. "[^\n]*")
  t.contains(line, S.readlink "/proc/self/exe")
  t.ok(package.loaded["sandbox.plan"], "sandbox.plan is loaded")
end)

t.test("the collector frees, moves and grows what was frozen", function()
  local old = package.loaded["syscall.docs"]
  package.loaded["syscall.docs"] = nil
  collectgarbage()
  collectgarbage()
  local names = S.fd_methods
  for i = 1, 2000 do names["none" .. i] = i end
  for i = 1, 2000 do names["none" .. i] = nil end
  collectgarbage()
  t.equal(type(S.fd_methods.read), "function")
  package.loaded["syscall.docs"] = old
end)

t.test("the standard streams are this process's", function()
  local r = t.run { "luge", "lua", t.write(t.dir() .. "/say.lua", "io.stdout:write(io.stdin:read 'a') io.stderr:write 'err'"),
    stdin = "hello" }
  t.equal(r.stdout, "hello")
  t.equal(r.stderr, "err")
end)

t.test("a source tree replaces what is frozen", function()
  local dir = t.dir()
  S.mkdir(dir .. "/sandbox")
  S.mkdir(dir .. "/sandbox/cli")
  t.write(dir .. "/sandbox/cli/version.lua", "return { run = function() print 'from the tree' return 0 end }")
  t.equal(t.run { "luge", "version", env = { LUGE_LUA_DIR = dir } }.stdout, "from the tree\n")
end)
