-- SPDX-License-Identifier: MIT
-- The plan of luge exec: the container's sealing steps in the order in which a joining process takes them.

local t = dofile "tests/integration/harness.lua"
local plan = require "sandbox.plan.exec"

local function step(op, ...) return { op = op, args = { ... }, why = op } end

local function facts(more)
  local seal = { step "keyctl_join_session", step "setsid", step("setrlimit", "core", 0, 0), step("cap_bounding_drop", { "chown" }),
    step("setgroups", { 7 }), step("setresgid", 6, 6, 6), step("setresuid", 5, 5, 5), step("capset", { permitted = { "kill" } }),
    step("prctl", "set_pdeathsig", "kill"), step "lifeline", step("prctl", "set_no_new_privs", 1), step "init", step "setsid",
    step("capset", { permitted = {} }), step "cap_ambient_clear", step("umask", "022"), step("chdir", "/a$b"), step "reset_signals",
    step("close_range", { 0, 1, 2, 9 }), step("seccomp_load", "DENY"), step("seccomp_load", "ALLOW"), step "wait",
    step("exec", { "sleep" }, {}) }
  local all = { seal = seal, cgroups = {}, attach = {}, user = { uid = 5, gid = 6 }, spec = { cwd = "/a$b", seccomp = { base = "default" } } }
  for key, value in pairs(more or {}) do all[key] = value end
  return all
end

local function host(differ, root)
  return { differ = differ or { user = true, mnt = true, pid = true }, maps_root = { uid = root ~= false, gid = root ~= false },
    capabilities = { "chown" } }
end

local function ops(steps, where)
  local list = {}
  for _, s in ipairs(steps) do
    if s.where == where then list[#list + 1] = s.op end
  end
  return table.concat(list, " ")
end

local function find(steps, op, from)
  for i = from or 1, #steps do
    if steps[i].op == op then return steps[i], i end
  end
end

t.test("everything that takes privilege comes before the process is inside", function()
  local steps = plan.compile(facts(), host(), {})
  t.equal(ops(steps, "guest"), "close_range prctl setns setresgid setresuid")
  t.equal(find(steps, "setns").args, { "$pidfd", "newuser, newns, newpid" })
  t.equal(ops(steps, "seal"), "setsid keyctl_join_session setrlimit cap_bounding_drop setgroups setresgid setresuid prctl capset "
    .. "cap_ambient_clear umask chdir reset_signals close_range seccomp_load seccomp_load enter setsid prctl lifeline exec")
  t.equal(find(steps, "capset").args, { { permitted = {} } }, "what PID 1 keeps is not given to a command")
  t.equal(find(steps, "close_range", 8).args, { { 0, 1, 2 } }, "what the run was passed is not ours")
  t.equal(find(steps, "chdir").args, { { literal = "/a$b" } })
end)

t.test("filters that forbid to be born come after it", function()
  for _, seccomp in ipairs { { base = "compute" }, { base = "default", deny = { "clone" } }, { allow = { "read" } },
    { base = "ci", rules = { { call = "prctl", action = "deny" } } } } do
    local steps = plan.compile(facts { spec = { cwd = "/", seccomp = seccomp } }, host(), {})
    t.matches(ops(steps, "seal"), "close_range enter setsid prctl lifeline seccomp_load seccomp_load exec$")
  end
end)

t.test("another user and directory", function()
  local steps = plan.compile(facts(), host(), { user = { name = "x" }, cwd = "/w" })
  t.matches(ops(steps, "guest"), "lookup_user$")
  local _, at = find(steps, "lookup_user")
  t.equal(find(steps, "setresuid", at).args, { "$user.uid", "$user.uid", "$user.uid" })
  t.equal(find(steps, "setgroups", at).args, { "$user.groups" })
  t.equal(find(steps, "chdir").args, { { literal = "/w" } })
end)

t.test("cgroups of both versions, and what luge does from outside", function()
  local attach = { { op = "writefile", args = { "/proc/${child}/oom_score_adj", "5" }, why = "limits.oom_score" } }
  local steps = plan.compile(facts { cgroups = { { version = 1 }, { version = 2 } }, attach = attach }, host(), {})
  t.equal(steps[1].args[1].cgroup, "$cgroup.2")
  t.equal({ steps[2].where, steps[2].args }, { "guest", { "/proc/self/fd/${cgroup.1}/tasks", "0" } })
  t.equal(steps[3].args, attach[1].args)
end)

t.test("without a user namespace nobody becomes root; without an id 0 the capabilities come along", function()
  t.equal(ops(plan.compile(facts(), host { mnt = true }, {}), "guest"), "close_range prctl setns")
  t.matches(ops(plan.compile(facts(), host(nil, false), {}), "guest"), "setresgid setresuid capset cap_ambient_raise$")
end)

t.test("a sealing step that is not known is refused", function()
  local f = facts()
  table.insert(f.seal, 3, step("landlock_restrict_self", 3))
  local steps, op = plan.compile(f, host(), {})
  t.equal({ steps, op }, { nil, "landlock_restrict_self" })
end)
