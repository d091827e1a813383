-- SPDX-License-Identifier: MIT; ends with 1 .
local t = {}
setmetatable(t, { __index = t })
return container { name = t.name }
