-- SPDX-License-Identifier: MIT
-- profiles.seccomp.strict: filters and tools that read, transform and write files, alone or in pipelines: no
-- socket but a pair, no shared memory between processes, no change of ids, no clock or scheduler to turn.

local M = { summary = "tools and pipelines over files; no sockets but pairs, no ids, no shared memory" }

M.allow = {
  { "files: reading and writing",
    "readv writev pwrite64 lseek _llseek sendfile copy_file_range fadvise64 fadvise64_64" },
  { "files: descriptors", "creat dup dup2 dup3 fcntl fcntl64 flock pipe pipe2 ioctl umask" },
  { "files: size and safety", "truncate ftruncate fallocate fsync fdatasync" },
  { "files: what they are", "statx fstat64 stat64 lstat64 fstatat64 statfs statfs64 fstatfs64 faccessat2" },
  { "files: names",
    "getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat "
    .. "symlink symlinkat readlinkat" },
  { "files: modes and times; the owner stays", "chmod fchmod fchmodat fchmodat2 utimes utimensat" },
  { "files: extended attributes, to be read", "getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr" },

  { "waiting for descriptors",
    "poll ppoll select _newselect pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2" },

  { "memory", "mmap2 mremap madvise msync membarrier" },

  { "processes", "clone fork vfork wait4 waitid" },
  { "processes: about themselves",
    "getppid getpgid getpgrp getsid setpgid setsid getcpu getrusage setrlimit times sysinfo" },
  { "processes: ids, to be read",
    "getuid geteuid getgid getegid getresuid getresgid getgroups" },
  { "processes: scheduling, to be read and given way to", "sched_yield sched_getaffinity getpriority" },
  { "threads and their locks", "futex_waitv" },

  { "signals", "kill tgkill pause alarm rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack" },

  { "time",
    "time gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep getitimer setitimer" },

  { "a pair of connected sockets, which leads nowhere else",
    "shutdown getsockname getpeername getsockopt sendto sendmsg recvfrom recvmsg" },
}

M.deny = {
  { "sockets to anywhere", "socket bind connect listen accept accept4 setsockopt" },
  { "changes of ids and capabilities",
    "setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset" },
  { "owners and kinds of files", "chown fchown lchown fchownat mknod mknodat" },
}

M.only = {
  socketpair = { why = "local pairs", when = { { { 0, "==", "AF_UNIX" } } } },
  prctl = {
    why = "a thread's name and bounds on itself",
    when = { { { 0, "==", "PR_SET_NAME" } }, { { 0, "==", "PR_GET_NAME" } }, { { 0, "==", "PR_SET_VMA" } },
      { { 0, "==", "PR_SET_PDEATHSIG" } }, { { 0, "==", "PR_GET_DUMPABLE" } }, { { 0, "==", "PR_SET_DUMPABLE" } },
      { { 0, "==", "PR_CAPBSET_READ" } }, { { 0, "==", "PR_SET_NO_NEW_PRIVS" } },
      { { 0, "==", "PR_GET_NO_NEW_PRIVS" } } },
  },
}

return M
