-- SPDX-License-Identifier: MIT
-- The user's own words about system calls: what they change, which are refused, and, over many random ones, that
-- no rule vanishes on its way through libseccomp.

local S = require "syscall"
local t = dofile "tests/integration/harness.lua"
local bpf = dofile "tests/lua/bpf.lua"
local seccomp = require "sandbox.plan.seccomp"

local ALLOW, EPERM, ENOSYS = 0x7fff0000, 0x00050001, 0x00050026
local NATIVE = S.seccomp_resolve "read" == 0 and 0xc000003e or 0xc00000b7

local function asker(spec, options)
  local programs = {}
  for i, filter in ipairs(seccomp.filters(spec, options)) do programs[i] = bpf.decode(filter.bpf) end
  return function(call, a0, a1, a2, a3, a4)
    local data = { nr = S.seccomp_resolve(call), arch = NATIVE, [0] = a0 or 0, a1 or 0, a2 or 0, a3 or 0, a4 or 0, 0 }
    return (bpf.run_all(programs, data))
  end
end

local function rule(call, ...)
  return { call = call, args = { ... }, action = "allow" }
end

local function denial(call, ...)
  return { call = call, args = { ... }, action = "deny" }
end

local function spec(base, fields)
  local s = { base = base, allow = {}, deny = {}, rules = {} }
  for key, value in pairs(fields) do s[key] = value end
  t.equal(seccomp.check(s), {})
  return s
end

t.test("allow and deny name whole calls", function()
  local ask = asker(spec("default", { allow = { "ptrace" }, deny = { "connect", "openat2" } }))
  t.equal(ask("ptrace", 3), ALLOW)
  t.equal(ask "connect", EPERM)
  t.equal(ask "openat2", EPERM)
  t.equal(ask "openat", ALLOW)
end)

t.test("a rule opens a call for one value, whatever is in the upper half of the register", function()
  local ask = asker(spec("strict", { rules = { rule("socket", { 0, "==", "AF_UNIX" }) } }))
  t.equal(ask("socket", 1), ALLOW)
  t.equal(ask("socket", 1 | 1 << 40), ALLOW)
  t.equal(ask("socket", 2), ENOSYS)
end)

t.test("a rule adds to the values that a tier allows", function()
  local ask = asker(spec("default", { rules = { rule("socket", { 0, "==", "AF_VSOCK" }),
    rule("socket", { 0, "==", "AF_NETLINK" }, { 2, "==", "NETLINK_AUDIT" }) } }))
  t.equal(ask("socket", 40), ALLOW)
  t.equal(ask("socket", 16, 3, 9), ALLOW)
  t.equal(ask("socket", 16, 3, 0), ALLOW)
  t.equal(ask("socket", 16, 3, 15), 0x5005d)
  t.equal(ask("socket", 38), 0x50061)
end)

t.test("deny and a rule together narrow a call", function()
  local ask = asker(spec("default", { deny = { "socket" }, rules = { rule("socket", { 0, "==", "AF_UNIX" }) } }))
  t.equal(ask("socket", 1), ALLOW)
  t.equal(ask("socket", 2), ENOSYS)
end)

t.test("a denial by value holds though the call is allowed", function()
  local ask = asker(spec("ci", { rules = { denial("kill", { 1, "==", 9 }), denial("openat", { 2, "&", "O_CREAT" }) } }))
  t.equal(ask("kill", 5, 9), EPERM)
  t.equal(ask("kill", 5, 9 | 1 << 33), EPERM)
  t.equal(ask("kill", 5, 15), ALLOW)
  t.equal(ask("openat", 0, 0, 0x42), EPERM)
  t.equal(ask("openat", 0, 0, 2), ALLOW)
end)

t.test("unequal becomes a masked denial", function()
  local ask = asker(spec("strict", { rules = { rule("socket", { 0, "!=", "AF_VSOCK" }) } }))
  t.equal(ask("socket", 2), ALLOW)
  t.equal(ask("socket", 40), EPERM)
  t.equal(ask("socket", 40 | 1 << 32), EPERM)
end)

t.test("allow leaves a tier's denied values; naming the value lifts it", function()
  local ask = asker(spec("default", { allow = { "ioctl", "clone" } }))
  t.equal(ask("ioctl", 0, 0x5412), EPERM)
  t.equal(ask("clone", 0x10000000), EPERM)
  ask = asker(spec("default", { rules = { rule("ioctl", { 1, "==", "TIOCSTI" }) } }))
  t.equal(ask("ioctl", 0, 0x5412), ALLOW)
  t.equal(ask("ioctl", 0, 0x541c), EPERM)
  ask = asker(spec("default", { rules = { rule("unshare", { 0, "&", "CLONE_NEWUSER" }) } }))
  t.equal(ask("unshare", 0x10000000), ALLOW)
  t.equal(ask("unshare", 0x10020000), EPERM)
end)

