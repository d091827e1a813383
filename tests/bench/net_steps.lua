-- SPDX-License-Identifier: MIT
-- net_steps.lua: how long luge's own steps take to make a container's network ready, beside a C program that sends the same
-- messages: `luge lua tests/bench/net_steps.lua NET_FLOOR DIRECTORY [ROUNDS]`
--
-- The steps are those of the plan of a container with one veth, translated (nat), of IPv4 and IPv6: everything that is
-- there for `network`, locks and names included, taken by what `luge run` takes them with; what else a container has is
-- left out on both sides. Each turn is a process of its own, whose host is a new network namespace. Turns alternate.

collectgarbage "stop" -- as in `luge run`

local S = require "syscall"
local Steps = require "sandbox.plan.steps"
local request = require "sandbox.cli.request"
local nl = require "netns"

local FLOOR, DIR, ROUNDS = arg[1], arg[2], tonumber(arg[3] or "150")
local GOAL = 1.3

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local state = DIR .. "/net_state"
S.mkdir(state, "0700")
local profile = DIR .. "/net_steps.lua"
write(profile, 'return container { network = { interfaces = { veth { nat = true } }, egress = false }, command = { "/true" } }\n')

-- Those of `network`, but files of the container's root; by place.
local function network_steps()
  local spec, host = request.load(profile, {}, {})
  local plan = assert(request.plan(spec, host, {}))
  local steps = { host = {}, attach = {}, guest = {} }
  for _, step in ipairs(plan.steps) do
    if step.why:find "^network" and steps[step.where] and step.op ~= "put_file" then table.insert(steps[step.where], step) end
  end
  return steps, plan.constants
end

local function take(steps, symbols)
  for _, step in ipairs(steps) do
    local ok, err = Steps.run(S, step, symbols)
    if ok == nil and not Steps.accepts(step, err) then error(step.op .. ": " .. tostring(err)) end
  end
end

local function child(steps, symbols, go, done)
  local first = table.remove(steps, 1) -- lo
  take({ first }, symbols)
  S.read(go, 1)
  take(steps, symbols)
  S.write(done, "x")
  S.nanosleep(1000) -- until it is killed
end

-- One turn, in a process of its own: microseconds, and the symbols of the run.
local function turn(before)
  assert(S.unshare "newnet")
  assert(nl.up "lo")
  local steps, constants = network_steps()
  local symbols = { name = "bench", state = state, ranges = state }
  for name, value in pairs(constants) do symbols[name] = value end
  symbols["lock.name"] = assert(S.take_lock(state .. "/bench.lock", ""))
  local go_r, go_w = S.pipe "cloexec"
  local done_r, done_w = S.pipe "cloexec"
  if before then before() end
  local began = S.clock_gettime "monotonic"
  take(steps.host, symbols)
  local pid = assert(S.clone3 { flags = "newnet", exit_signal = "chld" })
  if pid == 0 then
    local ok, err = pcall(child, steps.guest, symbols, go_r, done_w)
    if not ok then io.stderr:write(tostring(err), "\n") end
    S.exit(1)
  end
  done_w:close()
  symbols.child = pid
  take(steps.attach, symbols)
  S.write(go_w, "x")
  assert(S.read(done_r, 1) == "x", "the child failed")
  local took = (S.clock_gettime "monotonic" - began) * 1e6
  S.kill(pid, "kill")
  S.wait4(pid)
  for _, name in ipairs(S.dir(state)) do S.unlink(state .. "/" .. name) end
  return took, symbols
end

-- What a forked copy says.
local function of_copy(f)
  local r, w = S.pipe "cloexec"
  local pid = assert(S.fork())
  if pid == 0 then
    local ok, err = pcall(function() S.write(w, f()) end)
    if not ok then io.stderr:write(tostring(err), "\n") end
    S.exit(ok and 0 or 1)
  end
  w:close()
  local text = {}
  repeat
    text[#text + 1] = S.read(r)
  until text[#text] == ""
  r:close()
  local _, status = S.wait4(pid)
  assert(status.status == 0 and status.code == "exited", "a turn failed")
  return table.concat(text)
end

-- The messages of the transaction as luge sends them, with an acknowledgement for each, and the words for net_floor.
local function recorded()
  local words = of_copy(function()
    local parts = {}
    local _, symbols = turn(function()
      local own = nl.request
      nl.request = function(messages, netns, how, protocol)
        if protocol == "netfilter" and how == "batch" then
          parts = {}
          for i, message in ipairs(messages) do
            local bytes = message:tobytes()
            local size, kind, flags = ("I4I2I2"):unpack(bytes)
            local is_mark = i == 1 or i == #messages
            parts[i] = ("I4I2I2I4"):pack(size, kind, flags | (is_mark and 0 or S.c.NLM_F.ACK), i) .. bytes:sub(13)
            parts[i] = parts[i] .. ("\0"):rep(-#parts[i] % 4)
          end
        end
        return own(messages, netns, how, protocol)
      end
    end)
    write(DIR .. "/net_batch", table.concat(parts))
    return table.concat({ symbols["link.eth0"], symbols["mac.eth0"], symbols["address.eth0"], symbols["gateway.eth0"],
      symbols["address6.eth0"], symbols["gateway6.eth0"] }, " ")
  end)
  local list = { FLOOR }
  for word in words:gmatch "%S+" do list[#list + 1] = word end
  list[#list + 1] = DIR .. "/net_batch"
  return list
end

local function floor_turn(words)
  local r, w = S.pipe "cloexec"
  local pid = assert(S.fork())
  if pid == 0 then
    S.dup3(w, 1)
    S.execve(FLOOR, words, {})
    S.exit(127)
  end
  w:close()
  local text = S.read(r, 100)
  r:close()
  S.wait4(pid)
  return assert(tonumber(text), "net_floor failed")
end

local function median(list)
  table.sort(list)
  return (list[#list // 2] + list[#list // 2 + 1]) / 2
end

local words = recorded()
local ours, floor = {}, {}
for i = 1, ROUNDS do
  floor[i] = floor_turn(words)
  ours[i] = tonumber(of_copy(function() return tostring((turn())) end))
end
S.unlink(state .. "/bench.lock")
local got, base = median(ours), median(floor)
print(("%-42s %6.2fms %6.2fms"):format("a network ready: the floor", base / 1000, floor[1] / 1000))
print(("%-42s %6.2fms %6.2fms"):format("a network ready: luge", got / 1000, ours[1] / 1000))
print(("%-52s %.2f (goal: <= %.2f) %s"):format("luge's steps of a network / the floor", got / base, GOAL, got / base <= GOAL
  and "reached" or "missed"))
print(("%-52s %.2f"):format("the same, the quickest of each", ours[1] / floor[1]))
