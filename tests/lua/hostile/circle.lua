-- SPDX-License-Identifier: MIT; ends with 1 limits.self: the table contains itself
local limits = {}
limits.self = limits
return container { limits = limits }
