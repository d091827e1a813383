-- SPDX-License-Identifier: MIT
-- The seccomp tiers by enumeration: every call number, every architecture, the arguments at which an answer may
-- change, asked of both filters through an interpreter, without making a call. What they should answer is worked
-- out here a second time, straight from the tables in profiles/seccomp, with none of the code that compiles them.

local S = require "syscall"
local t = dofile "tests/integration/harness.lua"
local bpf = dofile "tests/lua/bpf.lua"
local seccomp = require "sandbox.plan.seccomp"
local common = require "profiles.seccomp.common"

local ALLOW, ERRNO, KILL = 0x7fff0000, 0x00050000, 0x80000000
local ERRORS = { EPERM = 1, ENOSYS = 38, EAFNOSUPPORT = 97, EPROTONOSUPPORT = 93 }

local ARCHS = {
  x86_64 = 0xc000003e, i386 = 0x40000003, aarch64 = 0xc00000b7, arm = 0x40000028, riscv64 = 0xc00000f3,
  ppc64le = 0xc0000015, s390x = 0x80000016, mips = 8, none = 0, all = 0xffffffff,
}

-- read is number 0 on x86_64 only, 63 where the generic table holds.
local NATIVE = S.seccomp_resolve "read" == 0 and ARCHS.x86_64 or ARCHS.aarch64
local X32 = 0x40000000

-- Straight from the kernel's headers, a second time.
local VALUES = {
  AF_UNSPEC = 0, AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10, AF_NETLINK = 16, AF_VSOCK = 40, AF_MCTP = 45,
  NETLINK_ROUTE = 0, NETLINK_AUDIT = 9, NETLINK_CRYPTO = 21,
  CLONE_NEWTIME = 0x80, CLONE_THREAD = 0x10000, CLONE_NEWNS = 0x20000, CLONE_NEWCGROUP = 0x2000000,
  CLONE_NEWUTS = 0x4000000, CLONE_NEWIPC = 0x8000000, CLONE_NEWUSER = 0x10000000, CLONE_NEWPID = 0x20000000,
  CLONE_NEWNET = 0x40000000,
  TCGETS = 0x5401, TIOCSTI = 0x5412, TIOCGWINSZ = 0x5413, TIOCLINUX = 0x541c, TIOCSETD = 0x5423,
  S_IFMT = 0xf000, S_IFCHR = 0x2000, S_IFBLK = 0x6000, S_ISUID = 0x800, S_ISGID = 0x400,
  O_CREAT = 0x40, O_TMPFILE = 0x400000 | S.c.O.DIRECTORY,
  PR_SET_PDEATHSIG = 1, PR_GET_DUMPABLE = 3, PR_SET_DUMPABLE = 4, PR_SET_NAME = 15, PR_GET_NAME = 16,
  PR_CAPBSET_READ = 23, PR_SET_NO_NEW_PRIVS = 38, PR_GET_NO_NEW_PRIVS = 39, PR_SET_VMA = 0x53564d41,
}

local function number(value)
  return math.type(value) == "integer" and value or assert(VALUES[value], value)
end

-- ---- the declared answer ----

local function lists(rows, name)
  for _, row in ipairs(rows or {}) do
    for word in row[2]:gmatch "%S+" do
      if word == name then return true end
    end
  end
  return false
end

local function holds(comparison, args)
  local got, value = args[comparison[1]] & 0xffffffff, number(comparison[3])
  if comparison[2] == "==" then return got == value end
  local mask = comparison[4] and number(comparison[4]) or value
  return got & mask == value
end

local function any_holds(alternatives, args)
  for _, alternative in ipairs(alternatives) do
    local all = true
    for _, comparison in ipairs(alternative) do all = all and holds(comparison, args) end
    if all then return true end
  end
  return false
end

local function names_value(alternatives, argument, value)
  for _, alternative in ipairs(alternatives) do
    for _, c in ipairs(alternative) do
      if c[1] == argument and number(c[3]) == value then return true end
    end
  end
  return false
