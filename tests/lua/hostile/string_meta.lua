-- SPDX-License-Identifier: MIT; ends with 1 attempt to index a boolean value
getmetatable("").__index = function() return "owned" end
