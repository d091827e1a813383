-- SPDX-License-Identifier: MIT
-- Hosts described in text, for the tests of cgroup layouts and plans: what /proc and the cgroup files say there.
--
--   local hosts = dofile "tests/lua/cgroup_hosts.lua"
--   local layout = hosts.layout(hosts.hybrid { uid = 0 })

local layout = require "sandbox.plan.cgroup_layout"

local M = {}

local PID = 4242

local function mounts(list)
  local lines = { "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw", "25 22 0:22 / /proc rw - proc proc rw" }
  for i, mount in ipairs(list) do
    lines[#lines + 1] = ("%d 30 0:%d %s %s rw,nosuid shared:%d - %s %s rw%s"):format(30 + i, 27 + i, mount.root or "/",
      mount.at, i, mount.kind or "cgroup", mount.kind or "cgroup", mount.names and "," .. mount.names or "")
  end
  return table.concat(lines, "\n") .. "\n"
end

local function v1(names)
  return { at = "/sys/fs/cgroup/" .. names, names = names }
end

-- A host: files by path, directories that may be written, directories that systemd gave away.
local function host(how)
  return { files = how.files, writable = how.writable or {}, delegated = how.delegated or {}, uid = how.uid }
end

local function root_writes(at, own)
  local set = {}
  for _, dir in ipairs(at) do
    for _, path in ipairs { dir, dir .. (own or "") } do
      for _, file in ipairs { "", "/cgroup.procs", "/cgroup.subtree_control" } do set[path .. file] = true end
    end
  end
  return set
end

--- An old host: every controller on version 1, cpu and cpuacct together.
function M.v1(uid)
  local own = "12:pids:/user.slice\n11:hugetlb:/\n10:cpu,cpuacct:/user.slice\n9:memory:/user.slice\n8:blkio:/\n7:cpuset:/\n"
    .. "6:devices:/user.slice\n5:freezer:/\n1:name=systemd:/user.slice/session-1.scope\n"
  local list, at = {}, {}
  for i, names in ipairs { "pids", "hugetlb", "cpu,cpuacct", "memory", "blkio", "cpuset", "devices", "freezer" } do
    list[i], at[i] = v1(names), "/sys/fs/cgroup/" .. names
  end
  list[#list + 1] = { at = "/sys/fs/cgroup/systemd", names = "xattr,name=systemd" }
  return host { uid = uid, writable = uid == 0 and root_writes(at) or {}, files = {
    ["/proc/self/cgroup"] = own, ["/proc/self/mountinfo"] = mounts(list),
    ["/sys/fs/cgroup/cpuset/cpuset.cpus"] = "0-3\n" } }
end

--- The hybrid host of the tests: all on version 1 but hugetlb.
function M.hybrid(uid)
  local own, list, at = "9:name=systemd:/\n0::/\n", {}, { "/sys/fs/cgroup/unified" }
  for i, name in ipairs { "pids", "cpu", "cpuacct", "memory", "blkio", "cpuset", "devices", "freezer" } do
    own = own .. ("%d:%s:/%s\n"):format(i, name, name == "memory" and "agent" or "")
    list[i], at[#at + 1] = v1(name), "/sys/fs/cgroup/" .. name
  end
  list[#list + 1] = { at = "/sys/fs/cgroup/unified", kind = "cgroup2" }
  return host { uid = uid, writable = uid == 0 and root_writes(at) or {}, files = {
    ["/proc/self/cgroup"] = own, ["/proc/self/mountinfo"] = mounts(list),
    ["/sys/fs/cgroup/unified/cgroup.controllers"] = "hugetlb\n",
    ["/sys/fs/cgroup/unified/cgroup.subtree_control"] = "\n",
    ["/sys/fs/cgroup/unified/cgroup.procs"] = "1\n4242\n",
    ["/sys/fs/cgroup/cpuset/cpuset.cpus"] = "0-3\n" } }
end

local V2 = "cpuset cpu io memory hugetlb pids rdma\n"
local C = "/sys/fs/cgroup"

--- Version 2 alone. session: luge's own cgroup. files, writable, delegated: more of the host.
function M.v2(uid, own, more)
  more = more or {}
  local files = { ["/proc/self/cgroup"] = "0::" .. own .. "\n", ["/proc/self/mountinfo"] = mounts { { at = C, kind = "cgroup2" } },
    [C .. "/cgroup.controllers"] = V2, [C .. "/cgroup.subtree_control"] = "memory pids\n",
    [C .. "/cpuset.cpus.effective"] = "0-3\n", [C .. "/cgroup.procs"] = "2\n3\n" }
  if own ~= "/" then files[C .. own .. "/cgroup.procs"] = "4242\n" end
  for path, text in pairs(more.files or {}) do files[path] = text end
  local writable = uid == 0 and root_writes({ C }, own) or {}
  for _, dir in ipairs(more.writable or {}) do
    for path in pairs(root_writes { C .. dir }) do writable[path] = true end
  end
  local delegated = {}
  for _, dir in ipairs(more.delegated or {}) do delegated[C .. dir] = true end
  return host { uid = uid, files = files, writable = writable, delegated = delegated }
end

M.SCOPE = "/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope"

--- A user in a scope that systemd delegated (systemd-run --user --scope -p Delegate=yes). beside: who else is in it.
function M.scope(beside)
  local slice = M.SCOPE:match "^(.*)/[^/]+$"
  return M.v2(1000, M.SCOPE, { writable = { M.SCOPE, slice, slice:match "^(.*)/[^/]+$" }, files = {
    [C .. M.SCOPE .. "/cgroup.procs"] = (beside and beside .. "\n" or "") .. PID .. "\n",
    [C .. M.SCOPE .. "/cgroup.controllers"] = "memory pids\n", [C .. M.SCOPE .. "/cgroup.subtree_control"] = "\n" } })
end

--- The same, but the shell that started luge had made itself a leaf in it.
function M.leaf()
  return M.v2(1000, M.SCOPE .. "/shell", { writable = { M.SCOPE .. "/shell", M.SCOPE }, files = {
    [C .. M.SCOPE .. "/shell/cgroup.procs"] = "100\n4242\n", [C .. M.SCOPE .. "/cgroup.procs"] = "\n",
    [C .. M.SCOPE .. "/cgroup.controllers"] = "memory pids\n", [C .. M.SCOPE .. "/cgroup.subtree_control"] = "\n" } })
end

--- A user's session as a login makes it: its scope is root's.
function M.session() return M.v2(1000, "/user.slice/user-1000.slice/session-3.scope") end

--- A layout of such a host.
function M.layout(described)
  local files = described.files
  return layout.new {
    read = function(path) return files[path] end,
    exists = function(path)
      if files[path] then return true end
      for known in pairs(files) do
        if known:sub(1, #path + 1) == path .. "/" then return true end
      end
      return false
    end,
    writable = function(path) return described.writable[path] == true end,
    delegated = function(path) return described.delegated[path] == true end,
    pid = PID,
  }
end

return M
