-- SPDX-License-Identifier: MIT; ends with 125 loop.lua:4: the profile ran for more than 2 s of CPU time
-- The line of the loop is named.

while true do end
