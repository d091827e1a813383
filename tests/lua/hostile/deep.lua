-- SPDX-License-Identifier: MIT; ends with 1 more than 64 tables within tables
local list = {}
for _ = 1, 10000 do list = { list } end
return container { mounts = list }
