-- SPDX-License-Identifier: MIT
-- syscall: the kernel's calls as Lua functions. C gives one thin function per call; here they become
-- methods of descriptors, and the few that are better said in Lua are added.

local S = require "syscall.core"

return S
