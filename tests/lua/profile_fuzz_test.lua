-- SPDX-License-Identifier: MIT
-- Tables without sense: validation finds fault or makes a spec, but never fails itself, and says each fault well.

local t = dofile "tests/integration/harness.lua"
local p = dofile "tests/lua/profile.lua"
local schema = require "sandbox.profile.schema"
local profile = require "sandbox.profile"

-- A generator of its own: the same tables each time.
local state = 20
local function random(n)
  state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
  return (state >> 20) % n + 1
end

local WORDS = { "", "a", "/a", "/a/../b", "..", "~", "10m", "2G", "0755", "host", "auto", "self", "none", "ci", "default",
  "discard", "null", "keep", "oci", "A=b", "CI_*", "*", "1000:1000", ":", "a\0b", "\27[31m", "TERM", "chown", "read",
  "true", "unlimited", "0-3", ("x"):rep(5000), "system", "/dev/null", "kvm" }
local NUMBERS = { 0, 1, -1, 22, 1.5, 1e300, -1e300, 0 / 0, 1 / 0, math.maxinteger, math.mininteger, 65536, 4294967295 }

local names = { "type", "value", "op", "removed", "n", "kind" }
local function collect(rec)
  for i = 1, #rec do names[#names + 1] = rec[i][1] end
end
collect(schema.container)
collect(schema.id_map)
for _, kind in pairs(schema.kinds) do collect(kind) end
table.sort(names)
local kinds = schema.constructors()
for _, name in ipairs { "append", "without", "remove", "optional", "system", "host", "directory", "explicit", "private" } do
  kinds[#kinds + 1] = name
end

local value

local function table_of(depth)
  local out = {}
  for i = 1, random(4) - 1 do
    if random(6) > 1 then out[i] = value(depth - 1) end
  end
  for _ = 1, random(4) - 1 do out[names[random(#names)]] = value(depth - 1) end
  if random(3) > 1 then out.type = kinds[random(#kinds)] end
  if random(40) == 1 then out[NUMBERS[random(5)]] = value(depth - 1) end
  return out
end

function value(depth)
  local choice = random(depth > 0 and 10 or 5)
  if choice <= 2 then return WORDS[random(#WORDS)] end
  if choice == 3 then return NUMBERS[random(#NUMBERS)] end
  if choice == 4 then return random(2) == 1 end
  if choice == 5 then return nil end
  return table_of(depth)
end

-- A container in which a few fields are there, mostly of a shape that is not hopeless.
local function container()
  local out = { type = "container" }
  for _ = 1, random(4) do
    local f = schema.container[random(#schema.container)]
    out[f[1]] = value(4)
  end
  if random(4) == 1 then out[1] = value(3) end
  return out
end

local info = { main = "t.lua", text = {}, directory = { ["t.lua"] = "/home/ann/work" } }

t.test("nonsense is found fault with", function()
  local good, bad = 0, 0
  for round = 1, 20000 do
    local start = state
    local raw = container()
    local facts = random(2) == 1 and p.facts or p.facts_with { uid = 0, gid = 0, debug = true }
    local ok, spec, faults = xpcall(profile.build, debug.traceback, raw, { [raw] = { file = "t.lua", line = 1 } }, info,
      { facts = facts })
    t.ok(ok, ("round %d, state %d: %s"):format(round, start, spec))
    if spec then
      good = good + 1
    else
      bad = bad + 1
      t.ok(#faults > 0)
      local said, text = xpcall(profile.format, debug.traceback, faults)
      t.ok(said, ("round %d, state %d: %s"):format(round, start, text))
      t.ok(not text:find "[%z\1-\9\11-\31]", "a control character is shown")
    end
  end
  t.ok(good > 100 and bad > 100, good .. " good, " .. bad .. " bad")
end)
