-- SPDX-License-Identifier: MIT
-- net_wire.lua: what goes through a wire of luge's, beside one that is made by hand with ip: iperf3, TCP, from a container to
-- its host, by turns: `luge lua tests/bench/net_wire.lua LUGE DIRECTORY [ROUNDS]`, in a network namespace made for it.

local S = require "syscall"
local json = require "luge.json"

local LUGE, DIR, ROUNDS = arg[1], arg[2], tonumber(arg[3] or "7")
local SECONDS = "1"

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function spawn(words, out)
  local pid = assert(S.fork())
  if pid ~= 0 then return pid end
  local null = assert(S.open("/dev/null", "rdwr"))
  S.dup3(null, 0)
  S.dup3(out or null, 1)
  S.execve(words[1]:find "/" and words[1] or "/usr/bin/env", words[1]:find "/" and words or { "env", table.unpack(words) },
    { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LUGE_STATE=" .. DIR .. "/net_wire" })
  S.exit(127)
end

local function run(...)
  local _, status = S.wait4(spawn { ... })
  assert(status.code == "exited" and status.status == 0, table.concat({ ... }, " "))
end

-- Gigabits in a second of one run of iperf3.
local function measure(words)
  local r, w = S.pipe "cloexec"
  local pid = spawn(words, w)
  w:close()
  local text = {}
  repeat
    text[#text + 1] = S.read(r)
  until text[#text] == ""
  r:close()
  S.wait4(pid)
  local result = json.decode(table.concat(text))
  return assert(result and result["end"] and result["end"].sum_received, "iperf3 failed").bits_per_second / 1e9
end

S.mkdir(DIR .. "/net_wire", "0700")
local profile = DIR .. "/net_wire.lua"
write(profile, [[return container { network = { interfaces = { veth { address = "10.77.1.2/24", address6 = false } }, egress = false } }]])

local server = spawn { "iperf3", "-s" }
run("ip", "netns", "add", "byhand")
run("ip", "link", "add", "hand0", "type", "veth", "peer", "name", "eth0", "netns", "byhand")
run("ip", "address", "add", "10.77.2.1/24", "dev", "hand0")
run("ip", "link", "set", "hand0", "up")
run("ip", "-n", "byhand", "address", "add", "10.77.2.2/24", "dev", "eth0")
run("ip", "-n", "byhand", "link", "set", "eth0", "up")

local ours, hand = {}, {}
for i = 1, ROUNDS do
  hand[i] = measure { "ip", "netns", "exec", "byhand", "iperf3", "-J", "-t", SECONDS, "-c", "10.77.2.1" }
  ours[i] = measure { LUGE, "run", profile, "--", "iperf3", "-J", "-t", SECONDS, "-c", "10.77.1.1" }
end
S.kill(server, "kill")
S.wait4(server)
run("ip", "netns", "delete", "byhand")
S.rmdir(DIR .. "/net_wire")

local function spread(list)
  table.sort(list)
  return list[1], list[(#list + 1) // 2], list[#list]
end

local low, middle, high = spread(hand)
local our_low, our_middle, our_high = spread(ours)
local row = "%-42s %6.2f Gbit/s (%.2f to %.2f)"
print(row:format("iperf3 through a wire made by hand", middle, low, high))
print(row:format("iperf3 through a wire of luge's", our_middle, our_low, our_high))
-- Within what the one by hand differs by from itself: the median lies where that one's runs lie, or above.
print(("%-52s %.2f (goal: within noise) %s"):format("luge's wire / by hand", our_middle / middle,
  our_middle >= low and "reached" or "missed"))
