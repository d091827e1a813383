-- SPDX-License-Identifier: MIT
-- sandbox.cli.down: `luge down`: stops what `luge up` started, nothing before those that need it, and removes it.

local S = require "syscall"
local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"
local group_lock = require "sandbox.container.group_lock"
local life = require "sandbox.container.life"
local list = require "sandbox.container.list"
local request = require "sandbox.cli.request"

local M = {}

-- The name of the group: that of a file, or the word itself; nil and the exit code after the message.
local function group_name(options, word)
  local source = require("sandbox.profile.search").parse(word)
  local own = options.name or source.name
  if own then
    local ok, message = require("sandbox.profile.values").name(own)
    if ok then return own end
    return nil, cli.complain(("the group's name: %s"):format(message))
  end
  local group, code = request.load(word, options, {}, nil, true)
  if not group then return nil, code end
  if group.type ~= "group" then return nil, cli.complain(word .. ": this is one container, no group", "luge rm -f NAME") end
  return group.name
end

-- Those that run and that no other needs that runs.
local function wave_of(running)
  local needed, wave, rest = {}, {}, {}
  for _, container in ipairs(running) do
    for _, name in ipairs(container.needs or {}) do needed[name] = true end
  end
  for _, container in ipairs(running) do table.insert(needed[container.name] and rest or wave, container) end
  -- A record that says nonsense holds nobody up.
  if #wave == 0 then return running, {} end
  return wave, rest
end

-- Stops and removes all of a group that are there.
local function take_down(directory, name, grace)
  local found, running, code = {}, {}, 0
  for _, container in ipairs(list.all(directory)) do
    if container.group == name and container.detached then
      found[#found + 1] = container
      if containers.RUNS[container.state] then running[#running + 1] = container end
    end
  end
  while #running > 0 do
    local wave
    wave, running = wave_of(running)
    life.ended(directory, containers.names_of(wave), { op = "stop", grace = grace }, function() end)
  end
  for _, container in ipairs(found) do
    local ok, text = life.stop_and_remove(directory, container.name, grace)
    if ok then print(container.name) else code = cli.complain(("down %s: %s"):format(container.name, text)) end
  end
  return code, found[1] ~= nil
end

function M.run(options, words)
  local directory = containers.directory()
  local grace = options.time and containers.duration(options.time, "time")
  if not directory or options.time and not grace then return containers.FAILED end
  if not words[1] and not options.name then return cli.complain("which group?", "luge down FILE.lua, or the group's name") end
  local name, code = group_name(options, words[1] or "")
  if not name then return code end
  local lock, err = group_lock.take(directory, name, function(milliseconds) S.nanosleep(milliseconds / 1000) end)
  if not lock then return cli.complain(("down %s: %s"):format(name, tostring(err))) end
  local found
  code, found = take_down(directory, name, grace)
  group_lock.free(lock)
  -- The file of a group that is not up is no mistake.
  if not found and not options.name and words[1] == name then return containers.no_such_group(directory, name) end
  return code
end

return M
