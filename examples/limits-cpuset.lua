-- SPDX-License-Identifier: MIT
-- The CPUs that its programs may run on. limits.affinity says the same to the first program, which may change it;
-- limits.cpuset is the kernel's word, and out of it no program comes.
--
--   $ luge run examples/limits-cpuset.lua
--   Cpus_allowed_list:	0
return container {
  command = { "grep", "Cpus_allowed_list", "/proc/self/status" },
  limits  = { cpuset = "0" },
}
