-- SPDX-License-Identifier: MIT
-- profiles.seccomp.common: what every seccomp tier holds. A call that no list names answers ENOSYS: programs take
-- it for an older kernel and fall back. Comparisons: "==" compares the low 32 bits (the program chooses the upper
-- half of the register, the kernel ignores it), "&" asks whether the bits are all set.

local M = {}

-- Calls of the stage between the filters' load and the first instruction of the command, of both dynamic
-- loaders, and of the C libraries' start and end. Without one of them nothing can run.
M.start = {
  { "exec and exit", "execve exit exit_group" },
  { "what the stage still does: its report, its wait for the go-ahead, closing", "read write close close_range" },
  { "mapping the program and its libraries",
    "open openat access faccessat readlink pread64 fstat stat lstat newfstatat fstatfs mmap mprotect munmap brk" },
  { "static programs of glibc before 2.37 end without it", "uname" },
  { "thread setup of the C library",
    "arch_prctl set_tid_address set_robust_list rseq prlimit64 getrlimit getrandom futex gettid getpid" },
  { "returning from a signal, going on after a stop", "rt_sigreturn rt_sigaction rt_sigprocmask restart_syscall" },
}

-- Known to be dangerous or useless in a container: EPERM, "not allowed", where ENOSYS says "not there".
M.deny = {
  { "loads code into the kernel", "bpf create_module delete_module finit_module init_module" },
  { "replaces or stops the kernel", "kexec_file_load kexec_load reboot" },
  { "changes what is mounted",
    "fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree open_tree_attr pivot_root umount umount2" },
  { "changes the root directory", "chroot" },
  { "enters other namespaces", "setns" },
  { "reads or steers other processes",
    "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace" },
  { "an interface of its own to most of the kernel, past this filter",
    "io_uring_enter io_uring_register io_uring_setup" },
  { "keys are not divided among containers", "add_key keyctl request_key" },
  { "freezes the kernel in the middle of a copy: the favourite tool of exploits", "userfaultfd" },
  { "sees other processes and the kernel", "perf_event_open lookup_dcookie" },
  { "reaches files by number, past every path", "name_to_handle_at open_by_handle_at" },
  { "watches or decides over whole file systems", "fanotify_init fanotify_mark quotactl quotactl_fd" },
  { "swap and accounting of the machine", "acct swapoff swapon" },
  { "the machine's clock and name", "clock_settime settimeofday stime setdomainname sethostname" },
  { "the machine's log and consoles", "syslog vhangup" },
  { "ports and segments of the processor", "ioperm iopl modify_ldt" },
  { "placement in memory: large, rarely used, often broken",
    "get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node" },
  { "gives pages away to a pipe, where others may change them", "vmsplice" },
  { "long obsolete", "_sysctl nfsservctl uselib ustat" },
}

-- Calls that a kept capability brings back: the kernel still asks for the capability each time.
M.with = {
  sys_admin = "fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree open_tree_attr pivot_root "
    .. "umount umount2 setns sethostname setdomainname quotactl quotactl_fd fanotify_init fanotify_mark",
  sys_chroot = "chroot",
  sys_ptrace = "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
  sys_nice = "get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node",
  sys_time = "clock_settime settimeofday stime",
  sys_pacct = "acct",
  sys_boot = "reboot kexec_load kexec_file_load",
  sys_module = "delete_module finit_module init_module",
  sys_rawio = "ioperm iopl",
  sys_tty_config = "vhangup",
  dac_read_search = "name_to_handle_at open_by_handle_at",
  syslog = "syslog",
  bpf = "bpf",
  perfmon = "perf_event_open",
}

-- Argument values that are refused wherever the call itself is allowed. `unless`: a kept capability lifts the row.
M.never = {
  { "clone unshare", why = "a user namespace gives every capability inside, and with them most of the kernel",
    when = { { { 0, "&", "CLONE_NEWUSER" } } } },
  { "clone unshare", why = "other new namespaces", unless = "sys_admin",
    when = { { { 0, "&", "CLONE_NEWNS" } }, { { 0, "&", "CLONE_NEWCGROUP" } }, { { 0, "&", "CLONE_NEWUTS" } },
      { { 0, "&", "CLONE_NEWIPC" } }, { { 0, "&", "CLONE_NEWPID" } }, { { 0, "&", "CLONE_NEWNET" } } } },
  -- The bit is part of the exit signal where clone(2) is meant.
  { "unshare", why = "a new time namespace", unless = "sys_admin", when = { { { 0, "&", "CLONE_NEWTIME" } } } },
  { "ioctl", why = "types into the terminal of whoever started the container",
    when = { { { 1, "==", "TIOCSTI" } }, { { 1, "==", "TIOCLINUX" } } } },
  { "ioctl", why = "loads line disciplines, drivers that no container needs",
    when = { { { 1, "==", "TIOCSETD" } } } },
  { "mknod", why = "device nodes", unless = "mknod",
    when = { { { 1, "&", "S_IFCHR", "S_IFMT" } }, { { 1, "&", "S_IFBLK", "S_IFMT" } } } },
  { "mknodat", why = "device nodes", unless = "mknod",
    when = { { { 2, "&", "S_IFCHR", "S_IFMT" } }, { { 2, "&", "S_IFBLK", "S_IFMT" } } } },
}

-- Added where a writable idmapped mount shows files of the host's root: a set-id program made there would be
-- one on the host. The mode of open counts only with the flags that create; without them it may be rubbish.
local function mode_bits(argument, flags)
  local when = {}
  for _, bit in ipairs { "S_ISUID", "S_ISGID" } do
    if flags then
      when[#when + 1] = { { flags, "&", "O_CREAT" }, { argument, "&", bit } }
      when[#when + 1] = { { flags, "&", "O_TMPFILE" }, { argument, "&", bit } }
    else
      when[#when + 1] = { { argument, "&", bit } }
    end
  end
  return when
end

M.setid = {
  { "chmod fchmod creat mknod", why = "set-id files", when = mode_bits(1) },
  { "fchmodat fchmodat2 mknodat", why = "set-id files", when = mode_bits(2) },
  { "open", why = "set-id files", when = mode_bits(2, 1) },
  { "openat", why = "set-id files", when = mode_bits(3, 2) },
  { "openat2", why = "its mode lies behind a pointer, which a filter cannot read", errno = "ENOSYS", when = { {} } },
  { "io_uring_setup", why = "it opens files too, with modes that no filter sees", when = { {} } },
}

return M
