-- SPDX-License-Identifier: MIT
-- sandbox.cli.check: `luge check`: is a profile right? Needs no privilege, starts nothing.

local cli = require "sandbox.cli"
local request = require "sandbox.cli.request"

local M = {}

local FAULTS, USAGE = 1, 2

-- Whether something of it runs on the host.
local function has_hooks(spec)
  if spec.type ~= "group" then return spec.hooks and next(spec.hooks) end
  for _, one in pairs(spec.members) do
    if has_hooks(one.spec) then return true end
  end
end

function M.run(options, words)
  if #words == 0 then
    cli.complain("which profile?", "luge check PROFILE…")
    return USAGE
  end
  local code = 0
  for _, word in ipairs(words) do
    local spec, failed = request.load(word, options, {}, FAULTS, true)
    if not spec then
      if failed ~= FAULTS then return USAGE end -- the options are wrong for every profile
      code = FAULTS
    elseif options.pure and has_hooks(spec) then
      cli.complain(word .. ": it has hooks, which run on the host", "without --pure they are accepted")
      code = FAULTS
    else
      print(word .. ": good")
    end
  end
  return code
end

return M
