-- SPDX-License-Identifier: MIT
-- What the machine of `make vm` has beside luge and its tests: programs and files of this machine, with the
-- libraries they need, and the kernel's modules. A test that misses something gets it by a word here.

return {
  programs = {
    -- coreutils
    "cat", "chmod", "chown", "chroot", "cp", "cut", "dd", "df", "echo", "env", "false", "head", "id", "ln", "ls", "mkdir",
    "mkfifo", "mknod", "mktemp", "mv", "nproc", "od", "paste", "printf", "pwd", "readlink", "realpath", "rm", "rmdir",
    "seq", "sleep", "sort", "stat", "stty", "sync", "tail", "tee", "test", "timeout", "touch", "tr", "true", "truncate",
    "tty",
    "uname", "uniq", "wc", "whoami", "yes",
    -- other essential packages
    "awk", "bash", "diff", "find", "grep", "hostname", "sed", "sh", "tar", "xargs",
    -- util-linux, and what the tests ask of others
    "findmnt", "flock", "getopt", "ip", "losetup", "mkfs.ext4", "mount", "nft", "newgidmap", "newuidmap", "nsenter",
    "prlimit", "setpriv", "setsid", "swapon", "tc", "umount", "unshare",
  },
  -- A name ending in "/" is all that lies below.
  files = {
    "/bin/sh", "/etc/group", "/etc/nsswitch.conf", "/etc/passwd", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d/",
    "/etc/os-release", "/etc/protocols", "/usr/lib/locale/C.utf8/",
  },
  modules = {
    "virtio_pci", "virtio_blk", "overlay", "fuse", "loop", "tun", "veth", "bridge", "nf_tables", "macvlan", "8021q", "dummy",
    "vxlan", "ifb",
    "nft_chain_nat", "nft_ct", "nft_fib_inet", "nft_fib_ipv4", "nft_fib_ipv6", "nft_fwd_netdev", "nft_limit", "nft_log",
    "nft_masq", "nft_meta_bridge", "nft_nat", "nft_objref", "nft_redir", "nft_reject_inet", "nft_reject_ipv4", "nft_reject_ipv6",
    "nf_log_syslog", "nfnetlink_log", "nf_conntrack_netlink",
    "sch_tbf", "sch_htb", "sch_ingress", "cls_u32", "act_mirred",
  },
}
