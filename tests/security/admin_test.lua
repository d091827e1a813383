-- SPDX-License-Identifier: MIT
-- A container that keeps CAP_SYS_ADMIN: it may mount, and still undoes nothing that luge mounted.

local A = dofile "tests/security/attack.lua"
local t = A.t

local ADMIN = "seccomp = false, capabilities = { 'sys_admin', 'sys_chroot', 'dac_override', 'setuid', 'setgid' }"
local REMOUNT_RW = "0x1020" -- MS_BIND | MS_REMOUNT, without MS_RDONLY
local BIND = "0x5000" -- MS_BIND | MS_REC

A.each("masks and read-only mounts stay", function(side)
  local dir = side:folder("dir", "0777")
  side:file("dir/file", "as before", "0666")
  local how = { fields = ADMIN, mounts = ("bind { %q, '/d' }, mask { '/usr/share' },"):format(dir) }
  -- It can mount and unmount what is its own.
  local r = side:run(how, "/bin/sh", "-c", "mount -t tmpfs none /tmp && umount /tmp && echo own")
  t.equal(r.stdout, "own\n", r.stderr)
  t.equal(t.run({ "unshare", side.is_root and "-m" or "-rm", "sh", "-c",
    "mount --bind /usr /usr && mount -o remount,bind,ro /usr && mount -o remount,bind,rw /usr && umount -l /usr && echo undone",
    uid = side.uid, cwd = "/" }).stdout, "undone\n", "the attack itself")

  for _, path in ipairs { "/proc/sys", "/proc/keys",
    "/proc/sysrq-trigger", "/sys/firmware", "/usr/share", "/usr", "/d", "/proc" } do
    A.refused(side:try(how, "umount", path), "EINVAL", "EPERM", "ENOENT", "EBUSY")
  end
  for _, path in ipairs { "/", "/usr", "/d", "/proc/sys", "/proc/sysrq-trigger", "/sys", "/etc" } do
    A.refused(side:try(how, "mount", "none", path, "none", REMOUNT_RW), "EPERM", "EINVAL", "ENOENT")
  end
  A.refused(side:try(how, "write", "/d/file", "x"), "EROFS")
  t.equal(t.read(dir .. "/file"), "as before")
end)

A.each("no new view of the kernel without the masks", function(side)
  local how = { fields = ADMIN }
  for _, kind in ipairs { "proc", "sysfs" } do
    A.refused(side:try(how, "mount", "none", "/tmp", kind), "EPERM")
  end
  -- A bind of the tree below a mask brings the mask along, or is refused.
  local r = side:run(how, "/bin/sh", "-c", "mount --rbind /proc /tmp; cat /tmp/keys; mount --bind /proc /tmp; cat /tmp/keys")
  t.equal(r.stdout, "")
  A.refused(side:try(how, "mount", "/proc", "/tmp", "none", "0x1000"), "EINVAL")
  A.works(side:try(how, "mount", "/proc", "/tmp", "none", BIND))
end)

A.each("no way back to the host's root", function(side)
  local how = { fields = ADMIN }
  for _, kind in ipairs { "mnt", "user", "pid", "net" } do
    local got = side:try(how, "setns", "/proc/1/ns/" .. kind)
    t.ok(got.result < 0, kind)
  end
  local marker = side:file("marker", "of the host")
  A.refused(side:try(how, "read", "/proc/1/root" .. marker))
  A.refused(side:try(how, "ptrace", "1"))
end)

A.root("no file system that reaches a disk", function(side)
  for _, kind in ipairs { "ext4", "devtmpfs", "debugfs", "tracefs", "securityfs", "bpf" } do
    local got = side:try({ fields = ADMIN }, "mount", "/dev/vda", "/tmp", kind)
    if kind ~= "bpf" then A.refused(got, "EPERM", "ENODEV", "ENOENT", "ENOTBLK", "EACCES") end
  end
  A.refused(side:try({ fields = ADMIN .. ", namespaces = { cgroup = 'host' }" }, "mount", "none", "/tmp", "cgroup", "0", "memory"))
end)
