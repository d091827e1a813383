-- SPDX-License-Identifier: MIT; ends with 125 pattern.lua: the profile ran for more than 2 s of CPU time
-- A C function that never returns to a hook.
return container { name = string.find(("a"):rep(60), ("a-"):rep(60) .. "b") }