t.test("nothing lifts the set-id guard", function()
  local words = { allow = { "chmod", "openat2" }, rules = {} }
  local ask = asker(spec("default", words), { setid_guard = true })
  t.equal(ask("chmod", 0, 0x9ed), EPERM)
  t.equal(ask("chmod", 0, 0x1ed), ALLOW)
  t.equal(ask "openat2", ENOSYS)
  ask = asker(spec(false, { deny = { "ptrace" } }), { setid_guard = true })
  t.equal(ask("fchmodat", 0, 0, 0x5ff), EPERM)
  t.equal(ask "io_uring_setup", EPERM)
  ask = asker(spec("ci", { allow = { "io_uring_setup" } }), { setid_guard = true })
  t.equal(ask "io_uring_setup", EPERM)
end)

t.test("without a tier: only denials leave the rest, an allow-list allows nothing else", function()
  local ask = asker(spec(false, { deny = { "ptrace" } }))
  t.equal(ask "ptrace", EPERM)
  t.equal(ask "mount", ALLOW)
  ask = asker(spec(false, { allow = { "getuid" } }))
  t.equal(ask "getuid", ALLOW)
  t.equal(ask "execve", ALLOW)
  t.equal(ask "getgid", ENOSYS)
end)

t.test("kept capabilities bring their calls back", function()
  t.equal(asker("default", { caps = { "sys_chroot" } }) "chroot", ALLOW)
  t.equal(asker("default", { caps = { "chown" } }) "chroot", EPERM)
  local ask = asker("default", { caps = { "sys_admin" } })
  t.equal(ask "mount", ALLOW)
  t.equal(ask("unshare", 0x20000), ALLOW)
  t.equal(ask("unshare", 0x10000000), EPERM)
  t.equal(asker("strict", { caps = { "sys_admin" } }) "mount", EPERM)
end)

t.test("no field, no filter", function()
  t.equal(seccomp.filters(false), {})
  t.equal(seccomp.check(false), {})
end)

-- ---- faults ----

local function faults(fields)
  local s = { base = "default", allow = {}, deny = {}, rules = {} }
  for key, value in pairs(fields) do s[key] = value end
  local list = {}
  for i, fault in ipairs(seccomp.check(s)) do
    list[i] = fault.path .. ": " .. fault.message .. (fault.hint and "; " .. fault.hint or "")
  end
  return table.concat(list, "\n")
end

t.test("wrong words are faults, all at once, with their places", function()
  local text = faults { allow = { "opneat", "mount" }, deny = { "mount", "execve", "nosuchcall" } }
  t.contains(text, "seccomp.allow[1]: 'opneat' is no system call; did you mean 'openat'?")
  t.contains(text, "seccomp.allow[2]: 'mount' is also denied")
  t.contains(text, "seccomp.deny[2]: 'execve' is needed to start the command")
  t.contains(text, "seccomp.deny[3]: 'nosuchcall' is no system call")
end)

t.test("unsound and useless rules are faults", function()
  t.contains(faults { rules = { rule("socket", { 0, "==", "AF_UNXI" }) } },
    "seccomp.rules[1].args[1]: no constant is named 'AF_UNXI'; did you mean 'AF_UNIX'?")
  t.contains(faults { rules = { rule("socket", { 6, "==", 1 }) } }, "arguments 0 to 5")
  t.contains(faults { rules = { rule("socket", { 0, "~", 1 }) } }, "'~' is no operator")
  t.contains(faults { rules = { rule("socket", { 0, ">", 1 }) } }, "can be passed by")
  t.contains(faults { rules = { denial("socket", { 0, "<", 1 }) } }, "can be passed by")
  t.contains(faults { rules = { denial("kill", { 1, "==", 9 }, { 1, "==", 15 }) } }, "compared twice")
  -- Two faults of one place: each has its path.
  t.lacks(faults { rules = { { call = "kill", args = { { 0, "!=", 0 }, { 0, "!=", 1 } } } } }, "seccomp.seccomp")
  t.contains(faults { rules = { rule("read", { 0, "==", 0 }) } }, "already allowed, with any argument")
  t.contains(faults { rules = { denial("seccomp", { 0, "==", 1 }) } }, "needed to load the filters")
  t.contains(faults { rules = { denial("lseek", { 1, ">", 5 }), denial("lseek", { 2, "==", 1 }) } },
    "seccomp.rules[1]: 'lseek' has other rules beside this one")
  t.contains(faults { rules = { denial("clone", { 1, ">", 5 }) } }, "has other rules")
  t.contains(faults { rules = { denial "write" } }, "needed to start the command")
  t.equal(faults { rules = { rule("personality", { 0, "==", "ADDR_NO_RANDOMIZE|UNAME26" }) } }, "")
end)

