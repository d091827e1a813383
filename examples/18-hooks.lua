-- SPDX-License-Identifier: MIT
-- Scripts around a container. They have the syscall layer, as under luge lua, and are told of the container by the global
-- `container`. prepare runs on the host before anything is made, guest inside as the container's root before it is
-- sealed, started on the host when the command runs, stopped when it has ended. An error in one of the first three stops
-- the start; each has its time. They are trusted code: luge check --pure refuses a profile with any.
--
--   $ luge run --name hooked examples/18-hooks.lua
--   prepare: hooked has 1 cgroup at least: …
--   the guest's host name is made-by-a-hook
--   stopped: exit, code 4
--   [exit code 4, reason exit]
--   $ luge check --pure examples/18-hooks.lua
--   luge: examples/18-hooks.lua: it has hooks, which run on the host
--         = without --pure they are accepted
--   [exit code 1]
return container {
  command = { "sh", "-c", "echo the guest\\'s host name is $(uname -n); exit 4" },
  hooks = {
    prepare = "18-hooks/prepare.lua",
    guest   = "18-hooks/guest.lua",
    started = "18-hooks/started.lua",
    stopped = "18-hooks/stopped.lua",
    timeout = "10s",
  },
}
