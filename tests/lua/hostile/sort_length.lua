-- SPDX-License-Identifier: MIT; ends with 1 more than 64 MiB
table.sort(setmetatable({}, { __len = function() return 2000000000 end, __index = function() return 1 end }))
