-- SPDX-License-Identifier: MIT; ends with 1 finalizer.lua:2: a profile has no __gc
setmetatable({}, { __gc = function() while true do end end })
