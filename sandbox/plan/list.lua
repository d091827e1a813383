-- SPDX-License-Identifier: MIT
-- sandbox.plan.list: what lists are asked.

local M = {}

--- Whether `list` (or nil) holds `wanted`.
function M.has(list, wanted)
  for _, entry in ipairs(list or {}) do
    if entry == wanted then return true end
  end
  return false
end

return M
