-- SPDX-License-Identifier: MIT; ends with 1 cannot change a protected table
local ok = pcall(function() _ENV.print = nil end)
assert(not ok)
assert(not pcall(setmetatable, _ENV, {}))
rawset(_ENV, "container", print)
