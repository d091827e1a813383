-- SPDX-License-Identifier: MIT; ends with 1 too much data
local text, list = ("x"):rep(1000000), {}
for i = 1, 1000 do list[i] = text end
return container { command = list }
