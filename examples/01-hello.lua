-- SPDX-License-Identifier: MIT
-- A profile is a Lua file that returns a container. This one says what to run; all the rest is the default: the
-- host's programs, none of its files, no network, nobody else's processes.
--
--   $ luge run examples/01-hello.lua
--   hello from first: I am root here, and process 2
--
-- Words after the profile replace its command:
--
--   $ luge run examples/01-hello.lua -- echo hello yourself
--   hello yourself
return container {
  hostname = "first",
  command  = { "sh", "-c", "echo hello from $(hostname): I am $(id -un) here, and process $$" },
}
