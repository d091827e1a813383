-- SPDX-License-Identifier: MIT
-- profiles.seccomp.ci: default, and what builds and their tests call besides: debuggers, sanitizers, fakeroot.
-- What they trace can only be processes of the same container and user.

local M = { summary = "default, with debuggers and fakeroot", parent = "default" }

M.allow = {
  { "debuggers, strace, leak checkers, sandboxes of test suites", "ptrace process_vm_readv" },
}

-- Rows of common.never that do not hold here. The kernel itself refuses device nodes in a user namespace, with
-- the error that fakeroot and dpkg-deb expect.
M.lift = { "mknod", "mknodat" }

-- gdb and reproducible builds run programs without address randomisation.
M.only = {
  personality = {
    why = "as in default; also without address randomisation, as debuggers want",
    when = { { { 0, "==", 0xffffffff } }, { { 0, "==", 0 } }, { { 0, "==", 8 } }, { { 0, "==", 0x20000 } },
      { { 0, "==", 0x20008 } }, { { 0, "==", 0x40000 } }, { { 0, "==", 0x40008 } } },
  },
}

return M
