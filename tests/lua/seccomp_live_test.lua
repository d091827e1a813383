-- SPDX-License-Identifier: MIT
-- The seccomp tiers in force: programs that must work under them, and calls that must not, each first made
-- without the filters to show that the refusal is theirs. Loading needs no privilege, and no namespace is made.

local S = require "syscall"
local t = dofile "tests/integration/harness.lua"
local seccomp = require "sandbox.plan.seccomp"

local NATIVE_X86 = S.seccomp_resolve "read" == 0

-- What the stage does, in the child, before exec.
local function wear(spec, options)
  local filters = seccomp.filters(spec, options)
  return function()
    assert(S.prctl("set_no_new_privs", 1))
    for _, filter in ipairs(filters) do assert(S.seccomp_load(filter.bpf)) end
  end
end

local function try(before, call, ...)
  local words = { "guest", "try", "syscall", tostring(S.seccomp_resolve(call)), before = before }
  for _, argument in ipairs { ... } do words[#words + 1] = tostring(argument) end
  local answer = t.decoded(words)
  return answer.result >= 0 and "ok" or answer.errno
end

-- ---- calls ----

-- Inside a container whose own filter refuses as much, a call without ours shows nothing.
local filtered = t.read("/proc/self/status"):match "\nSeccomp:%s*(%d)" == "2"

local function refused(spec, errno, call, ...)
  if not filtered then
    t.ok(try(nil, call, ...) ~= errno, ("%s answers %s without a filter too"):format(call, errno))
  end
  t.equal(try(wear(spec), call, ...), errno, call)
end

local HIGH = 1 << 32

t.test("ptrace is refused by default and possible under ci", function()
  local traceme = 0
  refused("default", "EPERM", "ptrace", traceme)
  t.equal(try(wear "ci", "ptrace", traceme), "ok")
end)

t.test("an unknown call and clone3 are not there", function()
  t.equal(t.decoded { "guest", "try", "syscall", "599", before = wear "default" }.errno, "ENOSYS")
  -- 0 bytes of arguments: EINVAL where the call exists.
  refused("default", "ENOSYS", "clone3", 0, 0)
end)

t.test("TIOCSTI is refused whatever the upper half of the request holds", function()
  for _, request in ipairs { 0x5412, HIGH | 0x5412, -1 << 32 | 0x5412, 0x541c, HIGH | 0x541c } do
    for _, tier in ipairs { "default", "ci", "strict" } do refused(tier, "EPERM", "ioctl", 0, request, "s:x") end
  end
end)

t.test("new namespaces are refused, a private umask and directory are not", function()
  for _, flags in ipairs { 0x10000000, 0x10020000, HIGH | 0x10000000 } do
    t.equal(try(wear "default", "unshare", flags), "EPERM")
  end
  t.equal(try(wear "default", "unshare", S.c.CLONE.FS), "ok")
  t.equal(try(wear "default", "clone", 0x10000000 | 17), "EPERM")
end)

t.test("sockets of other families are as if the kernel had none", function()
  local dgram = 2
  t.equal(try(wear "default", "socket", 40, dgram, 0), "EAFNOSUPPORT")
  t.equal(try(wear "default", "socket", HIGH | 40, dgram, 0), "EAFNOSUPPORT")
  t.equal(try(wear "default", "socket", 16, 3, 9), "EPROTONOSUPPORT")
  for _, family in ipairs { 1, 2, 10 } do
    t.equal(try(wear "default", "socket", family, dgram, 0), try(nil, "socket", family, dgram, 0))
  end
  t.equal(try(wear "default", "socket", 16, 3, 0), "ok")
  refused("strict", "EPERM", "socket", 1, dgram, 0)
end)

t.test("doors to the kernel stay closed", function()
  refused("default", "EPERM", "io_uring_setup", 0, 0)
  refused("default", "EPERM", "keyctl", 0, -3, 0)
  refused("ci", "EPERM", "add_key", 0, 0, 0, 0, 0)
  t.equal(try(wear "ci", "bpf", 0, 0, 0), "EPERM")
  t.equal(try(wear "ci", "mount", "s:none", "s:/nonexistent", "s:tmpfs", 0, 0), "EPERM")
  t.equal(try(wear "default", "open_by_handle_at", 0, 0, 0), "EPERM")
  t.equal(try(wear "default", "userfaultfd", 0), "EPERM")
  t.equal(try(wear "default", "perf_event_open", 0, 0, 0, 0, 0), "EPERM")
end)

t.test("the set-id guard refuses the bits, by every way in", function()
  local dir = t.dir()
  local before = wear("default", nil)
  local guarded = wear("default", { setid_guard = true })
  local path = t.write(dir .. "/f", "", "0644")
  if not filtered then t.equal(try(before, "fchmodat", -100, "s:" .. path, 2541), "ok") end
  t.equal(try(guarded, "fchmodat", -100, "s:" .. path, 2541), "EPERM")
  t.equal(try(guarded, "fchmodat", -100, "s:" .. path, 493), "ok")
  t.equal(try(guarded, "openat", -100, "s:" .. dir .. "/g", 0x42, 2541), "EPERM")
  t.equal(try(guarded, "openat", -100, "s:" .. path, 0, 2541), "ok")
  t.equal(try(guarded, "mknodat", -100, "s:" .. dir .. "/h", 0x8000 | 1517, 0), "EPERM")
  t.equal(try(guarded, "openat2", -100, "s:" .. path, 0, 0), "ENOSYS")
end)

local function killed(...)
  local sigsys = 31
  for _, tier in ipairs(seccomp.TIERS) do
    t.equal(t.run { "guest", "try", before = wear(tier), ... }.signal, sigsys, tier)
  end
end

t.test("the 32-bit gate kills the process", function()
  if not NATIVE_X86 then return end
  t.needs_ia32()
  local getpid = 20
  killed("int80", tostring(getpid))
end)

t.test("an x32 number kills the process", function()
  if not NATIVE_X86 then return end
  killed("syscall", tostring(0x40000000 | 39))
end)

-- ---- programs ----

local function sh(script, before)
  return { "sh", "-c", script, before = before, cwd = t.dir(), timeout = 120 }
end

local function has(program)
  for dir in os.getenv("PATH"):gmatch "[^:]+" do
    if S.access(dir .. "/" .. program, "x") then return true end
  end
  return false
end

local function needs_compiler()
  if not has "cc" then t.skip "no-compiler: no cc in PATH" end
end

local PIPELINE = "i=0; while [ $i -lt 200 ]; do echo $i; i=$((i + 1)); done | sort -rn "
  .. "| awk '{ s += $1 } END { print s }' | cat | tee out && mkfifo p && (cat p & echo x > p; wait) "
  .. "&& ls -l out | wc -l && rm out p"

local PROGRAM = [[
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static void *half(void *from)
{
	double *sum = calloc(1, sizeof(*sum));
	for (long k = (long)from; k < 2000000; k += 2)
		*sum += (k & 1 ? -4.0 : 4.0) / (2.0 * k + 1);
	return sum;
}
int main(void)
{
	pthread_t even, odd;
	void *a, *b;
	if (pthread_create(&even, NULL, half, (void *)0) || pthread_create(&odd, NULL, half, (void *)1))
		return 1;
	pthread_join(even, &a);
	pthread_join(odd, &b);
	printf("%.4f\n", *(double *)a + *(double *)b);
	return 0;
}
]]

for _, tier in ipairs { "default", "ci", "strict" } do
  t.test("a shell pipeline runs under " .. tier, function()
    local script = PIPELINE
    if tier == "strict" then script = PIPELINE:gsub(" && mkfifo.-wait%)", ""):gsub("rm out p", "rm out") end
    t.contains(t.succeed(sh(script, wear(tier))).stdout, "19900\n")
  end)
end

for _, tier in ipairs { "default", "ci" } do
  t.test("compilers, make and interpreters run under " .. tier, function()
    needs_compiler()
    local before = wear(tier)
    local command = sh("cc -O1 -pthread -o pi pi.c && ./pi && printf 'all:\\n\\t@echo made\\n' > m && make -f m",
      before)
    t.write(command.cwd .. "/pi.c", PROGRAM)
    t.equal(t.succeed(command).stdout, "3.1416\nmade\n")
    for program, script in pairs {
      perl = "perl -MSocket -e 'socketpair(A, B, AF_UNIX, SOCK_STREAM, 0) or die; print `echo ok`'",
      python3 = "python3 -c 'import subprocess, threading, socket; socket.socket(); "
        .. "threading.Thread(target=int).start(); print(subprocess.check_output([\"echo\", \"ok\"]).decode())'",
      git = "git init -q . && git -c user.name=a -c user.email=a commit -q --allow-empty -m ok && git log --format=%s",
      ["apt-get"] = "apt-get --version > /dev/null && dpkg -l > /dev/null && echo ok",
      bash = "bash -c 'cat <(echo ok)'",
    } do
      if has(program) then t.contains(t.succeed(sh(script, before)).stdout, "ok\n", program) end
    end
  end)
end

t.test("fakeroot and a debugger's start work under ci", function()
  if has "fakeroot" then
    local script = "fakeroot sh -c 'mknod d c 1 3 && stat -c %F d'"
    t.equal(t.succeed(sh(script, wear "ci")).stdout, "character special file\n")
  end
  t.equal(try(wear "ci", "personality", 0x40000), "ok")
  t.equal(try(wear "default", "personality", 0x40000), "ENOSYS")
end)

t.test("a computing program runs under compute, static and dynamic, and no second process", function()
  needs_compiler()
  local build = sh "cc -O1 -pthread -o dynamic pi.c && cc -O1 -static -pthread -o static pi.c"
  t.write(build.cwd .. "/pi.c", PROGRAM)
  t.succeed(build)
  for _, name in ipairs { "static", "dynamic" } do
    t.equal(t.succeed { build.cwd .. "/" .. name, before = wear "compute" }.stdout, "3.1416\n", name)
  end
  t.differs(t.run { "sh", "-c", "/bin/true; exit $?", before = wear "compute" }.code, 0)
end)
