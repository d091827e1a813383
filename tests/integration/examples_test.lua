-- SPDX-License-Identifier: MIT
-- Every example runs. One that is to fail says so in its head: "-- Ends with 124."

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"

for _, name in ipairs(S.dir "examples" or {}) do
  local path = "examples/" .. name
  if name:match "%.lua$" and name ~= "ci.lua" then
    t.test(path, function()
      local expected = t.read(path):match "\n%-%- Ends with (%d+)"
      local r = t.run { "luge", "run", "./" .. path, timeout = 120 }
      t.equal(r.code, tonumber(expected or 0), r.stdout .. r.stderr)
      t.ok(not r.held, "something still held the output open")
    end)
  end
end

t.test("examples/ci.lua builds and checks luge, and what was asked holds", function()
  local r = t.run { "luge", "lua", "tests/demo.lua", t.luge, timeout = 600 }
  t.equal(r.code, 0, r.stdout:sub(-2000) .. r.stderr:sub(-2000))
  t.contains(r.stdout, "The demo succeeded.")
  t.contains(r.stdout, "no_new_privs")
  t.lacks(r.stdout, "NOT AS ASKED")
end)
