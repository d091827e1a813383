-- SPDX-License-Identifier: MIT; ends with 125 gsub.lua: the profile ran for more than 2 s of CPU time
-- Within C, in a callback of C, within a pcall.
local text = ("x"):rep(50000)
print(pcall(string.gsub, text, ".+", function(all) return pcall(string.gsub, all, ".-.-.-.-y", "") end))
