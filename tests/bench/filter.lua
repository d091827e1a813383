-- SPDX-License-Identifier: MIT
-- Prints one of the filters of a tier as BPF: filter.lua TIER allow|deny

local seccomp = require "sandbox.plan.seccomp"
local S = require "syscall"

local tier = { base = arg[1], allow = {}, deny = {}, rules = {} }

for _, filter in ipairs(seccomp.filters(tier, { arch = S.uname().machine })) do
  if filter.name == arg[2] then io.write(filter.bpf) end
end
