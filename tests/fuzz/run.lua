-- SPDX-License-Identifier: MIT
-- Broken input: profiles through the whole of `luge check`, documents through luge.json, messages of the stage through
-- orders.decode_status. None may end luge other than with its own words.
-- Usage: luge lua tests/fuzz/run.lua [RUNS] [SEED], from the top of the tree. What failed is kept in BUILD/fuzz.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"
local json = require "luge.json"
local orders = require "sandbox.container.orders"

local runs = tonumber(arg[1]) or 500
local seed = tonumber(arg[2]) or S.clock_gettime_ns "realtime" % 1000000
local keep = (os.getenv "BUILD" or "build") .. "/fuzz"

-- A generator of its own, so that a seed means the same everywhere.
local state = seed
local function random(n)
  state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
  return (state >> 20) % n + 1
end

-- ---- what is broken ----

local corpus, tokens = {}, {}

local function learn(text)
  corpus[#corpus + 1] = text
  for token in text:gmatch "[%w_]+" do tokens[#tokens + 1] = token end
  for token in text:gmatch "[%p]" do tokens[#tokens + 1] = token end
end

for _, dir in ipairs { "profiles", "examples" } do
  for _, name in ipairs(S.dir(dir) or {}) do
    if name:match "%.lua$" then learn(t.read(dir .. "/" .. name)) end
  end
end
for _, text in ipairs {
  "return container { mounts = { bind { host.cwd, '/src', overlay = 'discard' }, tmpfs { '/x', size = '1M' } } }",
  "return container { root = layers { '/a', '/b', upper = 'discard' }, id_map = { uids = { { 0, 1000, 1 } } } }",
  "return group { main = 'a', containers = { a = container { command = { 'x' } } } }",
  "return container { profile 'ci', seccomp = { base = 'default', deny = { 'socket' }, rules = { rule { 'socket', { 0, '==', 1 } } } } }",
  "local x <const> = 1 goto l ::l:: return container { limits = { wall = 1 << 62, processes = 0x7fffffffffffffff } }",
  "return container(setmetatable({}, { __index = function(t, k) return t[k .. 'x'] end }))",
} do learn(text) end
tokens[#tokens + 1] = "9223372036854775808"
tokens[#tokens + 1] = "\27[2J"
tokens[#tokens + 1] = "\0"
tokens[#tokens + 1] = "[==["

local function splice(text, from, to, with)
  return text:sub(1, from - 1) .. with .. text:sub(to + 1)
end

local CHANGES = {
  function(text, at) return splice(text, at, at, string.char(random(256) - 1)) end,
  function(text, at) return splice(text, at, at + random(20) - 1, "") end,
  function(text, at) return splice(text, at, at - 1, tokens[random(#tokens)]) end,
  function(text, at)
    local from, to = text:find("[%w_]+", at)
    return from and splice(text, from, to, tokens[random(#tokens)]) or text
  end,
  function(text, at)
    local other = corpus[random(#corpus)]
    local from = random(#other)
    return splice(text, at, at, other:sub(from, from + random(80)))
  end,
  function(text, at) return splice(text, at, at - 1, text:sub(at, at + random(40)):rep(random(50))) end,
}

local function broken(text)
  for _ = 1, random(4) do
    if #text > 0 then text = CHANGES[random(#CHANGES)](text, random(#text)) end
  end
  return text
end

-- ---- what must not happen ----

local BAD = { "internal error", "stack traceback", "AddressSanitizer", "runtime error", "LeakSanitizer", "PANIC" }

local function complaint(r)
  if r.signal then return "ended by signal " .. r.signal end
  if r.code > 2 then return "exit code " .. r.code end
  for _, word in ipairs(BAD) do
    if r.stderr:find(word, 1, true) then return "says " .. word end
  end
end

local failures = 0

local function failed(kind, number, why, text)
  failures = failures + 1
  S.mkdir(keep, "0755")
  local path = t.write(("%s/%s-%d-%d"):format(keep, kind, seed, number), text)
  print(("%s: %s"):format(path, why))
end

print(("%d runs, seed %d"):format(runs, seed))
for i = 1, runs do
  local text = broken(corpus[random(#corpus)])
  local ok, r = pcall(t.run, { "luge", "check", "-", stdin = text, timeout = 60 })
  local why = not ok and r or complaint(r)
  if why then failed("profile", i, why, text) end

  local document = broken(json.encode({ a = { 1, 2.5, json.null }, ["b\0"] = { c = text:sub(1, 40) } }, { pretty = i % 2 == 0 }))
  local decoded, value = pcall(json.decode, document)
  if not decoded then failed("json", i, value, document) end

  local message = text:sub(1, random(64))
  local read, err = pcall(orders.decode_status, message)
  if not read then failed("status", i, err, message) end
end
print(("%d failed"):format(failures))
os.exit(failures == 0)