end

local function answer_of_only(only, args)
  if any_holds(only.when, args) then return ALLOW end
  for _, row in ipairs(only.otherwise or {}) do
    local value = args[row.argument] & 0xffffffff
    if value >= number(row.from) and value <= number(row.to) and (not row.with or holds(row.with, args))
      and not names_value(only.when, row.argument, value) then
      return ERRNO | ERRORS[row.errno]
    end
  end
  return ERRNO | ERRORS.ENOSYS
end

local function chain_of(base)
  local chain = {}
  while base do
    chain[#chain + 1] = require("profiles.seccomp." .. base)
    base = chain[#chain].parent
  end
  return chain
end

-- What the allow-list says: "allow", "deny", an `only` table, or nil.
local function listed(chain, kept, name)
  if chain[#chain].heeds_capabilities then
    for cap in pairs(kept) do
      if common.with[cap] and lists({ { "", common.with[cap] } }, name) then return "allow" end
    end
  end
  for _, tier in ipairs(chain) do
    if tier.only and tier.only[name] then return tier.only[name] end
    if lists(tier.allow, name) then return "allow" end
    if lists(tier.deny, name) then return "deny" end
  end
  return lists(common.start, name) and "allow" or lists(common.deny, name) and "deny" or nil
end

-- The refused argument values of one call: rows of `never` and, with the guard, of `setid`.
local function refusals(chain, kept, guard, name)
  local lifted, rows = {}, {}
  for _, tier in ipairs(chain) do
    for _, call in ipairs(tier.lift or {}) do lifted[call] = true end
  end
  for _, set in ipairs { common.never, guard and common.setid or {} } do
    for _, row in ipairs(set) do
      local off = set == common.never and lifted[name]
        or (row.unless and chain[#chain].heeds_capabilities and kept[row.unless])
      if lists({ { "", row[1] } }, name) and not off then rows[#rows + 1] = row end
    end
  end
  return rows
end

local function declared(base, caps, guard, name)
  local chain, kept = chain_of(base), {}
  for _, cap in ipairs(caps) do kept[cap] = true end
  local entry = name and listed(chain, kept, name)
  local rows = name and refusals(chain, kept, guard, name) or {}
  return function(args)
    local first = ERRNO | ERRORS.ENOSYS
    if entry == "allow" then first = ALLOW
    elseif entry == "deny" then first = ERRNO | ERRORS.EPERM
    elseif entry then first = answer_of_only(entry, args) end
    if first ~= ALLOW then return first end
    for _, row in ipairs(rows) do
      if any_holds(row.when, args) then return ERRNO | ERRORS[row.errno or "EPERM"] end
    end
    return ALLOW
  end, entry, rows
end

-- ---- the arguments to ask with ----

local BASE = { 0, 1, -1, 1 << 31, 1 << 32, 0xffffffff, 1 << 63, 0x7fffffff }

-- Values around each constant that some row compares the argument with.
local function around(set, c)
  local value = number(c[3])
  for _, v in ipairs { value, value | 1 << 32, value | 1 << 63, value + 1, value - 1, value | -1 << 32, ~value } do
    set[v] = true
  end
  if c[2] == "&" then
    for _, bit in ipairs { 0x1, 0x40, 0x40000000, 0x80000000, 0xfff } do set[value | bit] = true end
  end
end

local function interesting(entry, rows)
  local sets = {}
  local function take(alternatives)
    for _, alternative in ipairs(alternatives) do
      for _, c in ipairs(alternative) do
        sets[c[1]] = sets[c[1]] or {}
        around(sets[c[1]], c)
      end
    end
  end
  if type(entry) == "table" then
    take(entry.when)
    for _, row in ipairs(entry.otherwise or {}) do
      for v = number(row.from), number(row.to) + 1 do sets[row.argument][v] = true end
    end
  end
  for _, row in ipairs(rows) do take(row.when) end
  return sets
end

-- Calls f with every combination of interesting values, the other arguments zero, and with BASE everywhere.
local function each_vector(sets, f)
  for _, v in ipairs(BASE) do f { [0] = v, v, v, v, v, v } end
  local arguments = {}
  for argument, set in pairs(sets) do
    arguments[#arguments + 1] = argument
    for _, v in ipairs(BASE) do set[v] = true end
  end
  local args = { [0] = 0, 0, 0, 0, 0, 0 }
  local function fill(i)
    if i > #arguments then return f(args) end
    for v in pairs(sets[arguments[i]]) do
      args[arguments[i]] = v
      fill(i + 1)
    end
  end
  if arguments[1] then fill(1) end
end

-- ---- asking ----

local NAMES = {}
for name, nr in pairs(S.seccomp_syscalls()) do NAMES[nr] = name end

local function programs_of(filters)
  local programs = {}
  for i, filter in ipairs(filters) do programs[i] = bpf.decode(filter.bpf) end
  return programs
end

local function words(answer)
  if answer == ALLOW then return "allow" end
  return answer == KILL and "kill" or ("%#x"):format(answer)
end

local function compare(programs, data, expected, what)
  local got = bpf.run_all(programs, data)
  if got ~= expected then
    error(("%s: nr %d (%s) arch %#x args %x %x %x %x: %s, declared %s"):format(what, data.nr,
      NAMES[data.nr] or "?", data.arch, data[0], data[1], data[2], data[3], words(got), words(expected)), 0)
  end
end

local function check_native(programs, base, caps, guard, what)
  local asked = 0
  for nr = 0, 600 do
    local answer, entry, rows = declared(base, caps, guard, NAMES[nr])
    each_vector(interesting(entry, rows), function(args)
      args.nr, args.arch = nr, NATIVE
      compare(programs, args, answer(args), what)
      asked = asked + 1
    end)
  end
  for _, nr in ipairs { 1023, 1024, 0x3fffffff } do
    compare(programs, { nr = nr, arch = NATIVE, [0] = 0, 0, 0, 0 }, ERRNO | ERRORS.ENOSYS, what)
  end
  return asked
end

local function check_foreign(programs, what)
  for _, arch in pairs(ARCHS) do
    for nr = 0, arch ~= NATIVE and 600 or -1 do
      compare(programs, { nr = nr, arch = arch, [0] = 0, 0, 0, 0 }, KILL, what)
    end
  end
  if NATIVE ~= ARCHS.x86_64 then return end
  for _, nr in ipairs { X32, X32 | 1, X32 | 59, X32 | 520, X32 | 600, 0x7fffffff, 0x80000000, 0xfffffffe } do
    compare(programs, { nr = nr, arch = NATIVE, [0] = 0, 0, 0, 0 }, KILL, what)
  end
end

-- No call has this number. A tracer sets it to skip a call; it must not be allowed.
local function check_minus_one(programs)
  local answer = bpf.run_all(programs, { nr = 0xffffffff, arch = NATIVE, [0] = 0, 0, 0, 0 })
  t.ok(answer ~= ALLOW, "call -1 is allowed")
end

local CAPS = { {}, { "mknod", "sys_chroot" }, { "sys_admin", "sys_ptrace", "mknod", "chown" } }

for _, base in ipairs(seccomp.TIERS) do
  for _, guard in ipairs { false, true } do
    for _, caps in ipairs(CAPS) do
      local what = ("%s%s keeping [%s]"):format(base, guard and " with the set-id guard" or "",
        table.concat(caps, " "))
      t.test("tier " .. what .. " answers as declared", function()
        local filters = seccomp.filters({ base = base }, { caps = caps, setid_guard = guard })
        t.equal(#filters, 2)
        local programs = programs_of(filters)
        t.ok(check_native(programs, base, caps, guard, what) > 4000, "too little was asked")
        check_foreign(programs, what)
        check_minus_one(programs)
      end)
    end
  end
end

-- ---- what the tables themselves must hold ----

local function each_word(rows, f)
  for _, row in ipairs(rows or {}) do
    for word in row[2]:gmatch "%S+" do f(word, row[1]) end
  end
end

t.test("every name in the tables is a system call, once", function()
  for _, name in ipairs { "common", "default", "ci", "strict", "compute" } do
    local tier, seen = require("profiles.seccomp." .. name), {}
    for _, key in ipairs { "start", "allow", "deny" } do
      each_word(tier[key], function(word)
        t.ok(S.seccomp_resolve(word) ~= nil, name .. ": no call is named " .. word)
        t.ok(not seen[word], name .. ": twice: " .. word)
        seen[word] = true
      end)
    end
  end
end)

t.test("the capabilities that matter are those of the tables", function()
  local expected = {}
  for cap in pairs(common.with) do expected[cap] = true end
  for _, row in ipairs(common.never) do
    if row.unless then expected[row.unless] = true end
  end
  t.equal(seccomp.RELEVANT, expected)
  for _, base in ipairs(seccomp.TIERS) do
    local chain = chain_of(base)
    t.equal(seccomp.HEEDS[base], chain[#chain].heeds_capabilities, base)
  end
end)

t.test("what a tier may never allow", function()
  for _, base in ipairs(seccomp.TIERS) do
    local programs = programs_of(seccomp.filters(base, {}))
    for _, name in ipairs { "mount", "setns", "bpf", "io_uring_setup", "keyctl", "init_module", "userfaultfd",
      "open_by_handle_at", "pivot_root", "perf_event_open", "kexec_load", "reboot", "swapon", "fanotify_init" } do
      local data = { nr = S.seccomp_resolve(name), arch = NATIVE, [0] = 0, 0, 0, 0, 0, 0 }
      t.equal(bpf.run_all(programs, data), ERRNO | ERRORS.EPERM, base .. ": " .. name)
    end
    local data = { nr = S.seccomp_resolve "clone3", arch = NATIVE, [0] = 0, 0, 0, 0, 0, 0 }
    t.equal(bpf.run_all(programs, data), ERRNO | ERRORS.ENOSYS, base .. ": clone3")
  end
end)

t.test("a tier is about as long as promised", function()
  for base, range in pairs { default = { 280, 330 }, strict = { 130, 170 }, compute = { 45, 60 } } do
    local programs, count = programs_of(seccomp.filters(base, {})), 0
    for nr in pairs(NAMES) do
      local _, entry = declared(base, {}, false, NAMES[nr])
      if entry and entry ~= "deny" then count = count + 1 end
    end
    t.ok(count >= range[1] and count <= range[2], base .. " allows " .. count .. " calls")
    t.ok(#programs[1] + #programs[2] < 700, base .. " is long")
  end
end)

t.test("shipped tiers cost no compilation", function()
  local compile = S.seccomp_filter
  S.seccomp_filter = function() error "compiled" end
  for _, base in ipairs(seccomp.TIERS) do
    for _, guard in ipairs { false, true } do
      t.equal(#seccomp.filters(base, { setid_guard = guard }), 2)
      t.equal(#seccomp.filters(base, { setid_guard = guard, caps = { "chown", "mknod", "sys_chroot" } }), 2)
    end
  end
  S.seccomp_filter = compile
end)

t.test("asking takes few instructions", function()
  local programs = programs_of(seccomp.filters("default", {}))
  local most = 0
  for nr in pairs(NAMES) do
    local _, count = bpf.run_all(programs, { nr = nr, arch = NATIVE, [0] = 0, 0, 0, 0, 0, 0 })
    if NAMES[nr] ~= "socket" then most = math.max(most, count) end
  end
  t.ok(most < 100, "up to " .. most .. " instructions")
end)
