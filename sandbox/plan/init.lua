-- SPDX-License-Identifier: MIT
-- sandbox.plan: a spec and facts of the host become the steps that `luge plan` prints and `luge run` takes.
--
-- A pure function: it asks facts, changes nothing, and gives the same steps for the same answers. Where the
-- host cannot give what the spec asks, the result is faults, never a weaker plan.

local Steps = require "sandbox.plan.steps"
local cgroups = require "sandbox.plan.cgroups"
local mounts = require "sandbox.plan.mounts"
local namespaces = require "sandbox.plan.namespaces"
local process = require "sandbox.plan.process"
local tree = require "sandbox.plan.tree"
local users = require "sandbox.plan.users"
local network = require "netns.plan"

local M = {}

local context = {}
context.__index = context

--- Notes what the host cannot give; planning goes on, so that all faults are shown at once.
-- item: the entry of a list that says it, where the path does not.
function context:fault(path, message, hint, item)
  if #self.faults >= require("sandbox.profile.errors").MOST_FAULTS then return end
  self.faults[#self.faults + 1] = { path = path, message = message, hint = hint, item = item }
end

-- The accounts of the root "system", which has no files of the host's: root, nobody and the container's user.
local function synthesise_accounts(c)
  local want, facts = c.spec.user, c.facts
  local own = c.spec.id_map.type == "self" and facts.user or "user"
  local known = { { name = "root", uid = 0, gid = 0, home = "/root" },
    { name = "nobody", uid = 65534, gid = 65534, home = "/nonexistent" } }
  if (want.uid or 0) ~= 0 and want.uid ~= 65534 then
    if own == "root" or own == "nobody" then own = "user" end
    known[3] = { name = own, uid = want.uid, gid = want.gid or want.uid, home = "/home/" .. own }
  end
  local passwd, group = {}, {}
  for i, user in ipairs(known) do
    passwd[i] = ("%s:x:%d:%d::%s:/bin/sh\n"):format(user.name, user.uid, user.gid, user.home)
    group[i] = ("%s:x:%d:\n"):format(user.uid == 65534 and "nogroup" or user.name, user.gid)
  end
  c.accounts = { passwd = table.concat(passwd), group = table.concat(group) .. "tty:x:5:\n", known = known }
end

local function known_account(c, want)
  for _, user in ipairs(c.accounts.known) do
    if want.name == user.name or not want.name and want.uid == user.uid then return user end
  end
end

-- The directory whose passwd file names the users, or nil for the synthesised one: of layers the highest that has
-- one.
local function accounts_root(c, root)
  if root.type == "directory" then return root.path end
  for i = #(root.lower or {}), 1, -1 do
    if i == 1 or c.facts:stat_in_root(root.lower[i], "/etc/passwd") then return root.lower[i] end
  end
  if root.type == "host" then return "/" end
end

-- Whether the container's own files can name nobody but whom the plan found, so that the child need not look again.
local function user_is_known(c)
  local root = c.spec.root
  if root.type ~= "system" and (root.type ~= "directory" or root.upper or root.overlay) then return false end
  for _, mount in ipairs(c.spec.mounts) do
    local target = mount.target
    if target == "/etc" or target == "/etc/passwd" or target == "/etc/group" then return false end
  end
  return true
end

-- Who the user is, as far as it can be known before the container exists; the child looks again.
local function find_user(c)
  local want, root = c.spec.user, c.spec.root
  local dir = accounts_root(c, root)
  if not dir then
    synthesise_accounts(c)
    local user = known_account(c, want)
    if not user and want.name then
      c:fault("user", ("no user '%s': this root has root and nobody"):format(want.name),
        "write \"uid:gid\", or a root directory that has the user")
    end
    user = user or { uid = want.uid or 0, gid = want.gid or 0, home = "/" }
    local gid = want.gid or user.gid
    if want.group_name then
      gid = tonumber(("\n" .. c.accounts.group):match("\n" .. want.group_name:gsub("%p", "%%%0") .. ":x:(%d+):"))
      if not gid then
        c:fault("user", ("no group '%s': this root has root, nogroup and tty"):format(want.group_name),
          "write \"uid:gid\", or a root directory that has the group")
      end
    end
    return { name = user.name, uid = user.uid, gid = gid or 0, home = user.home,
      groups = type(want.groups) == "table" and want.groups or nil }
  end
  local user, err = c.facts:lookup_user(dir, want)
  if user then return user end
  if not c.facts:stat(dir) then
    c:fault("root", ("%s does not exist"):format(dir), "name a directory that holds a root file system")
  else
    c:fault("user", ("%s: %s"):format(dir, err.text or tostring(err)), "write \"uid:gid\", or choose another user")
  end
  return { uid = want.uid or 0, gid = want.gid or 0, home = "/" }
end

local function check_root(c)
  local root = c.spec.root
  local dirs = root.type == "directory" and { root.path } or root.lower or {}
  for _, dir in ipairs(dirs) do
    local st = c.facts:stat(dir)
    if not st then
      c:fault("root", ("%s does not exist"):format(dir), "name a directory that holds a root file system")
    elseif st.type ~= "directory" then
      c:fault("root", ("%s is no directory"):format(dir), "unpack it first; an image is not mounted")
    end
  end
end

-- luge writes to its child's files below /proc: they must not be those of a stranger.
local function check_proc(c)
  if c.facts.no_proc then
    return c:fault("namespaces", "/proc is not mounted here, and by it luge knows the kernel and steers its child",
      "mount it first: mount -t proc proc /proc")
  end
  if not c.facts.foreign_proc then return end
  c:fault("namespaces.pid", "/proc belongs to another pid namespace than luge's own: it shows other processes by luge's numbers",
    "mount a new one first: unshare --mount-proc, or mount -t proc proc /proc")
end

local function check_user(c)
  local groups = c.spec.user.groups
  if groups and groups ~= "keep" and #groups > 0 and not c.ids.setgroups then
    c:fault("user.groups", "an ordinary user with one mapped group cannot set others",
      "leave groups out, or map a range: id_map = \"auto\" with /etc/subgid")
  end
end

-- What two containers must not share: the name, and the range of ids. A lock dies with its luge, and what it
-- leaves behind is an empty file that the next one takes over. The name is also that of the socket at which luge
-- answers (sandbox.container.control), and of the record that a detached container leaves (sandbox.container.record).
local function take_names(c)
  local steps = c.steps
  steps:add("host", "name", "ensure_directory", { "$state", "0700" })
  local note = "profile " .. (c.spec.profile_name or "-") .. "\n" .. (c.options.group and "group " .. c.options.group .. "\n" or "")
  if c.spec.restart or c.spec.health then
    note = note .. require("sandbox.container.vitals").line(0, "running", c.spec.health and "starting")
  end
  steps:add("host", "name", "take_lock", { "${state}/${name}.lock", note },
    { save = "$lock.name", undo = { "unlink", { "${state}/${name}.lock" } } })
  steps:add("host", "name", "ensure_free", { "${state}/${name}.json" })
  steps:add("host", "name", "listen_at", { "${state}/${name}.sock" },
    { save = "$control", undo = { "unlink", { "${state}/${name}.sock" } } })
  if not c.ids.range then return end
  steps:add("host", "id_map", "take_slot", { "${ranges}/range.", c.ids.pool },
    { save = "$range", undo = { "unlink", { "${ranges}/range.${range}" } } })
end

-- A first process that is not luge's own may shed the signal that ends it with its luge; and a detached container is
-- asked for by others. The lock's file then says who it is.
local function note_process(c)
  if c.spec.init and not c.options.detach and not c.options.group then return end
  c.steps:add("attach", "name", "note_process", { "$lock.name", "$child" })
end

-- Steps by which a protection comes into force; optional(…) accepts that the kernel refuses one.
local PROTECTS = { setrlimit = true, prlimit = true, setpriority = true, sched_setaffinity = true,
  sched_setscheduler = true, writefile = true, seccomp_load = true }

local function mark_optional(steps, optional)
  if not next(optional) then return end
  for _, step in ipairs(steps.list) do
    local field = step.why:match("^sysctl") or step.why
    if optional[field] and PROTECTS[step.op] then step.optional = true end
  end
end

-- What `keep` copies out at the end is reached through the container's mount namespace, which these descriptors keep
-- alive after its last process.
local function keep_namespaces(c)
  if not c.spec.keep then return end
  local above, rest = require("sandbox.plan.reach").crossing(c, c.spec.keep.to)
  c.keep_crossing = above and { above, rest }
  if c.ids.userns then
    c.steps:add("attach", "keep", "open", { "/proc/${child}/ns/user", "rdonly, cloexec" }, { save = "$keep.user" })
  end
  c.steps:add("attach", "keep", "open", { "/proc/${child}/ns/mnt", "rdonly, cloexec" }, { save = "$keep.mount" })
end

local PLACES = { "host", "clone", "attach", "guest", "seal", "started", "stopped" }

-- The parts of a plan add steps of several places side by side; the run takes one place after the other.
local function in_order(list)
  local places, sorted = {}, {}
  for _, place in ipairs(PLACES) do places[place] = {} end
  for _, step in ipairs(list) do
    local steps = places[step.where]
    steps[#steps + 1] = step
  end
  Steps.mark_feeding(places.attach)
  for _, place in ipairs(PLACES) do table.move(places[place], 1, #places[place], #sorted + 1, sorted) end
  return sorted
end

--- The steps of a container. options: report (the receipt is wanted), detach, group = the name of its group, trusted =
-- uids whose hooks root runs.
---@return table|nil plan { steps =, ids =, user =, constants = } or nil
---@return table|nil faults list of { path =, message =, hint = }
function M.compile(spec, facts, options)
  local c = setmetatable({ spec = spec, facts = facts, options = options or {}, faults = {}, steps = Steps.new(),
    constants = {}, written = {} }, context)
  for _, mount in ipairs(spec.mounts) do c.written[mount.target] = true end
  check_proc(c)
  check_root(c)
  if #c.faults > 0 then return nil, c.faults end
  c.user = find_user(c)
  c.home = spec.env.HOME or c.user.home
  users.decide(c)
  check_user(c)
  if #c.faults > 0 then return nil, c.faults end

  -- Asked last: standard streams that are no terminal are the rule for programs.
  if spec.terminal == true or spec.terminal == "auto" and facts.on_terminal then
    require("sandbox.plan.terminal").decide(c)
  end
  local steps = c.steps
  steps:add("host", "umask", "umask", { 0 }, { save = "$umask" })
  take_names(c)
  cgroups.plan(c)
  namespaces.clone(c)
  cgroups.enter(c)
  users.plan(c)
  keep_namespaces(c)
  note_process(c)
  tree.decide(c)
  users.become_root(c)
  namespaces.join(c)
  namespaces.settings(c)
  process.stdin(c)
  process.output(c)
  mounts.plan(c)
  mounts.pivot(c)
  network.interfaces(c)
  steps:add("guest", "user", "lookup_user", { "/", spec.user }, { save = "$user" })
  if c.terminal then require("sandbox.plan.terminal").plan(c) end
  if spec.hooks.timeout then require("sandbox.plan.hooks").plan(c) end
  steps:add("attach", "umask", "umask", { "$umask" }, { beside = true }) -- what luge does from then on is as its caller wants it
  users.lock_mounts(c)
  process.seal(c)
  mark_optional(steps, spec.optional)
  if #c.faults > 0 then return nil, c.faults end
  return { steps = in_order(steps.list), ids = c.ids, user = c.user, user_is_known = user_is_known(c), home = c.home,
    constants = c.constants, new_pid = c.new_pid, setid_guard = c.setid_guard, cgroup = c.cgroup, terminal = c.terminal,
    network = c.network, firewall = c.firewall, own_firewall = c.own_firewall,
    keep_crossing = c.keep_crossing, targets = c.targets,
    takes_ranges = c.ids.range ~= nil or c.network ~= nil or c.shared ~= nil
      or spec.network.pod ~= nil }
end

return M
