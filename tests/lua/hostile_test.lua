-- SPDX-License-Identifier: MIT
-- Profiles that mean harm: each must end by itself, with one message. The first line of each file in hostile/ says
-- with which code and message. The watchdog (60 s) is the harness's; the caps end them after 2 s of CPU time.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"

local MIB = 1024 * 1024

local function evaluate(path, code)
  return t.run { "luge", "lua", "tests/lua/evaluate.lua", path, code }
end

local function ends(path, code, pattern)
  local r = evaluate(path)
  t.equal(r.code, code, r.stderr)
  t.matches(r.stdout .. r.stderr, pattern)
  t.lacks(r.stderr, "traceback")
  t.lacks(r.stdout .. r.stderr, "0x", "an address")
  t.ok(#r.stderr < 2 * MIB, "a flood")
  return r
end

-- Each that ends by the clock costs 2 s: `make check` takes these of them.
local QUICK = { ["loop.lua"] = true, ["pattern.lua"] = true, ["pcall_loop.lua"] = true }

for _, name in ipairs(S.dir "tests/lua/hostile") do
  local path = "tests/lua/hostile/" .. name
  local code, pattern = t.read(path):match "ends with (%d+) ([^\n]*)"
  if code ~= "125" or QUICK[name] or not os.getenv "LUGE_CHECK" then
    t.test(name, function() ends(path, tonumber(code), pattern) end)
  end
end

t.test("the code is the caller's", function()
  t.equal(evaluate("tests/lua/hostile/loop.lua", "1").code, 1)
end)

t.test("memory: the process stays small", function()
  local r = evaluate "tests/lua/hostile/memory_caught.lua"
  t.ok(r.usage.maxrss < 110 * MIB, "used " .. r.usage.maxrss)
end)

-- What would be too long for a file here.
local GENERATED = {
  { "parentheses", "return " .. ("("):rep(100000) .. "1" .. (")"):rep(100000), "C levels" },
  { "tables", "return " .. ("{"):rep(200000) .. ("}"):rep(200000), "C levels" },
  { "functions", ("return function() "):rep(30000) .. ("end "):rep(30000), "C levels" },
  { "blocks", ("do "):rep(100000) .. ("end "):rep(100000), "C levels" },
  { "signs", "return " .. ("- "):rep(200000) .. "1", "C levels" },
  { "powers", "return 1" .. ("^1"):rep(200000), "C levels" },
  { "words", "return ''" .. (".. 'x'"):rep(100000), "C levels" },
  { "brackets", "return " .. ("["):rep(200000), "unfinished long string" },
  { "long brackets", "return [" .. ("="):rep(200000), "." },
  { "not finished", "return container { name = '" .. ("x"):rep(100000), "unfinished string" },
  { "elseif", "if nil then" .. (" elseif nil then"):rep(30000) .. " end return container {}", "good", 0 },
  { "too long", "-- " .. ("x"):rep(MIB), "is longer than 1 MiB" },
  { "bytecode", string.dump(function() return {} end), "is compiled Lua; a profile is text" },
  { "bytecode after a line", "#\n" .. string.dump(function() return {} end), "unexpected symbol" },
  { "zeros", ("\0"):rep(1000), "unexpected symbol" },
  { "nothing", "", "the profile returns nothing" },
  { "locals", ("local a = 1\n"):rep(300), "too many local variables" },
  { "fields", "return container { " .. ("1,"):rep(90000) .. "}", "good", 0 },
  { "more fields", "return container { " .. ("1,"):rep(110000) .. "}", "too much data" },
}

for _, case in ipairs(GENERATED) do
  t.test("generated: " .. case[1], function()
    local path = t.write(t.dir() .. "/profile.lua", case[2])
    ends(path, case[4] or 1, case[3])
  end)
end

t.test("what is no regular file is refused", function()
  local dir = t.dir()
  t.must(S.mkdir(dir .. "/dir.lua", "0755"))
  ends(dir .. "/dir.lua", 1, "dir.lua is a directory")
  t.must(S.mknod(dir .. "/fifo.lua", "0644", "fifo"))
  ends(dir .. "/fifo.lua", 1, "fifo.lua is a FIFO")
  t.must(S.symlink("/dev/zero", dir .. "/zero.lua"))
  ends(dir .. "/zero.lua", 1, "zero.lua is a device")
  t.must(S.symlink("/proc/self/mem", dir .. "/mem.lua"))
  ends(dir .. "/mem.lua", 1, "cannot read mem.lua")
  t.must(S.symlink("loop.lua", dir .. "/loop.lua"))
  ends(dir .. "/loop.lua", 1, "cannot read loop.lua: Too many levels")
  ends(dir .. "/missing.lua", 1, "cannot read missing.lua: No such file")
end)
