-- SPDX-License-Identifier: MIT
-- profiles.seccomp.default: an allow-list on which ordinary programs do not notice that there is one: shells,
-- compilers, interpreters, package managers, servers.

local M = { summary = "what ordinary programs call; no kernel administration, no tracing, no new namespaces" }

-- Kept capabilities bring calls back: common.with.
M.heeds_capabilities = true

M.allow = {
  { "files: reading and writing",
    "readv pread64 preadv preadv2 writev pwrite64 pwritev pwritev2 lseek _llseek sendfile sendfile64 copy_file_range "
    .. "splice tee readahead fadvise64 fadvise64_64 arm_fadvise64_64" },
  { "files: descriptors",
    "creat openat2 dup dup2 dup3 fcntl fcntl64 flock pipe pipe2 ioctl memfd_create umask" },
  { "files: size and safety",
    "truncate ftruncate truncate64 ftruncate64 fallocate fsync fdatasync sync syncfs sync_file_range "
    .. "sync_file_range2 cachestat" },
  { "files: what they are", "statx fstat64 stat64 lstat64 fstatat64 statfs statfs64 fstatfs64 faccessat2" },
  { "files: names",
    "getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat "
    .. "symlink symlinkat readlinkat mknod mknodat" },
  { "files: owners, modes, times",
    "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat chown32 fchown32 lchown32 utime utimes futimesat "
    .. "utimensat" },
  { "files: extended attributes",
    "getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat listxattr llistxattr flistxattr "
    .. "listxattrat removexattr lremovexattr fremovexattr removexattrat" },
  { "files: waiting for changes",
    "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch" },

  { "waiting for descriptors",
    "poll ppoll select _newselect pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 "
    .. "eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_gettime" },
  { "asynchronous input and output, the old interface",
    "io_setup io_submit io_getevents io_pgetevents io_cancel io_destroy" },

  { "memory",
    "mmap2 mremap madvise mincore msync mlock mlock2 mlockall munlock munlockall remap_file_pages membarrier mseal "
    .. "map_shadow_stack pkey_alloc pkey_free pkey_mprotect" },
  { "memory: between processes",
    "shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl ipc mq_open mq_unlink "
    .. "mq_timedsend mq_timedreceive mq_notify mq_getsetattr" },

  { "processes", "clone fork vfork execveat unshare wait4 waitid waitpid personality" },
  { "processes: about themselves",
    "getppid getpgid getpgrp getsid setpgid setsid prctl capget capset getcpu getrusage setrlimit times sysinfo "
    .. "get_thread_area set_thread_area get_robust_list ugetrlimit" },
  { "processes: ids",
    "getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid setregid setresuid setresgid "
    .. "setgroups setfsuid setfsgid" },
  { "processes: scheduling",
    "sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam "
    .. "sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval "
    .. "getpriority setpriority ioprio_get ioprio_set" },
  { "threads and their locks", "futex_waitv futex_wait futex_wake futex_requeue" },
  { "processes: by descriptor", "pidfd_open pidfd_send_signal process_mrelease" },

  { "signals",
    "kill tkill tgkill pause alarm rt_sigpending rt_sigqueueinfo rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo "
    .. "sigaltstack" },

  { "time",
    "time gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep getitimer setitimer timer_create "
    .. "timer_delete timer_settime timer_gettime timer_getoverrun" },
  -- Setting needs CAP_SYS_TIME, which no container has over the machine's clock; reading is for everybody.
  { "time: reading how well the clock runs", "adjtimex clock_adjtime" },

  { "sockets; which kinds can be made, `only` says",
    "socketpair bind connect listen accept accept4 shutdown getsockname getpeername getsockopt setsockopt send sendto "
    .. "sendmsg sendmmsg recv recvfrom recvmsg recvmmsg" },

  { "giving up more", "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self" },

  { "other processors", "cacheflush breakpoint set_tls riscv_flush_icache swapcontext" },
}

-- Calls that are allowed with these arguments only.
M.only = {
  socket = {
    why = "local and internet sockets; of netlink only routes and addresses, to be read",
    when = { { { 0, "==", "AF_UNIX" } }, { { 0, "==", "AF_INET" } }, { { 0, "==", "AF_INET6" } },
      { { 0, "==", "AF_NETLINK" }, { 2, "==", "NETLINK_ROUTE" } } },
    -- For other values, from the first to the last that has a meaning: what a kernel without them says, so that
    -- programs go on. Login tools take any other error of the audit socket for a reason to stop.
    otherwise = {
      { errno = "EAFNOSUPPORT", argument = 0, from = "AF_UNSPEC", to = "AF_MCTP" },
      { errno = "EPROTONOSUPPORT", with = { 0, "==", "AF_NETLINK" }, argument = 2, from = 1, to = "NETLINK_CRYPTO" },
    },
  },
  personality = {
    why = "asking, Linux and its 32-bit kind, each also as 2.6: nothing that switches a protection off",
    when = { { { 0, "==", 0xffffffff } }, { { 0, "==", 0 } }, { { 0, "==", 8 } }, { { 0, "==", 0x20000 } },
      { { 0, "==", 0x20008 } } },
  },
}

return M
