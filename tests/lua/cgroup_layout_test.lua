-- SPDX-License-Identifier: MIT
-- Where controllers are and where luge may make a cgroup, on hosts told by text: version 1, version 2, hybrid, sessions.

local t = dofile "tests/integration/harness.lua"
local hosts = dofile "tests/lua/cgroup_hosts.lua"
local layout = require "sandbox.plan.cgroup_layout"

local C = "/sys/fs/cgroup"

t.test("version 1: each controller on its own mount", function()
  local l = hosts.layout(hosts.v1(0))
  t.equal(l:kind(), "v1")
  t.equal(l:find "memory", { version = 1, mount = C .. "/memory", own = C .. "/memory/user.slice" })
  t.equal(l:find "io".mount, C .. "/blkio", "renamed in version 2")
  t.equal(l:find "cpu".mount, C .. "/cpu,cpuacct")
  t.equal(l:find "cpuacct".mount, C .. "/cpu,cpuacct")
  t.equal(l:find "cpuset".own, C .. "/cpuset")
  t.equal(l:find "rdma", nil)
  t.equal(l:find "name=systemd", nil, "asked for by nobody")
end)

t.test("version 2 alone", function()
  local l = hosts.layout(hosts.v2(0, "/user.slice/user-0.slice/session-1.scope"))
  t.equal(l:kind(), "v2")
  for _, name in ipairs { "cpuset", "cpu", "io", "memory", "hugetlb", "pids" } do t.equal(l:find(name).version, 2, name) end
  for _, name in ipairs { "cpuacct", "devices", "freezer", "mem", "emory" } do t.equal(l:find(name), nil, name) end
end)

t.test("hybrid: each controller where it is", function()
  local l = hosts.layout(hosts.hybrid(0))
  t.equal(l:kind(), "hybrid")
  t.equal({ l:find "memory".version, l:find "hugetlb".version, l:find "hugetlb".mount }, { 1, 2, C .. "/unified" })
  t.equal(l:find "memory".own, C .. "/memory/agent")
  local files = hosts.hybrid(0)
  files.files[C .. "/unified/cgroup.controllers"] = "\n"
  t.equal(hosts.layout(files):kind(), "v1", "an empty version 2 beside it")
end)

t.test("no cgroups at all", function()
  local l = hosts.layout { files = {}, writable = {}, delegated = {} }
  t.equal({ l:kind(), l:find "memory" }, { "none" })
end)

t.test("mounts that show a part, names with blanks, a namespace that hides our own", function()
  local function l(own, root, at)
    return hosts.layout { writable = {}, delegated = {}, files = { ["/proc/self/cgroup"] = "4:memory:" .. own .. "\n",
      ["/proc/self/mountinfo"] = ("30 1 0:3 %s %s ro - cgroup cgroup rw,memory\n"):format(root, at) } }:find "memory"
  end
  t.equal(l("/docker/x/a", "/docker/x", "/cg/memory").own, "/cg/memory/a")
  t.equal(l("/docker/x", "/docker/x", "/cg/memory").own, "/cg/memory")
  t.equal(l("/docker/xy", "/docker/x", "/cg/memory").own, nil)
  t.equal(l("/../other", "/", "/cg/memory").own, nil)
  t.equal(l("/", "/", "/a\\040b").mount, "/a b")
end)

local function place(described, controller, parent)
  local l = hosts.layout(described)
  local got, why, dir = l:place(l:find(controller), parent, described.uid)
  return got and { got.top, got.made } or { why, dir }
end

t.test("root: /luge of each hierarchy", function()
  t.equal(place(hosts.v1(0), "memory"), { C .. "/memory/luge", true })
  t.equal(place(hosts.hybrid(0), "hugetlb"), { C .. "/unified/luge", true })
  t.equal(place(hosts.v2(0, "/user.slice/user-0.slice/session-1.scope"), "pids"), { C .. "/luge", true })
end)

t.test("root in a service that systemd gave a part to: below that", function()
  local own = "/system.slice/ci.service"
  t.equal(place(hosts.v2(0, own), "pids"), { C .. "/luge", true }, "not delegated")
  t.equal(place(hosts.v2(0, own, { delegated = { own } }), "pids"), { C .. own })
  local leaf = own .. "/main"
  t.equal(place(hosts.v2(0, leaf, { delegated = { own }, writable = { own } }), "pids"), { C .. own })
end)

