-- SPDX-License-Identifier: MIT
-- On the host: the name is taken, the cgroups are made. Whatever is made here, stopped can take away.
local own = next(container.cgroups) and "yes" or "no"
print(("prepare: %s has 1 cgroup at least: %s"):format(container.name, own))
