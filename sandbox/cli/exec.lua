-- SPDX-License-Identifier: MIT
-- sandbox.cli.exec: `luge exec`: one more command in a container that runs, under the container's own protection.

local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"
local request = require "sandbox.cli.request"

local M = {}

-- The variables of --env, or nil and the message.
local function variables(list)
  local env = {}
  for _, text in ipairs(list or {}) do
    local name, value = request.variable(text)
    if not name then return nil, value end
    env[name] = value
  end
  return env
end

-- What the options ask for, or nil, the message and a hint.
local function asked(options, words)
  local how = { argv = words, terminal = options.tty or nil }
  local message, hint
  how.env, message = variables(options.env)
  if not how.env then return nil, message end
  if options.workdir then
    how.cwd, message, hint = require("sandbox.profile.values").path(options.workdir)
    if not how.cwd then return nil, "--workdir: " .. message, hint end
  end
  if options.user then
    how.user, message, hint = require("sandbox.profile.values").user(options.user)
    if not how.user then return nil, "--user: " .. message, hint end
  end
  if options.timeout then
    how.timeout = require("sandbox.profile.values").duration(options.timeout)
    if not how.timeout then return nil, ("--timeout %s: a duration expected"):format(options.timeout), "as 10s, 1m30s or 500ms" end
  end
  message, hint = request.streams()
  if message then return nil, message, hint end
  if #words == 0 then return nil, "no command", "luge exec NAME -- COMMAND" end
  return how
end

local function ended(name) return cli.complain(("the container '%s' has ended"):format(name)) end

function M.run(options, words)
  local name = table.remove(words, 1)
  local directory, found = containers.find({}, { name }, containers.LIVE, "only one that runs takes a command")
  if not directory then return found end
  local how, message, hint = asked(options, words)
  if not how then return cli.complain("exec: " .. message, hint) end
  local exec = require "sandbox.container.exec"
  local target
  target, message, hint = exec.find(directory, found[1])
  if not target then return cli.complain(("exec %s: %s"):format(name, message), hint) end
  local outcome, run = exec.run(target, how)
  if outcome.container_ended then
    ended(name)
  elseif outcome.failed then
    require("sandbox.container.explain").show(run, outcome)
  end
  for _, text in ipairs(run.output and run.output.errors or {}) do cli.complain(text) end
  return outcome.exit_code
end

return M
