-- SPDX-License-Identifier: MIT
-- sandbox.cli.network: `luge network`: what is done to the networks of containers that run.

local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"

local M = {}

local verbs = {}

-- Somebody's `nft flush ruleset` takes luge's tables as well. Each container's luge knows its own, and puts it back whole.
function verbs.reload(options, names)
  local directory = containers.directory()
  if not directory then return containers.FAILED end
  options.all = options.all or #names == 0
  local found, code = containers.named(directory, options, names, containers.LIVE, "only one that runs has a firewall")
  if not found then return code end
  code = 0
  for _, container in ipairs(found) do
    local ok, text = require("sandbox.container.life").ask(directory, container.name, { op = "reload" })
    if not ok then code = cli.complain(("network reload %s: %s"):format(container.name, text)) end
  end
  return code
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
