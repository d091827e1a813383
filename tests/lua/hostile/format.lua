-- SPDX-License-Identifier: MIT; ends with 1 invalid format
print(string.format("%s %s %s", print, {}, function() end))
return container { name = string.format("%999d", 1) }
