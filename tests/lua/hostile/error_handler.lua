-- SPDX-License-Identifier: MIT; ends with 1 .
local function fails() error("again") end
print(xpcall(fails, fails))
error("over")
