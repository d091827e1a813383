-- SPDX-License-Identifier: MIT
-- Two luges at once on one name: exactly one wins, the other says who has it. 10,000 times in a soak, or LUGE_ROUNDS.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)

local SOAK = t.soak
local ROUNDS = SOAK and (tonumber(os.getenv "LUGE_ROUNDS") or 10000) or 40
local REPLACING = SOAK and math.max(1, ROUNDS // 10) or 15

local function start(...)
  return t.start(d.words { "sleep", "1000", options = { "-d", "--name", "det-race", ... } })
end

d.test("one of two starts has the name", function()
  for round = 1, ROUNDS do
    local one, other = start(), start()
    local a, b = one:wait(), other:wait()
    local won, lost = a, b
    if a.code ~= 0 then won, lost = b, a end
    t.equal({ won.code, won.stderr, lost.code, lost.stdout }, { 0, "", 125, "" }, "round " .. round)
    t.contains(lost.stderr, "the name '" .. d.own "det-race" .. "'")
    t.equal(#d.json("ps", "--json").containers, 1)
    d.ok("rm", "-f", "-t", "0s", "det-race")
  end
  d.nothing_left()
  print(("%d races for a name, each won by one"):format(ROUNDS))
end)

d.test("of two that replace each other one runs in the end", function()
  for round = 1, REPLACING do
    local one, other = start "--replace", start "--replace"
    local codes = { one:wait().code, other:wait().code }
    local rows = d.json("ps", "-a", "--json").containers
    t.ok(codes[1] == 0 or codes[2] == 0, "round " .. round)
    t.equal({ #rows, rows[1] and rows[1].state }, { 1, "running" }, "round " .. round)
    d.ok("rm", "-f", "-t", "0s", "det-race")
  end
  d.nothing_left()
end)
