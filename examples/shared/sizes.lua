-- SPDX-License-Identifier: MIT
-- A module of examples/12-shared.lua.
local M = {}

function M.mib(n)
  return n * 1024 * 1024
end

return M
