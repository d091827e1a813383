-- SPDX-License-Identifier: MIT
-- sandbox.cli.containers: what the commands on containers share: which ones are meant, and what is said of others.

local cli = require "sandbox.cli"
local list = require "sandbox.container.list"

local M = {}

M.FAILED = require("sandbox.must").FAILED

--- The state directory, or nil after the message was printed.
function M.directory()
  local directory, message = require("sandbox.container.state").directory(require("sandbox.plan.facts").gather())
  if directory then return directory end
  cli.complain(message, "set LUGE_STATE to a directory of yours")
end

--- Those of a list that are named, or all without names; nil and the name that none has.
function M.chosen(containers, names)
  if #names == 0 then return containers end
  local known, found = {}, {}
  for _, container in ipairs(containers) do known[container.name] = container end
  for i, name in ipairs(names) do
    if not known[name] then return nil, name end
    found[i] = known[name]
  end
  return found
end

--- Their names, in the same order.
function M.names_of(containers)
  local names = {}
  for i, container in ipairs(containers) do names[i] = container.name end
  return names
end

-- The way out where the name is a group's, or a container's name within one.
local function of_a_group(name, containers)
  local within = {}
  for _, container in ipairs(containers) do
    local group = container.group
    if group == name then return ("it is a group: luge down X, luge ps --group X, luge logs --group X"):gsub("X", name) end
    if group and container.name == group .. "-" .. name then within[#within + 1] = container.name end
  end
  if #within > 0 then return ("did you mean %s?"):format(table.concat(within, " or ")) end
end

--- Says that no container of `containers` has that name, with the nearest; returns the exit code.
function M.no_such(name, containers, of_running)
  local all = M.names_of(containers)
  local near = require("luge.cage").nearest(name, all)
  local shown = #all > 10 and table.concat(all, ", ", 1, 10) .. " …" or table.concat(all, ", ")
  return cli.complain(("no container '%s'%s"):format(name, of_running and " is running" or ""),
    of_a_group(name, containers) or near and ("did you mean %s?"):format(near)
    or #all == 0 and (of_running and "none is" or "there is none") .. ", for this user and state directory"
    or "these are: " .. shown)
end

--- Every state, and what is said of a container in it.
M.STATES = { running = "is running", paused = "is paused", restarting = "is between two runs",
  ended = "has ended", lost = "was lost: its luge was killed",
  unknown = "cannot be read" }

--- What the state of a container is called, in a sentence.
function M.says(container) return ("container '%s' %s"):format(container.name, M.STATES[container.state]) end

--- States of a container that has a luge; and those of one that has processes.
M.RUNS = { running = true, paused = true, restarting = true }
M.LIVE = { running = true, paused = true }

--- The containers that words name, each looked up by itself: the list, or nil and the exit code after the message. With
-- options.all: all whose state is in `states`; a named one in another state is an error, with `hint`.
function M.named(directory, options, names, states, hint)
  if options.all and #names > 0 then return nil, cli.complain("--all, or names", "leave one of them out") end
  if options.all then
    local found = {}
    for _, container in ipairs(list.all(directory)) do
      if states[container.state] then found[#found + 1] = container end
    end
    return found
  end
  if #names == 0 then return nil, cli.complain("which container?", "luge ps lists them") end
  local found, seen = {}, {}
  for _, name in ipairs(names) do
    local container = name:find("^[%w_.-]+$") and list.one(directory, name)
    if not container then return nil, M.no_such(name, list.all(directory)) end
    if not states[container.state] then return nil, cli.complain(M.says(container), container.message or hint) end
    if not seen[name] then found[#found + 1] = container end
    seen[name] = true
  end
  return found
end

--- The state directory, and the containers in it that words name, as M.named; or nil and the exit code after the message.
function M.find(...)
  local directory = M.directory()
  if not directory then return nil, M.FAILED end
  local found, code = M.named(directory, ...)
  if not found then return nil, code end
  return directory, found
end

--- Calls act(container) for each of them, which returns nil, words and a way out where it failed. Returns the exit code, after the
-- messages: "OP NAME: words".
function M.each(found, op, act)
  local code = 0
  for _, container in ipairs(found) do
    local ok, words, way_out = act(container)
    if not ok then code = cli.complain(("%s %s: %s"):format(op, container.name, words), way_out) end
  end
  return code
end

--- Says that nothing is of that group; returns the exit code.
function M.no_such_group(directory, group)
  local known = {}
  for _, container in ipairs(list.all(directory)) do known[#known + 1] = container.group end
  local near = require("luge.cage").nearest(group, known)
  return cli.complain(("no container of a group '%s'"):format(group), near and ("did you mean %s?"):format(near)
    or "luge ps -a --group lists those of all groups")
end

--- A duration of the command line in seconds, or nil after the message was printed.
function M.duration(text, option)
  local seconds = require("sandbox.profile.values").duration(text)
  if seconds then return seconds end
  cli.complain(("--%s %s: a duration expected"):format(option, text), "as 10s, 1m30s or 500ms; 0 is at once")
end

return M
