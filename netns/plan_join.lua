-- SPDX-License-Identifier: MIT
-- netns.plan_join: a container in a network that is there already, a namespace by its path or another container's, or that
-- the containers of a pod share. The parent enters it, the child is born in it, and the parent goes back: the container's
-- root has no power over such a network, which belongs to another user namespace.

local M = {}

local function enter(c, why)
  local steps = c.steps
  steps:add("host", why, "open", { "/proc/self/ns/net", "rdonly, cloexec" }, { save = "$net.own" })
  return function(net)
    steps:add("host", why, "setns", { net, "newnet" }, { undo = { "setns", { "$net.own", "newnet" } } })
    steps:add("attach", why, "setns", { "$net.own", "newnet" })
    c.joined = { net = net, own = "$net.own" }
  end
end

function M.plan(c)
  local network, steps = c.spec.network, c.steps
  local why = network.join and "network.join" or "network.pod"
  if c.shared and network.pod then
    c.shared.net = require("netns.plan_shared").hold(c, why, ("${ranges}/pod.%s.0"):format(network.pod), "$net.pod")
    c.new_net = true -- it is the user namespace's own, so that its /sys can be shown
    return
  elseif not c.facts.privileged then
    if #c.faults > 0 then return end
    c:fault(why, "a network that others are in belongs to root, and an ordinary user may not enter it",
      "run luge as root, or use luge exec for one more command in a container")
    return
  end
  local go = enter(c, why)
  if network.pod then
    local path = ("${ranges}/pod.%s.0"):format(network.pod)
    steps:add("host", why, "nl.hold_pod", { path }, { save = "$net.pod", undo = { "nl.leave_pod", { path } } })
    return go "$net.pod"
  elseif network.join:sub(1, 1) == "/" then
    steps:add("host", why, "open", { { literal = network.join }, "rdonly, nonblock, cloexec" }, { save = "$net.joined" })
  else
    local other = require("netns.plan_shared").full_name(c, network.join)
    steps:add("host", why, "open_noted", { ("${state}/%s.lock"):format(other), "net" }, { save = "$net.joined" })
  end
  go "$net.joined"
end

return M
