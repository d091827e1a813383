-- SPDX-License-Identifier: MIT; ends with 125 the profile ran for more than 2 s of CPU time
-- A loop within C over what is no table.
local nothing = setmetatable({}, { __index = rawlen, __newindex = type })
table.move(nothing, 1, 2000000000, 2)
