-- SPDX-License-Identifier: MIT; ends with 125 the profile ran for more than 2 s of CPU time
-- No pcall swallows the end.
while true do
  pcall(function() while true do end end)
  xpcall(function() while true do end end, function() while true do end end)
end
