-- SPDX-License-Identifier: MIT
-- The harness itself: codes, output, time limits, and what it leaves.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"

t.test("codes and output pass", function()
  local r = t.run { "guest", "copy", stdin = ("0123456789"):rep(100000) }
  t.equal(r.code, 0)
  t.equal(#r.stdout, 1000000)
  t.equal(t.run({ "guest", "exit", "7" }).code, 7)
  t.equal(t.run({ "guest", "raise", "15" }).signal, 15)
  t.contains(t.run({ "guest", "no-such-thing" }).stderr, "guest facts")
end)

t.test("a script with a failed test ends with 1", function()
  for body, code in pairs { ["error 'no'"] = 1, [""] = 0 } do
    local script = ("local t = dofile 'tests/integration/harness.lua'\nt.test('one', function() %s end)\nt.test('two', function() end)"):format(body)
    t.equal(t.run({ "luge", "lua", "-", stdin = script }).code, code)
  end
end)

t.test("a program that does not end is killed in time", function()
  local p = t.start { "guest", "ignore-signals", timeout = 0.5 }
  p:await "ready"
  local r = p:wait()
  t.ok(r.timed_out)
  t.equal(r.signal, 9)
end)

t.test("a signal reaches it", function()
  local p = t.start { "guest", "await-signal" }
  p:await "ready"
  p:signal "usr1"
  t.contains(p:wait().stdout, "USR1")
end)

t.test("the environment and the directory are the given ones", function()
  local dir = t.dir()
  local facts = t.decoded { "guest", "facts", dir, env = { COLOUR = "green", HOME = false }, cwd = dir }
  t.equal(facts.env.COLOUR, "green")
  t.equal(facts.env.HOME, nil)
  t.equal(facts.cwd, dir)
  t.equal(facts.writable[dir], true)
  t.equal(facts.fds["3"], nil, "a leaked descriptor")
end)

local left

t.test("directories are there during their test", function()
  left = t.dir()
  t.must(S.mkdir(left .. "/sub", "0755"))
  t.write(left .. "/sub/file", "text", "0600")
  t.must(S.symlink("/etc", left .. "/link"))
  t.equal(t.read(left .. "/sub/file"), "text")
end)

t.test("and gone after it", function()
  t.equal(S.lstat(left), nil)
  t.ok(S.stat "/etc/passwd")
end)