t.test("a rule that allows what is allowed anyway is a fault, unless the call is denied beside it", function()
  for base, list in pairs {
    default = { rule("socket", { 0, "==", "AF_UNIX" }), rule("socket", { 0, "==", "AF_INET" }, { 1, "==", 1 }),
      rule("socket", { 0, "==", "AF_NETLINK" }, { 2, "==", "NETLINK_ROUTE" }), rule("personality", { 0, "==", 8 }) },
    compute = { rule("clone", { 0, "==", 0x3d0f00 }) } } do
    for _, made in ipairs(list) do
      local text = ("%s of %s"):format(made.call, base)
      t.equal(faults { base = base, rules = { made } }, ("seccomp.rules[1]: '%s' is already allowed, with these arguments and "
        .. "others; to allow nothing else of it, write deny = { \"%s\" } as well"):format(made.call, made.call), text)
      t.equal(faults { base = base, deny = { made.call }, rules = { made } }, "", text)
    end
  end
  t.equal(faults { rules = { rule("socket", { 0, "==", "AF_NETLINK" }), rule("socket", { 1, "==", 1 }),
    rule("socket", { 0, "masked_eq", 1, 0 }) } }, "")
  t.equal(faults { deny = { "socket" }, rules = { rule "socket" } },
    "seccomp.rules[1]: 'socket' is also denied; leave it out of deny, or compare an argument")
end)

t.test("the description says what the filters do", function()
  local text = table.concat(seccomp.describe("default"), "\n")
  t.contains(text, "argument 0 == AF_UNIX")
  t.contains(text, "argument 0 has CLONE_NEWUSER")
  t.contains(text, "every other call, clone3 among them: ENOSYS")
  t.equal(seccomp.describe(false), { "no seccomp filter" })
  text = table.concat(seccomp.describe(spec(false, { deny = { "ptrace" } })), "\n")
  t.contains(text, "every other call: allowed")
  t.contains(text, "clone3 is allowed")
end)

-- ---- many rules ----

-- Numbers that are the same in every run (a linear congruence, Knuth's MMIX).
local state = 7
local function random(n)
  state = state * 6364136223846793005 + 1442695040888963407
  return (state >> 33) % n
end

local function pick(list)
  return list[random(#list) + 1]
end

local CALLS = { "socket", "ioctl", "kill", "lseek", "madvise", "prctl", "getpid", "ptrace", "mbind", "setsockopt" }
local NUMBERS = { 0, 1, 2, 5, 9, 40, 0x5412, 0x10000 }

local function random_comparison(argument, action)
  local op = pick { "==", "==", "==", "&", action == "allow" and "<=" or ">=" }
  return { argument, op, pick(NUMBERS) }
end

local function random_rule()
  local made = { call = pick(CALLS), action = pick { "allow", "deny" }, args = {} }
  local first = random(3)
  for argument = first, first + random(3) do
    made.args[#made.args + 1] = random_comparison(argument, made.action)
  end
  return made
end

local function holds(made, args)
  for _, c in ipairs(made.args) do
    local got = args[c[1]]
    local yes = c[2] == "==" and got == c[3] or c[2] == "&" and got & c[3] == c[3]
      or c[2] == "<=" and got <= c[3] or c[2] == ">=" and got >= c[3]
    if not yes then return false end
  end
  return true
end

-- The argument vectors that may matter to the rules: each argument from the numbers, and one more.
local function random_vectors(f)
  for _ = 1, 60 do
    local args = { [0] = 0, 0, 0, 0, 0, 0 }
    for i = 0, 4 do args[i] = pick(NUMBERS) + (random(4) == 0 and 1 or 0) end
    f(args)
  end
end

local function random_spec()
  local s = { base = pick { "default", "strict", "compute", false }, allow = {}, deny = {}, rules = {} }
  for _ = 0, random(8) do
    local made = random_rule()
    s.rules[#s.rules + 1] = made
    if #seccomp.check(s) > 0 then table.remove(s.rules) end
  end
  return s
end

t.test("random rules: a denial always holds, and what one rule allows and none denies is allowed", function()
  local compared = 0
  for _ = 1, 250 do
    local s = random_spec()
    local ask, before = asker(s), asker { base = s.base, allow = {}, deny = {}, rules = s.base and {} or s.rules }
    for _, call in ipairs(CALLS) do
      random_vectors(function(args)
        local denied, allowed = false, false
        for _, made in ipairs(s.rules) do
          local hit = made.call == call and holds(made, args)
          denied = denied or hit and made.action == "deny"
          allowed = allowed or hit and made.action == "allow"
        end
        local answer = ask(call, args[0], args[1], args[2], args[3], args[4])
        local tier = before(call, args[0], args[1], args[2], args[3], args[4])
        if denied then
          t.ok(answer ~= ALLOW, call .. ": a denial was lost")
        elseif s.base and not allowed then
          t.equal(answer == ALLOW, tier == ALLOW, call .. ": changed by no rule")
        elseif allowed and not (call == "ioctl" and args[1] == 0x5412) then
          t.equal(answer, ALLOW, call .. ": an allowed value was refused")
        end
        compared = compared + 1
      end)
    end
  end
  t.ok(compared > 100000)
end)
