-- SPDX-License-Identifier: MIT; ends with 125 the profile ran for more than 2 s of CPU time
local list = {}
for i = 1, 100000 do list[i] = i end
table.sort(list, function() while true do end end)
