-- SPDX-License-Identifier: MIT; ends with 0 good
local function deep(n) return 1 + deep(n + 1) end
return container { name = tostring(pcall(string.gsub, "x", "x", function() return deep end)) }
