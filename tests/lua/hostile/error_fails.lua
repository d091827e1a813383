-- SPDX-License-Identifier: MIT; ends with 1 error%(%) with a value that has no text
local object = setmetatable({}, {})
getmetatable(object).__tostring = function() error(object) end
error(object)
