-- SPDX-License-Identifier: MIT; ends with 1 too much data
-- Small as a graph, endless as a tree.
local list = { "x" }
for _ = 1, 60 do list = { list, list } end
return container { command = list }
