-- SPDX-License-Identifier: MIT; ends with 1 stop: a function is no data
return container { stop = function() end, [{}] = 1 }
