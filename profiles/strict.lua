-- SPDX-License-Identifier: MIT
-- For a program that nobody trusts: it reads stdin, computes and writes stdout; no sockets, little of everything.
return container {
  description = "An untrusted filter: no sockets, small limits, one minute.",
  user    = "65534:65534",             -- not even root inside
  seccomp = "strict",
  mounts  = { tmpfs { "/tmp", size = "64M", flags = "noexec" } },
  limits  = {
    wall          = "1m",
    processes     = 64,
    open_files    = 256,
    file_size     = "256M",
    address_space = "2G",
    locked_memory = 0,
    core          = 0,
  },
}
