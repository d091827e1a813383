-- SPDX-License-Identifier: MIT; ends with 1 memory.lua:4: the profile needs more than 64 MiB of memory
local list = {}
for i = 1, 100000000 do
  list[i] = { i }
end
