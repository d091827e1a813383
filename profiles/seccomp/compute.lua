-- SPDX-License-Identifier: MIT
-- profiles.seccomp.compute: one program that reads, computes, writes and ends; threads, but no second process.
-- For code of which nothing is known but what it should calculate.

local M = { summary = "one computing program with threads: read, write, memory, time, exit" }

M.allow = {
  { "reading and writing", "readv writev pwrite64 lseek _llseek" },
  -- The runtimes of Rust and Go look whether descriptors 0 to 2 are open, and give up on any error but a closed one.
  { "looking at its descriptors", "fcntl fcntl64 poll" },
  { "memory", "mmap2 mremap madvise sysinfo" },
  { "giving way to other threads", "sched_yield sched_getaffinity" },
  { "signals to itself", "tgkill sigaltstack" },
  { "time", "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday" },
}

M.deny = {
  { "other processes", "fork vfork kill" },
  { "sockets", "socket socketpair bind connect listen accept accept4 sendto sendmsg recvfrom recvmsg" },
}

M.only = {
  clone = { why = "threads", when = { { { 0, "&", "CLONE_THREAD" } } } },
  ioctl = {
    why = "is it a terminal, how wide; the last is TCGETS2, which glibc asks since 2.42",
    when = { { { 1, "==", "TCGETS" } }, { { 1, "==", "TIOCGWINSZ" } }, { { 1, "==", 0x802c542a } } },
  },
}

return M
