-- SPDX-License-Identifier: MIT
-- netns.plan_between: a wire that is limited in what the container sends, as steps; see netns.plan_interfaces, which calls it.
--
-- Its tokens are neither at the container's end, where it and who joins its network may have the power to take them away, nor on
-- the host, where the link that they need would have to be deleted: 20 ms at the end. They are half-way, in a network namespace
-- of the wire's own, which nobody is in: container - "in" = "out" - host. What comes by either of the two goes out by the other.
-- The container's luge alone holds the namespace, and all of it goes with that.

local M = {}

M.IN, M.OUT = "in", "out"

--- The symbol of an interface's namespace; false or nil where it has none.
function M.namespace(c, interface)
  local rates = c.spec.network.bandwidth
  return rates and rates.up and "$between." .. interface.name
end

--- The steps that lead from the host's link into the namespace; returns the end there that the container's is to have as its peer.
function M.lay(c, why, interface, link)
  local steps, there, mtu = c.steps, M.namespace(c, interface), interface.mtu
  steps:add("host", why, "nl.namespace", {}, { save = there, undo = { "close", { there } } })
  steps:add("attach", why, "nl.veth", { { name = link, mtu = mtu, peer = { name = M.OUT, mtu = mtu, netns = there } } })
  return { name = M.IN, mtu = mtu, netns = there }
end

--- Its ends are up before that of the host, which works at once then (netns.plan_interfaces).
function M.set_up(c, why, interface)
  for _, link in ipairs { M.IN, M.OUT } do
    c.steps:add("attach", why, "nl.set", { link, { up = true, link_local = false, netns = M.namespace(c, interface) } })
  end
end

--- Has it carry, when the firewall is in place: a look at each end makes the kernel hurry. What waits there at the end is not
-- sent any more when the firewall has gone.
function M.open(c, why, interface)
  local steps, there, rates = c.steps, M.namespace(c, interface), c.spec.network.bandwidth
  local function add(reason, op, args, undo) steps:add("attach", reason, op, args, { beside = true, undo = undo }) end
  add("network.bandwidth", "nl.qdisc",
    { { link = M.OUT, netns = there, kind = "tbf", rate = rates.up, burst = rates.burst, mtu = interface.mtu } })
  add(why, "nl.couple", { M.IN, M.OUT, there })
  add(why, "nl.up", { M.IN, there })
  add(why, "nl.up", { M.OUT, there }, { "nl.down", { M.OUT, there } })
end

return M
