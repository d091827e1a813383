-- SPDX-License-Identifier: MIT
-- What an automatic build or test needs: debuggers and fakeroot work, it ends in time, it leaves no core files.
-- As a parent: return container { profile "ci", command = { "make", "test" }, mounts = { bind { host.cwd, "/src" } } }
return container {
  description = "Builds and tests: ptrace allowed, ten minutes at most.",
  seccomp = "ci",
  env     = { "CI", "CI_*" },          -- those that the host has
  limits  = {
    wall       = "10m",                -- then TERM, KILL after stop.grace, and exit code 124
    pids       = optional(512),        -- without a cgroup for it, as a limit of the user's processes
    open_files = 4096,
    file_size  = "4G",
    core       = 0,
  },
}