t.test("an ordinary user: what was delegated, never systemd's own slices", function()
  t.equal(place(hosts.scope(), "memory"), { C .. hosts.SCOPE })
  t.equal(place(hosts.leaf(), "memory"), { C .. hosts.SCOPE }, "beside luge's own leaf")
  t.equal(place(hosts.session(), "memory"), { "closed", C .. "/user.slice/user-1000.slice/session-3.scope" })
  t.equal(place(hosts.v1(1000), "memory"), { "closed", C .. "/memory/user.slice" })
  t.equal(place(hosts.hybrid(1000), "hugetlb"), { "closed", C .. "/unified" })
  local slice = "/user.slice/user-1000.slice/user@1000.service/app.slice"
  t.equal(place(hosts.v2(1000, slice, { writable = { slice } }), "pids"), { "closed", C .. slice })
end)

t.test("version 1 that was given to a user", function()
  local given = hosts.v1(1000)
  given.writable[C .. "/memory/user.slice"] = true
  given.writable[C .. "/memory/user.slice/cgroup.procs"] = true
  t.equal(place(given, "memory"), { C .. "/memory/user.slice" })
  t.equal(place(given, "pids"), { "closed", C .. "/pids/user.slice" })
end)

t.test("limits.parent: it must be there and ours", function()
  local described = hosts.v1(0)
  t.equal(place(described, "memory", "/ci"), { "missing", C .. "/memory/ci" })
  described.files[C .. "/memory/ci/cgroup.procs"] = ""
  t.equal(place(described, "memory", "/ci"), { "closed", C .. "/memory/ci" })
  described.writable[C .. "/memory/ci"] = true
  t.equal(place(described, "memory", "/ci"), { C .. "/memory/ci" })
  described.files[C .. "/memory/cgroup.procs"] = "1\n"
  t.equal(place(described, "memory", "/"), { C .. "/memory" })
end)

local function enable(described, controllers)
  local l = hosts.layout(described)
  local plan, why, dir, name = l:enable(l:place(l.v2, nil, described.uid), controllers)
  return plan or { why, dir, name }
end

t.test("controllers are given downwards, where they are not yet", function()
  t.equal(enable(hosts.v2(0, "/a"), { "memory", "cpu" }), { list = { { dir = C, controllers = { "cpu" } },
    { dir = C .. "/luge", controllers = { "memory", "cpu" } } } })
  -- Luge's own may go between the plan and the run, and come back without any.
  local described = hosts.v2(0, "/a", { files = { [C .. "/luge/cgroup.controllers"] = "memory\n",
    [C .. "/luge/cgroup.subtree_control"] = "memory\n" } })
  t.equal(enable(described, { "memory" }), { list = { { dir = C .. "/luge", controllers = { "memory" } } } })
  t.equal(enable(described, {}), { list = {} })
end)

t.test("a cgroup with processes gives none: luge steps aside when it is alone there", function()
  t.equal(enable(hosts.scope(), { "memory" }), { leave = C .. hosts.SCOPE,
    list = { { dir = C .. hosts.SCOPE, controllers = { "memory" } } } })
  t.equal(enable(hosts.scope(100), { "memory" }), { "occupied", C .. hosts.SCOPE, "memory" })
  t.equal(enable(hosts.leaf(), { "memory", "pids" }), { list = { { dir = C .. hosts.SCOPE,
    controllers = { "memory", "pids" } } } })
  t.equal(enable(hosts.scope(), { "cpu" }), { "lacks", C .. hosts.SCOPE, "cpu" })
end)

t.test("the top of a cgroup namespace is no first cgroup", function()
  local described = hosts.v2(0, "/", { files = { [C .. "/cgroup.type"] = "domain\n", [C .. "/cgroup.procs"] = "1\n4242\n" } })
  t.equal(enable(described, { "cpu" }), { "occupied", C, "cpu" })
  t.equal(enable(described, { "pids" }), { list = { { dir = C .. "/luge", controllers = { "pids" } } } }, "enabled before")
  described.files[C .. "/cgroup.procs"] = "4242\n"
  t.equal(enable(described, { "cpu" }).leave, C)
end)

t.test("this host can be read", function()
  local l = layout.gather()
  t.ok(({ v1 = true, v2 = true, hybrid = true, none = true })[l:kind()])
  local pids = l:find "pids"
  if pids then t.ok(t.must(require "syscall".stat(pids.mount)).type == "directory") end
end)
