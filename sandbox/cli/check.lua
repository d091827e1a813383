-- SPDX-License-Identifier: MIT
-- sandbox.cli.check: `luge check`: is a profile right? Needs no privilege, starts nothing.

local cli = require "sandbox.cli"
local request = require "sandbox.cli.request"

local M = {}

local FAULTS, USAGE = 1, 2

function M.run(options, words)
  if #words == 0 then
    cli.complain("which profile?", "luge check PROFILE…")
    return USAGE
  end
  local code = 0
  for _, word in ipairs(words) do
    local spec = request.load(word, options, {}, FAULTS)
    if not spec then
      code = FAULTS
    elseif options.pure and next(spec.hooks) then
      cli.complain(word .. ": it has hooks, which run on the host", "without --pure they are accepted")
      code = FAULTS
    else
      print(word .. ": good")
    end
  end
  return code
end

return M
