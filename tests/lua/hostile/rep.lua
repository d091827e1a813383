-- SPDX-License-Identifier: MIT; ends with 1 rep.lua:2: the profile needs more than 64 MiB of memory
local ok, text = pcall(string.rep, "x", 1000000000)
return container { name = ok and text }
