-- SPDX-License-Identifier: MIT
-- netns.plan_shared: what an ordinary user's containers need to be in one network, and the network that a group has for itself.
--
-- A network belongs to a user namespace, and only who is in that one can join it or lay a wire to it. Root's are the
-- machine's. An ordinary user's containers are born in one user namespace that they share (netns.pod): each has processes,
-- mounts and capabilities of its own there, as many as the profile keeps, which is none unless it says so.

local M = {}

-- A group's own network: the hub is a bridge in a namespace that nobody is in, so that neither the host nor another group has any
-- part in it, and nothing of it is left when the last of its containers is gone.
local PRIVATE = { base = "10.215.0.0/16", prefix = 16, base6 = "fd6c:7567:6502::/64", prefix6 = 64 }
local BRIDGE = "hub"

local function is_own(network) return network.type ~= "host" and not network.join and not network.pod end

-- Whether the container has to be where the user's others are, and the field that says so.
local function why_shared(c)
  local network = c.spec.network
  if network.pod then return "network.pod" end
  if network.private then return "network" end
  for i, interface in ipairs(network.interfaces or {}) do
    if interface.type == "link" then return ("network.interfaces[%d]"):format(i) end
  end
  return nil
end

-- The shared namespace has one user, whom the container's root is.
local function can_share(c)
  return c.spec.id_map.type == "self" and c.user.uid == 0 and c.user.gid == 0
end

--- Has an ordinary user's container born in the namespace of his others, where its network, or that of another one of its group,
-- asks for it. Before the clone.
function M.begin(c)
  if c.facts.privileged then return end
  local why = why_shared(c)
  if not why and not (c.options.shares and is_own(c.spec.network)) then return end
  if not can_share(c) then
    if why then
      c:fault(why, "an ordinary user's containers share a network only as root of one user namespace",
        'write id_map = "self" and user = "0:0", or run luge as root')
    end
    return
  end
  local path = "${ranges}/users.0"
  c.steps:add("host", why or "network", "nl.hold_users", { path }, { save = "$net.users", undo = { "nl.leave_pod", { path } } })
  c.shared = { user = "$net.users" }
end

--- The name of another container as profiles have it: that of one of the group, or any other.
function M.full_name(c, name) return c.options.names and c.options.names[name] or name end

--- A step that takes power over the network `there`, another container's or the hub's. args(netns): its arguments where they
-- name that network, and where it is the caller's own (nil); undo: { op, args as above } or nil.
function M.add(c, why, there, op, args, undo)
  local function call(what, arguments)
    if not c.shared then return what, arguments(there) end
    local list = arguments(nil)
    return "within", table.move(list, 1, #list, 3, { { user = c.shared.user, net = there }, what })
  end
  local taken_back = undo and { undo = { call(undo[1], undo[2]) } }
  local name, list = call(op, args)
  return c.steps:add("attach", why, name, list, taken_back)
end

--- An end hears that the other is up when the kernel has got round to it: a look at the link makes it hurry (Linux 6.2).
function M.look(c, why, there, name)
  M.add(c, why, there, "nl.set", function(netns) return { name, { up = true, netns = netns } } end)
end

--- Has the link-local address of a link count at once: a router asks for its neighbours by no other. Before it is up; a kernel may
-- be without IPv6.
function M.without_dad(c, why, there, name)
  local where = { user = c.shared and c.shared.user, net = there }
  c.steps:add("attach", why, "within", { where, "writefile", ("/proc/sys/net/ipv6/conf/%s/accept_dad"):format(name), "0" },
    { optional = true })
end

--- The namespace of a pod, of the network or of the hub.
function M.hold(c, why, path, name)
  local args = c.shared and { path, c.shared.user } or { path }
  c.steps:add("host", why, "nl.hold_pod", args, { save = name, undo = { "nl.leave_pod", { path } } })
  return name
end

--- A wire to the hub of the group.
function M.private(c, why, interface, link, mac)
  if not c.shared and not c.facts.privileged then
    if #c.faults == 0 then
      c:fault(why, "a group's own network takes CAP_SYS_ADMIN, or a user namespace that its containers share")
    end
    return nil
  end
  local hub = M.hold(c, why, ("${state}/private.%s.0"):format(c.options.group or "${name}"), "$net.hub")
  -- Several may come at once: who is second finds it.
  M.add(c, why, hub, "nl.bridge", function(netns) return { { name = BRIDGE, up = true, netns = netns } } end).optional = true
  M.add(c, why, hub, "nl.veth", function(netns)
    return { { name = link, netns = netns, master = BRIDGE, mtu = interface.mtu, up = true,
      peer = { name = interface.name, netns = "$child", mac = mac } } }
  end)
  M.add(c, why, "$child", "nl.set", function(netns) return { interface.name, { up = true, netns = netns } } end)
  M.look(c, why, hub, link)
end

--- Addresses of member number n of a group, and n of a name: { address =, address6 = } with widths.
function M.addresses(n)
  local nl, p = require "netns", PRIVATE
  return { address = ("%s/%d"):format(nl.subnet(p.base, p.prefix, 0, n + 1), p.prefix),
    address6 = ("%s/%d"):format(nl.subnet(p.base6, p.prefix6, 0, n + 1), p.prefix6) }
end

return M
