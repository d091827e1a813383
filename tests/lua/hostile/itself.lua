-- SPDX-License-Identifier: MIT; ends with 1 itself.lua needs itself
return profile "./itself.lua"
