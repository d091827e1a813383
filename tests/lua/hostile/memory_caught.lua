-- SPDX-License-Identifier: MIT; ends with 1 the profile needs more than 64 MiB of memory
-- No pcall swallows this either.
for _ = 1, 100 do
  pcall(function()
    local s = "x"
    while true do s = s .. s end
  end)
end
return container {}
