-- SPDX-License-Identifier: MIT
-- Gaps of the system call filter: each call first works with `seccomp = false`, then not with the default tier.

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

local NONE = { fields = "seccomp = false" }
local NEWUSER, NEWNS, NEWNET = "0x10000000", "0x20000", "0x40000000"

-- works: how it looks when the kernel itself answers; an errno where the call got as far as its arguments.
local function gap(name, probe, works, ...)
  local errors = table.pack(...)
  A.each(name, function(side)
    local without = side:try(NONE, table.unpack(probe))
    if works then t.equal(without.errno, works, "without the filter") else A.works(without) end
    for _, tier in ipairs { "default", "ci", "strict" } do
      A.refused(side:try({ fields = ("seccomp = %q"):format(tier) }, table.unpack(probe)), table.unpack(errors))
    end
  end)
end

local function number(name)
  return tostring(t.must(S.seccomp_resolve(name)))
end

gap("no new user namespace by unshare", { "unshare", NEWUSER }, nil, "EPERM", "ENOSYS")
gap("no new user namespace by clone", { "clone", NEWUSER }, nil, "EPERM")
gap("no new user namespace by clone with high bits", { "clone", "0x500000010000000" }, nil, "EPERM")
gap("no new user namespace by unshare with others", { "unshare", "0x10020000" }, nil, "EPERM", "ENOSYS")
gap("clone3, whose flags no filter sees, is not there", { "clone3", NEWUSER }, nil, "ENOSYS")
gap("no io_uring", { "syscall", number "io_uring_setup", "1", "0" }, "EFAULT", "EPERM", "ENOSYS")
gap("no bpf", { "syscall", number "bpf", "999", "0", "0" }, "EINVAL", "EPERM", "ENOSYS")
gap("no userfaultfd", { "syscall", number "userfaultfd", "1" }, nil, "EPERM", "ENOSYS")
gap("no keyctl", { "syscall", number "keyctl", "0", "-3", "0" }, nil, "EPERM", "ENOSYS")
gap("no add_key", { "syscall", number "add_key", "s:user", "s:luge-test", "s:x", "1", "-3" }, nil, "EPERM", "ENOSYS")
gap("no request_key", { "syscall", number "request_key", "s:user", "s:none", "0", "0" }, "ENOKEY", "EPERM", "ENOSYS")
gap("no perf_event_open", { "syscall", number "perf_event_open", "0", "0", "-1", "-1", "0" }, "EFAULT", "EPERM", "ENOSYS")
gap("no name_to_handle_at", { "syscall", number "name_to_handle_at", "-100", "s:/", "0", "0", "0" }, "EFAULT", "EPERM",
  "ENOSYS")
gap("no memfd_secret", { "syscall", number "memfd_secret", "99" }, "EINVAL", "EPERM", "ENOSYS")
gap("no modify_ldt", { "syscall", number "modify_ldt", "0", "0", "0" }, nil, "EPERM", "ENOSYS")
gap("no fanotify", { "syscall", number "fanotify_init", "0x200", "0" }, nil, "EPERM", "ENOSYS")
gap("no netlink socket but of routes", { "socket", "16", "3", "9" }, nil, "EPROTONOSUPPORT", "EPERM", "ENOSYS")

A.each("no ptrace but with the ci tier", function(side)
  A.works(side:try(NONE, "ptrace-child"))
  A.works(side:try({ fields = "seccomp = 'ci'" }, "ptrace-child"))
  A.refused(side:try({}, "ptrace-child"), "EPERM", "ENOSYS")
  A.refused(side:try({ fields = "seccomp = 'strict'" }, "ptrace-child"), "EPERM", "ENOSYS")
end)

-- 32-bit calls have numbers of their own: a filter that does not look at the ABI lets clone pass as something else.
A.each("the 32-bit gate kills", function(side)
  t.needs_ia32()
  A.works(side:try(NONE, "int80", "20"), "getpid by int 0x80")
  for _, tier in ipairs { "default", "ci", "strict" } do
    local r = side:run({ fields = ("seccomp = %q"):format(tier) }, "/guest", "try", "int80", "20")
    t.equal(r.code, 159, tier)
  end
end)

-- Without x32 in the kernel the call itself fails (ENOSYS); the filter must still not see it as a call of its own.
A.each("an x32 number kills", function(side)
  t.ok(side:try(NONE, "syscall", "0x40000027"))
  local r = side:run({}, "/guest", "try", "syscall", "0x40000027")
  t.equal(r.code, 159)
end)

A.each("the death is reported as the filter's", function(side)
  local r = side:run({ report = true }, "/guest", "try", "syscall", "0x40000027")
  t.equal(r.report.reason, "seccomp")
end)

-- ---- typing into a terminal (CVE-2017-5226, CVE-2023-28100) ----

local TIOCSTI, TIOCLINUX, TIOCSETD = "0x5412", "0x541c", "0x5423"

A.each("TIOCSTI and TIOCLINUX are denied, whatever the upper half", function(side)
  local without = side:try(NONE, "own-terminal", TIOCSTI, "1")
  -- A kernel may refuse it itself (dev.tty.legacy_tiocsti = 0: EIO); the filter must answer before it.
  t.ok(without.result == 0 or without.errno == "EIO", tostring(without.errno))
  t.equal(side:try(NONE, "own-terminal", TIOCLINUX).errno, "ENOTTY")
  for _, high in ipairs { "0", "1", "0x80000000", "0xffffffff" } do
    for _, request in ipairs { TIOCSTI, TIOCLINUX, TIOCSETD } do
      for _, tier in ipairs { "default", "ci" } do
        A.refused(side:try({ fields = ("seccomp = %q"):format(tier) }, "own-terminal", request, high), "EPERM")
      end
    end
  end
end)

-- A terminal of the host: its master, and what makes it a child's controlling one and standard input.
local function terminal()
  local master = t.must(S.open("/dev/ptmx", "rdwr, noctty, cloexec"))
  t.must(S.unlockpt(master))
  local slave = t.must(S.open(t.must(S.ptsname(master)), "rdwr, noctty, cloexec"))
  return master, function()
    S.setsid()
    S.ioctl(slave, 0x540E, 0) -- TIOCSCTTY
    S.dup3(slave, 0)
  end
end

A.each("the caller's terminal is not the container's to type into", function(side)
  local master, own = terminal()
  local without = side:try_outside({ before = own }, "tiocsti")
  t.ok(without.result == 0 or without.errno == "EIO", tostring(without.errno))
  -- Also without the filter: it is nobody's controlling terminal inside.
  A.refused(side:try({ before = own, fields = "seccomp = false" }, "tiocsti"))
  A.refused(side:try({ before = own, fields = "seccomp = false, init = false" }, "tiocsti"))
  A.refused(side:try({ before = own }, "tiocsti", "1"), "EPERM")
  t.equal(side:facts({ before = own }).has_tty, false)
  master:close()
end)

-- ---- more namespaces ----

A.each("no mount, network or other namespace", function(side)
  for _, flag in ipairs { NEWNS, NEWNET, "0x4000000", "0x8000000", "0x20000000", "0x2000000" } do
    local keeps = "capabilities = { 'sys_admin' }"
    A.works(side:try({ fields = keeps .. ", seccomp = false" }, "unshare", flag), "unshare " .. flag)
    A.refused(side:try({}, "unshare", flag), "EPERM")
    A.refused(side:try({}, "clone", flag), "EPERM")
    A.refused(side:try(NONE, "unshare", flag), "EPERM")
  end
end)
