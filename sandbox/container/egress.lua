-- SPDX-License-Identifier: MIT
-- sandbox.container.egress: what a container's firewall (netns.firewall) has stopped: counted, and with egress.log each
-- destination told once, while the container runs.

local loop = require "sandbox.container.loop"

local M = {}

local PAUSE = 0.5 -- seconds between two looks; the sets keep what came meanwhile

-- "10.9.8.7 . tcp . 443" in words; without a protocol TCP is meant.
local function destination(key)
  local address, proto, port = key:match "^(%S+) %. (%S+) ?%.? ?(%S*)$"
  if port == "" then return ("%s %s"):format(address, proto) end
  if address:find(":", 1, true) then address = "[" .. address .. "]" end
  return ("%s:%s%s"):format(address, port, proto == "tcp" and "" or "/" .. proto)
end

local function counters(run)
  local nft, name = require("netns").nft, require("sandbox.plan.steps").resolve(run.firewall.table, run.symbols)
  local inet, link = nft.counters("inet", name), nft.counters("netdev", name)
  return { denied = inet and inet.denied.packets, blocked = inet and inet.blocked.packets,
    spoofed = link and link.spoofed.packets }, name
end

--- What was stopped so far: { denied = packets to where egress allows none, blocked = to the container, spoofed = under
-- addresses that are not its own }; a figure that the kernel did not give is nil.
function M.counters(run) return (counters(run)) end

local function say(run, line)
  if run.detached then
    if run.log then run.log.writer:append(2, line .. "\n") end
  elseif run.terminal then
    table.insert(run.egress.held, line) -- raw, it would garble the words: said at the end
  else
    require("sandbox.container.tell").stderr(line .. "\n")
  end
end

-- Tells the destinations that were not told yet.
local function look(run)
  local own = run.egress
  local counted, name = counters(run)
  if counted.denied == own.denied then return end
  own.denied = counted.denied
  local profile = require "sandbox.profile"
  local origin = profile.origin(run.spec, "network.egress")
  if origin == "default" then origin = profile.origin(run.spec, "network") end
  for _, set in ipairs(require("netns.firewall_tables").DENIED) do
    for _, element in ipairs(require("netns").nft.elements("inet", name, set) or {}) do
      local to = not own.told[element.key] and destination(element.key)
      if to then
        own.told[element.key] = true
        say(run, ("luge: egress: %s denied (%s)"):format(to, origin))
        run.events { event = "egress_denied", to = to }
      end
    end
  end
end

--- Begins to look, in the loop of `watch`.
function M.attach(watch)
  local run = watch.run
  if not run.firewall.egress.log then return end
  run.egress = { told = {}, held = {}, denied = 0 }
  local timer
  timer = loop.new_timer(watch, function()
    look(run)
    loop.arm(timer, PAUSE)
  end)
  loop.arm(timer, PAUSE)
end

local KINDS = { { "denied", "egress_denied" }, { "blocked", "ingress_blocked" }, { "spoofed", "egress_spoofed" } }

--- After the end, while the tables are there: the last words, and events for the report.
function M.finish(run, outcome)
  if run.egress then look(run) end
  local counted = counters(run)
  for _, kind in ipairs(KINDS) do
    local count = counted[kind[1]] or 0
    if count > 0 then
      outcome.events = outcome.events or {}
      table.insert(outcome.events, { event = kind[2], count = count })
    end
  end
end

return M
