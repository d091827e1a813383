-- SPDX-License-Identifier: MIT
-- A directory of the host, to be looked at: a bind is read-only unless it says rw. Host paths that are relative
-- start beside the profile, so ".." is the checkout, wherever luge is called.
--
--   $ luge run examples/02-workspace.lua
--   MIT License
--   touch: cannot touch 'new': Read-only file system
return container {
  mounts  = { bind { "..", "/src" } },
  cwd     = "/src",
  command = { "sh", "-c", "head -n 1 LICENSE; touch new || true" },
}
