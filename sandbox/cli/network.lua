-- SPDX-License-Identifier: MIT
-- sandbox.cli.network: `luge network`: what is done to the networks of containers that run.

local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"
local life = require "sandbox.container.life"
local list = require "sandbox.container.list"

local M = {}

local verbs = {}

-- The wire's other end knows it as its own: the container and its interface, where another one's wire leads to this.
local function owner_of(directory, name, interface)
  for _, other in ipairs(list.all(directory)) do
    local is_other, reply, fds = containers.LIVE[other.state] and other.name ~= name, nil, nil
    if is_other then reply, fds = life.ask(directory, other.name, { op = "describe" }) end
    local facts = reply and not reply.ended and require("sandbox.container.describe").read_raw(fds)
    for _, known in ipairs(facts and facts.network or {}) do
      if known.peer and known.peer.container == name and known.peer.name == interface then return other.name, known.name end
    end
  end
end

local function set_cut(op)
  return function(_, words)
    local name, interface = words[1], words[2]
    if not interface or words[3] then
      return cli.complain(("network %s: a container and one of its interfaces expected"):format(op),
        ("luge network %s NAME eth0"):format(op))
    end
    local directory, found = containers.find({}, { name }, containers.LIVE, "only one that runs has a network")
    if not directory then return found end
    local owner, own = owner_of(directory, name, interface)
    local reply, text, kind = life.ask(directory, owner or name, { op = "network", act = op, interface = own or interface })
    if reply then return 0 end
    return cli.complain(("network %s %s: %s"):format(op, owner or name, kind == "gone" and "it has ended meanwhile" or text))
  end
end

verbs.cut, verbs.join = set_cut "cut", set_cut "join"

-- Somebody's `nft flush ruleset` takes luge's tables as well. Each container's luge knows its own, and puts it back whole.
function verbs.reload(options, names)
  local all = options.all or #names == 0
  options.all = all
  local directory, found = containers.find(options, names, containers.LIVE, "only one that runs has a firewall")
  if not directory then return found end
  return containers.each(found, "network reload", function(container)
    local ok, words, kind = life.ask(directory, container.name, { op = "reload" })
    -- Of all, one that has ended is none any more, and one that starts puts its firewall there itself.
    return ok or all and (kind == "absent" or kind == "gone"), words
  end)
end

function M.run(options, words)
  local verb = table.remove(words, 1)
  if not verbs[verb] then
    local known = {}
    for name in pairs(verbs) do known[#known + 1] = name end
    table.sort(known)
    local message = verb and ("network: no '%s'"):format(verb) or "network: what?"
    return cli.complain(message, "luge network " .. table.concat(known, ", "))
  end
  return verbs[verb](options, words)
end

return M
