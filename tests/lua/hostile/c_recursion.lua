-- SPDX-License-Identifier: MIT; ends with 1 C stack overflow
local function deep() return ("x"):gsub("x", deep) end
deep()
