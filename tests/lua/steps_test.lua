-- SPDX-License-Identifier: MIT
-- The arguments of a plan's steps: symbols replaced, and nothing else changed.

local t = dofile "tests/integration/harness.lua"
local Steps = require "sandbox.plan.steps"

local SYMBOLS = { name = "box", ["fd.tree1"] = 7, range = 65536, ["output.stdout"] = "$name", list = { 1, 2 } }

local function is(value, expected) t.equal(Steps.resolve(value, SYMBOLS), expected) end

t.test("a symbol alone is its value, in a text its text", function()
  is("$name", "box")
  is("$fd.tree1", 7)
  is("${fd.tree1}", 7)
  is("$list", { 1, 2 })
  is("/proc/self/fd/${fd.tree1}/pts", "/proc/self/fd/7/pts")
  is("${name}-${range}", "box-65536")
  is("${range+5}", 65541)
  is("a ${range+5}", "a 65541")
  is("$", "$")
  is("$output.stdout", "$name", "a value is not looked at again")
end)

t.test("tables are walked, and copied only where something in them changes", function()
  local plain = { 1, "a", { b = { "c" } } }
  t.ok(rawequal(Steps.resolve(plain, SYMBOLS), plain))
  local nested = { "x", { fd = "$fd.tree1", deep = { "$name", plain } }, plain }
  local got = Steps.resolve(nested, SYMBOLS)
  t.equal(got, { "x", { fd = 7, deep = { "box", plain } }, plain })
  t.equal(nested[2].fd, "$fd.tree1", "the step itself stays")
  t.ok(rawequal(got[3], plain))
  is({ literal = "$name" }, "$name")
  is({ { literal = "${name}" }, n = 1 }, { "${name}", n = 1 })
  is(nil, nil)
  is(true, true)
end)

t.test("a symbol that nobody knows is a bug of the plan", function()
  local ok, message = pcall(Steps.resolve, { { "$nothing" } }, SYMBOLS)
  t.equal(ok, false)
  t.contains(message, "the plan uses $nothing before it is known")
end)

t.test("a step is called with its arguments, holes included, and its value saved", function()
  local seen
  local calls = { f = function(...) seen = table.pack(...) return 5, "more" end, nl = { up = function(name) return name end },
    fails = function() return nil, { text = "why" }, 2 end }
  local symbols = setmetatable({}, { __index = SYMBOLS })
  t.equal(Steps.run(calls, { op = "f", args = { nil, "$name", nil, n = 3 }, save = "$got" }, symbols), 5)
  t.equal({ seen.n, seen[2], symbols.got }, { 3, "box", 5 })
  t.equal(Steps.run(calls, { op = "nl.up", args = { "lo" } }, symbols), "lo")
  t.equal({ Steps.run(calls, { op = "fails", args = {}, save = "$none" }, symbols) }, { nil, { text = "why" }, 2 })
  t.equal(symbols.none, nil)
end)

t.test("guest steps are fed before the attach steps that none of them needs, where these are several", function()
  local function feeding(...)
    local attach = {}
    for i, word in ipairs { ... } do attach[i] = { beside = word == "beside" or nil } end
    Steps.mark_feeding(attach)
    local found = {}
    for i, step in ipairs(attach) do found[#found + 1] = step.feeds and i end
    return found
  end
  t.equal(feeding("needed", "needed", "beside", "beside"), { 2 })
  t.equal(feeding("needed", "beside", "needed", "beside", "beside", "beside"), { 3 })
  t.equal(feeding("needed", "beside"), {}, "one is not worth a word")
  t.equal(feeding("beside", "beside", "needed"), {})
  t.equal(feeding("beside", "beside", "needed", "beside"), {})
  t.equal(feeding("beside", "beside"), {}, "all that guest steps need is there from the beginning")
  t.equal(feeding(), {})
end)
