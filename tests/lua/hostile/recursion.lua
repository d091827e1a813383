-- SPDX-License-Identifier: MIT; ends with 1 recursion.lua:%d+: .
-- Either the stack or the memory ends; both are said.
local function deep(n) return 1 + deep(n + 1) end
return container { name = deep(1) }
