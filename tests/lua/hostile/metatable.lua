-- SPDX-License-Identifier: MIT; ends with 1 limits: a table with a metatable is no data
local limits = setmetatable({}, {
  __index = function() while true do end end,
  __pairs = function() while true do end end,
  __len = function() while true do end end,
})
return container { limits = limits }
