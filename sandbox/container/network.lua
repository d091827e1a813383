-- SPDX-License-Identifier: MIT
-- sandbox.container.network: the wires of a running container, cut and joined by its own luge, which knows where their other ends
-- are: on the host, in the hub of a group, or in the container that a wire leads to. What the container itself may do to
-- its end makes no difference then; an end that only the container has (macvlan, user) is set down there, and the program behind
-- a user interface is stopped as long: it leads published ports in by the container's loopback.

local S = require "syscall"
local Steps = require "sandbox.plan.steps"
require "netns"

local M = {}

local function interface_of(run, name)
  local known = {}
  for _, interface in ipairs(run.network or {}) do
    if interface.name == name then return interface end
    known[#known + 1] = interface.name
  end
  local near = require("luge.cage").nearest(name, known)
  return nil, ("it has no interface '%s'%s"):format(name, #known == 0 and "" or
    near and (", did you mean '%s'?"):format(near) or ": it has " .. table.concat(known, ", "))
end

-- Where the end is that is set down: { link =, netns =, user = } resolved.
local function act(run, interface, op, ...)
  local wire = Steps.resolve(interface.wire, run.symbols)
  local args = table.pack(wire.link, ...)
  if wire.user then return S.within({ user = wire.user, net = wire.netns }, "nl." .. op, table.unpack(args, 1, args.n)) end
  args[args.n + 1] = wire.netns
  return S.nl[op](table.unpack(args, 1, args.n + 1))
end

local function stop_helper(run, interface, wanted)
  local helper = interface.kind == "user" and run.symbols["net.helper"]
  if helper and helper.pidfd then S.pidfd_send_signal(helper.pidfd, wanted and "stop" or "cont") end
end

-- ---- what is cut, in the lock, for `ps` ----

-- The names of the interfaces that are cut, in their order.
local function names_of(run)
  local names = {}
  for _, interface in ipairs(run.network or {}) do
    if run.cut and run.cut[interface.name] then names[#names + 1] = interface.name end
  end
  return names
end

-- "cut eth0 lan", with room for all of them: one line replaces the other.
local function note(run)
  local lock, width = run.symbols["lock.name"], 0
  for _, interface in ipairs(run.network) do width = width + #interface.name + 1 end
  local line = ("cut %-" .. width .. "s\n"):format(table.concat(names_of(run), " "))
  if not run.cut_at then
    run.cut_at = S.lseek(lock, 0, "end")
    S.note_lock(lock, line)
  else
    S.pwrite(lock, line, run.cut_at)
  end
end

--- The interfaces that are cut, by the text of a lock that is held: a list of names.
function M.noted(text)
  local names, at = {}, text:find("\ncut ", 1, true)
  for name in (at and text:match("^([^\n]*)", at + 5) or ""):gmatch "%S+" do names[#names + 1] = name end
  return names
end

-- ---- what is done ----

--- Cuts (wanted) or joins a wire. True, or nil and words.
function M.set_cut(run, name, wanted)
  local interface, words = interface_of(run, name)
  if not interface then return nil, words end
  run.cut = run.cut or {}
  local state = run.cut[name]
  if wanted == (state ~= nil) then return nil, ("%s is %s already"):format(name, wanted and "cut" or "joined") end
  local value, err
  if wanted then
    value, err = act(run, interface, "cut")
    run.cut[name] = value
  else
    value, err = act(run, interface, "mend", state)
    if value then run.cut[name] = nil end
  end
  if not value then return nil, ("%s: %s"):format(name, tostring(err)) end
  stop_helper(run, interface, wanted)
  note(run)
  run.events { event = "network", interface = name, state = wanted and "cut" or "joined" }
  return true
end

--- Forgets what was cut: a container that is started again has its wires anew.
function M.forget(run) run.cut, run.cut_at = nil, nil end

--- The interfaces, with the addresses that they got: { name =, kind =, link = of the host, address =, address6 =,
-- state = "joined" or "cut" } each; nil where the container has none.
function M.describe(run)
  if not run.network then return nil end
  local list = {}
  for i, interface in ipairs(Steps.resolve(run.network, run.symbols)) do
    list[i] = {}
    for key, value in pairs(interface) do list[i][key] = value end
    list[i].wire, list[i].state = nil, run.cut and run.cut[interface.name] and "cut" or "joined"
  end
  return list
end

return M
