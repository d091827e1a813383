-- SPDX-License-Identifier: MIT
-- For a static program that only computes: an empty root, some fifty system calls, no children.
-- Put the program in: luge run --bind $PWD/solve:/solve compute -- /solve
return container {
  description = "A static program in an empty root: read, write, memory, time and exit.",
  user    = "65534:65534",
  root    = empty { size = "16M" },
  seccomp = "compute",
  limits  = {
    wall       = "10m",
    open_files = 64,
    file_size  = "16M",
    core       = 0,
  },
}
