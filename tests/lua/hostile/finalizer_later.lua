-- SPDX-License-Identifier: MIT; ends with 0 good
-- Added afterwards, a finalizer does nothing, in Lua as here.
for _ = 1, 1000 do
  local meta = {}
  setmetatable({}, meta)
  meta.__gc = function() while true do end end
end
return container {}
