-- SPDX-License-Identifier: MIT
-- sandbox.cli: the command line of luge.

local M = {}

function M.main(argv)
  if argv[1] == "lua" then return require("sandbox.cli.lua").run(table.move(argv, 2, #argv, 1, {})) end
  return 0
end

return M
