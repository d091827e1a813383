-- SPDX-License-Identifier: MIT; ends with 1 the profile needs more than 64 MiB of memory
local list = {}
for i = 1, 1000 do list[i] = ("x"):rep(1000000) end
return container { name = pcall(table.concat, list) }
