-- SPDX-License-Identifier: MIT
-- A root that the profile makes: nothing is there but what is written here, and /proc, /sys, /dev and /tmp, of which
-- remove takes one away.
--
--   $ luge run examples/14-made-root.lua
--   bin dev etc lib lib64 proc usr work
--   answer = 42
--   drwx------ /work
return container {
  root    = empty { size = "1M" },
  mounts  = {
    bind { "/usr" },
    symlink { "/bin", "usr/bin" }, symlink { "/lib", "usr/lib" }, symlink { "/lib64", "usr/lib64" },
    file { "/etc/app.conf", text = "answer = 42\n" },
    dir { "/work", mode = "0700" },
    remove "/tmp", remove "/sys",
  },
  command = { "sh", "-c", "echo $(ls /); cat /etc/app.conf; stat -c '%A %n' /work" },
}
