-- SPDX-License-Identifier: MIT
-- sandbox.cli.network: `luge network`: what is done to the networks of containers that run.

local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"
local life = require "sandbox.container.life"
local list = require "sandbox.container.list"

local M = {}

local FAILED = containers.FAILED

-- The wire's other end knows it as its own: the container and its interface, where another one's wire leads to this.
local function owner_of(directory, name, interface)
  for _, other in ipairs(list.all(directory)) do
    local reply, fds = nil, nil
    if containers.LIVE[other.state] and other.name ~= name then reply, fds = life.ask(directory, other.name, { op = "describe" }) end
    local facts = reply and not reply.ended and require("sandbox.container.describe").read_raw(fds)
    for _, known in ipairs(facts and facts.network or {}) do
      if known.peer and known.peer.container == name and known.peer.name == interface then return other.name, known.name end
    end
  end
end

local function set_cut(op)
  return function(words)
    local name, interface = words[2], words[3]
    if not interface or words[4] then
      return cli.complain(("network %s: a container and one of its interfaces expected"):format(op), ("luge network %s NAME eth0"):format(op))
    end
    local directory = containers.directory()
    if not directory then return FAILED end
    local found, code = containers.named(directory, {}, { name }, containers.LIVE, "only one that runs has a network")
    if not found then return code end
    local owner, own = owner_of(directory, name, interface)
    local reply, text, kind = life.ask(directory, owner or name, { op = "network", act = op, interface = own or interface })
    if reply then return 0 end
    return cli.complain(("network %s %s: %s"):format(op, owner or name, kind == "gone" and "it has ended meanwhile" or text))
  end
end

local actions = { cut = set_cut "cut", join = set_cut "join" }

function M.run(_, words)
  local action = words[1] and actions[words[1]]
  if action then return action(words) end
  return cli.complain(words[1] and ("network: no action '%s'"):format(words[1]) or "network: what about it?",
    "luge network cut NAME INTERFACE, luge network join NAME INTERFACE")
end

return M
