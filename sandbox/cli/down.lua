-- SPDX-License-Identifier: MIT
-- sandbox.cli.down: `luge down`: stops what `luge up` started, nothing before those that need it, and removes it.

local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"
local life = require "sandbox.container.life"
local list = require "sandbox.container.list"
local request = require "sandbox.cli.request"

local M = {}

-- The name of the group: that of a file, or the word itself; nil and the exit code after the message.
local function group_name(options, word)
  local source = require("sandbox.profile.search").parse(word)
  if options.name or source.name then return options.name or source.name end
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

local function names_of(found)
  local names = {}
  for i, container in ipairs(found) do names[i] = container.name end
  return names
end

function M.run(options, words)
  local directory = containers.directory()
  local grace = options.time and containers.duration(options.time, "time")
  if not directory or options.time and not grace then return containers.FAILED end
  if not words[1] and not options.name then return cli.complain("which group?", "luge down FILE.lua, or the group's name") end
  local name, code = group_name(options, words[1] or "")
  if not name then return code end
  local found, running = {}, {}
  for _, container in ipairs(list.all(directory)) do
    if container.group == name and container.detached then
      found[#found + 1] = container
      if containers.RUNS[container.state] then running[#running + 1] = container end
    end
  end
  code = 0
  while #running > 0 do
    local wave
    wave, running = wave_of(running)
    life.ended(directory, names_of(wave), { op = "stop", grace = grace }, function() end)
  end
  for _, container in ipairs(found) do
    local ok, text = life.stop_and_remove(directory, container.name, grace)
    if ok then print(container.name) else code = cli.complain(("down %s: %s"):format(container.name, text)) end
  end
  return code
end

return M
