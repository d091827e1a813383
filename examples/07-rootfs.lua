-- SPDX-License-Identifier: MIT
-- A root directory of one's own, here with little in it; debootstrap and the like fill others. It stays as it is: what
-- a mount needs (/usr, /proc …) is made in the container's view alone.
--
--   $ luge run examples/07-rootfs.lua
--   the root directory of an example
--   sh: 1: cannot create /etc/new: Read-only file system
--   $ ls examples/07-root
--   etc
return container {
  root    = "07-root",                             -- or { "07-root", overlay = "discard" }, or { …, rw = true }
  mounts  = {
    bind { "/usr" },                               -- the programs are the host's all the same
    symlink { "/bin", "usr/bin" }, symlink { "/lib", "usr/lib" }, symlink { "/lib64", "usr/lib64" },
  },
  command = { "sh", "-c", "cat /etc/motd; echo new > /etc/new || true" },
}
