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
local furnish = require "sandbox.container.furnish"
local launch = require "sandbox.container.launch"
local orders = require "sandbox.container.orders"
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

-- The run of it, with the steps of `network` alone, but files of the container's root. Its container is there when it is
-- sealed.
local function network_run()
  local spec, host = request.load(profile, {}, {})
  local plan = assert(request.plan(spec, host, {}))
  local steps = {}
  for _, step in ipairs(plan.steps) do
    if step.why:find "^network" and step.op ~= "put_file" then steps[#steps + 1] = step end
  end
  steps[#steps + 1] = { op = "wait", where = "seal", why = "network", args = {} }
  return { spec = spec, steps = steps, constants = plan.constants, user = plan.user, user_is_known = true, keep = {},
    argv = { "/true" }, name = "bench", state = state, ranges = state, stage = launch.stage_file() }
end

local function take(run, place, symbols, channel)
  for _, step in ipairs(run.steps) do
    if step.where == place then
      local ok, err = Steps.run(S, step, symbols)
      if ok == nil and not Steps.accepts(step, err) then error(step.op .. ": " .. tostring(err)) end
      if step.feeds then S.sendmsg(channel, { data = "go" }) end
    end
  end
end

-- What luge and the stage talk by.
local function channels(run)
  local here, there = S.socketpair("unix", "seqpacket")
  local status_r, status_w = S.pipe()
  local lifeline_r, lifeline_w = S.pipe()
  local go_r, go_w = S.pipe()
  run.descriptors = { status = status_w:getfd(), lifeline = lifeline_r:getfd(), channel = there:getfd(), go = go_r:getfd() }
  return { here = here, there = there, status = status_r, status_w = status_w, lifeline = lifeline_r, lifeline_w = lifeline_w,
    go = go_r, go_w = go_w }
end

-- One turn, in a process of its own: microseconds, and the symbols of the run.
local function turn(before)
  assert(S.unshare "newnet")
  assert(nl.up "lo")
  local run = network_run()
  local symbols = launch.symbols_of(run)
  symbols["lock.name"] = assert(S.take_lock(state .. "/bench.lock", ""))
  local c = channels(run)
  if before then before() end
  local began = S.clock_gettime "monotonic"
  nl.keep(true)
  take(run, "host", symbols)
  local pid = assert(S.clone3_exec({ flags = "newnet", exit_signal = "chld" }, run.stage, orders.argv(c.there),
    furnish.kept(run, symbols)))
  c.status_w:close()
  S.sendmsg(c.here, { data = "maps", fds = { furnish.orders(run, symbols, {}) } })
  symbols.child = pid
  take(run, "attach", symbols, c.here)
  nl.keep(false)
  S.send(c.here, "all")
  local word = orders.decode_status(S.read(c.status, orders.MESSAGE_SIZE))
  local took = (S.clock_gettime "monotonic" - began) * 1e6
  assert(word and word.kind == "sealed", "the child failed")
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

-- The messages of a transaction, each but the marks at its ends with an acknowledgement asked for.
local function acknowledged(bytes)
  local parts, at = {}, 1
  assert(type(bytes) == "string", "the firewall has no form")
  while at <= #bytes do
    local size, kind, flags = ("I4I2I2"):unpack(bytes, at)
    local is_mark = at == 1 or at + size > #bytes
    parts[#parts + 1] = ("I4I2I2I4"):pack(size, kind, flags | (is_mark and 0 or S.c.NLM_F.ACK), #parts + 1)
      .. bytes:sub(at + 12, at + size - 1)
    at = at + size
  end
  return parts
end

local BATCHES = 3 -- the guards of each family, the container's tables

local function batch_file(i) return ("%s/net_batch%d"):format(DIR, i) end

-- The messages of the transactions as luge sends them, with an acknowledgement for each, and the words for net_floor.
local function recorded()
  local words = of_copy(function()
    local count = 0
    local _, symbols = turn(function()
      local own = nl.request
      nl.request = function(messages, netns, how, protocol)
        if protocol == "netfilter" and how == "batch" then
          count = count + 1
          write(batch_file(count), table.concat(acknowledged(messages)))
        end
        return own(messages, netns, how, protocol)
      end
    end)
    assert(count == BATCHES, "net_floor knows other transactions")
    return table.concat({ symbols["link.eth0"], symbols["mac.eth0"], symbols["address.eth0"], symbols["gateway.eth0"],
      symbols["address6.eth0"], symbols["gateway6.eth0"] }, " ")
  end)
  local list = { FLOOR }
  for word in words:gmatch "%S+" do list[#list + 1] = word end
  for i = 1, BATCHES do list[#list + 1] = batch_file(i) end
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
