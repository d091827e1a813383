-- SPDX-License-Identifier: MIT; ends with 0 good
-- An order that is none gives some order, the same each time.
local list = {}
for i = 1, 1000 do list[i] = i * 7919 % 1009 end
table.sort(list, function(a, b) return (a * b) % 3 > 0 end)
return container { name = table.concat(list, ",") }
