-- SPDX-License-Identifier: MIT
-- sandbox.cli.version: `luge version`.

local M = { VERSION = "0.1.0" }

function M.run()
  print("luge " .. M.VERSION)
  return 0
end

return M
