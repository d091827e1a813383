-- SPDX-License-Identifier: MIT
-- sandbox.cli: the command line of luge.

local M = {}

function M.main(argv)
  if argv[1] == "lua" and argv[2] then
    local chunk, err = loadfile(argv[2], "t")
    if not chunk then io.stderr:write("luge: ", err, "\n") return 125 end
    chunk(table.unpack(argv, 3))
    return 0
  end
  return 0
end

return M
