-- SPDX-License-Identifier: MIT
-- sandbox.plan.facts: what the plan needs to know of the host, asked once and only when wanted.
--
-- Nothing here changes the host. A plan is a pure function of a spec and these facts.

local S = require "syscall"
local list = require "sandbox.plan.list"
local must = require "sandbox.must"

local M = {}

-- The passwd line of a user: { name=, uid=, gid=, home= } or nil.
local function passwd_of(uid)
  for line in (must.text "/etc/passwd" or ""):gmatch("[^\n]+") do
    local name, id, gid, home = line:match("^([^:]*):[^:]*:(%d+):(%d+):[^:]*:([^:]*)")
    if id and tonumber(id) == uid then
      return { name = name, uid = uid, gid = tonumber(gid), home = home }
    end
  end
end

-- Every range of a subordinate id file: a list of { first=, count= }.
local function ranges_of(path)
  local ranges = {}
  for first, count in (must.text(path) or ""):gmatch("[^\n:]*:(%d+):(%d+)") do
    ranges[#ranges + 1] = { first = tonumber(first), count = tonumber(count) }
  end
  return ranges
end

-- The subordinate ranges of a user, from /etc/subuid or /etc/subgid: a list of { first=, count= }.
local function subordinate(path, name, id)
  local ranges = {}
  for line in (must.text(path) or ""):gmatch("[^\n]+") do
    local owner, first, count = line:match("^([^:]+):(%d+):(%d+)")
    if owner and (owner == name or owner == tostring(id)) then
      ranges[#ranges + 1] = { first = tonumber(first), count = tonumber(count) }
    end
  end
  return ranges
end

local function find_program(name)
  for dir in ("/usr/bin:/bin:/usr/local/bin:/usr/sbin:/sbin"):gmatch("[^:]+") do
    local path = dir .. "/" .. name
    if S.access(path, "x") then return path end
  end
end

local function own_capabilities() return must("luge's own capabilities", S.capget()) end

local function has_capability(name) return list.has(own_capabilities().effective, name) end

local function own_cpus() return must("the processors that luge may run on", S.sched_getaffinity(0)) end

-- Each fact is found on first use: a run that needs no memory size does not read /proc/meminfo.
local function own_extents(kind)
  local extents = {}
  for first, above, count in (must.text("/proc/self/" .. kind .. "_map") or ""):gmatch "(%d+)%s+(%d+)%s+(%d+)" do
    extents[#extents + 1] = { first = tonumber(first), above = tonumber(above), count = tonumber(count) }
  end
  return extents
end

-- Whether the namespace of that kind that luge is in is its user namespace's, or of one below: what is of one above heeds
-- no capability of luge's.
local function owns(f, kind)
  if f.initial_userns then return true end
  local fd = S.open("/proc/self/ns/" .. kind, "rdonly, cloexec")
  local owner = fd and S.ioctl(fd, "ns_get_userns")
  if fd then fd:close() end
  if owner then S.close(owner) end
  return owner ~= nil
end

local finders = {
  -- A directory that was removed, or lies outside our root, has no path but this one.
  cwd = function()
    local path = S.getcwd()
    return path and path:sub(1, 1) == "/" and path or "/proc/self/cwd"
  end,
  uid = function() return S.geteuid() end,
  gid = function() return S.getegid() end,
  env = S.environ,
  passwd = function(f) return passwd_of(f.uid) or {} end,
  user = function(f) return f.passwd.name or tostring(f.uid) end,
  home = function(f) return f.env.HOME or f.passwd.home or "/" end,
  arch = function() return S.uname().machine end,
  kernel = function() return S.uname().release end,
  cpus = function() return #own_cpus() end,
  memory = function()
    return (tonumber((must.text "/proc/meminfo" or ""):match("MemTotal:%s*(%d+)")) or 0) * 1024
  end,
  -- Those that luge can pass on without a user namespace.
  own_capabilities = function() return own_capabilities().permitted end,
  -- CAP_SYS_ADMIN: namespaces, mounts and id maps can be made without a user namespace of our own. In a nested user
  -- namespace the mounts that luge sees may belong to one above (unshare -r without -m), and then it is nobody there.
  privileged = function(f) return has_capability "sys_admin" and owns(f, "mnt") end,
  -- The first user namespace of the machine: device nodes and idmapped mounts of its file systems work.
  initial_userns = function()
    return (must.text "/proc/self/uid_map" or ""):match("^%s*0%s+0%s+4294967295%s*$") ~= nil
  end,
  -- The ids that luge's own user namespace has, { first =, above = the first's number in the one above, count = } each.
  own_ids = function() return { uids = own_extents "uid", gids = own_extents "gid" } end,
  -- Those of a namespace whose maker had no power over his own groups (unshare -r), and of all below it.
  setgroups_denied = function(f) return not f.initial_userns and (must.text "/proc/self/setgroups" or ""):find "^deny" ~= nil end,
  -- /proc of another pid namespace than luge's: by luge's numbers it has other processes, or none.
  foreign_proc = function()
    local pid = S.readlink "/proc/self"
    return pid ~= nil and pid ~= tostring(S.getpid())
  end,
  no_proc = function() return S.readlink "/proc/self" == nil end,
  -- CAP_SYS_RESOURCE over the whole machine: hard limits can be raised.
  sys_resource = function(f) return f.initial_userns and has_capability "sys_resource" end,
  -- CAP_SYS_NICE over the machine: priorities can be raised.
  sys_nice = function(f) return f.initial_userns and has_capability "sys_nice" end,
  -- Power over the network that luge itself is in.
  net_admin = function(f) return has_capability "net_admin" and owns(f, "net") end,
  -- The number of that network namespace.
  netns = function() return must("luge's own network namespace", S.stat("/proc/self/ns/net")).ino end,
  -- IPv6 of a new network: a kernel may be without, or it is switched off at boot. Nothing else is handed down: not what its
  -- maker's or the machine's own network has in conf.default.disable_ipv6 (addrconf_init_net).
  ipv6 = function(f)
    if not f:stat "/proc/net/if_inet6" then return false end
    return not (must.text "/sys/module/ipv6/parameters/disable_ipv6" or "0"):find "^1"
  end,
  -- Where that network has routes to, as netns.pool takes them.
  host_networks = function() return must("the routes of luge's own network", require("netns.pool").host_networks()) end,
  -- Its addresses there, but for those that only neighbours know.
  host_addresses = function()
    return must("the addresses of luge's own network", require("netns.host_addresses").list())
  end,
  -- The programs of netns.helper that are installed, and whether we may open the device that they need: "open", "closed" or
  -- "missing".
  helpers = function() return { pasta = find_program("pasta"), slirp4netns = find_program("slirp4netns") } end,
  tun = function()
    local ok, err = S.access("/dev/net/tun", "r, w")
    return ok and "open" or err.NOENT and "missing" or "closed"
  end,
  -- Name servers that a container can reach as well: not those of the host's loopback. Where systemd's is there, the ones
  -- that it asks.
  name_servers = function()
    for _, path in ipairs { "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf" } do
      local servers = {}
      for server in ("\n" .. (must.text(path) or "")):gmatch("\nnameserver[ \t]+([%x.:]+)") do
        if not server:find "^127%." and server ~= "::1" and not server:find "^fe80" then servers[#servers + 1] = server end
      end
      if servers[1] then return servers end
    end
    return {}
  end,
  -- Links by which the host learns routes from IPv6 routers: 1, as long as it is none itself, or 2, which another luge may
  -- have made of it.
  router_links = function()
    local links = {}
    local names, up = require("netns.link").names()
    for index, name in pairs(must("the links of luge's own network", names, up)) do
      local is_own = name == "lo" or name:find "^lg"
      local accept = up[index] and not is_own and must.text(("/proc/sys/net/ipv6/conf/%s/accept_ra"):format(name))
      if accept and accept:find "^[12]" then links[#links + 1] = name end
    end
    table.sort(links)
    return links
  end,
  nice = function() return must("luge's own niceness", S.getpriority("process")) end,
  own_cpus = own_cpus,
  oom_score = function() return tonumber(must.text "/proc/self/oom_score_adj") or 0 end,
  capabilities = function() return S.cap_names() end,
  newuidmap = function() return find_program("newuidmap") end,
  newgidmap = function() return find_program("newgidmap") end,
  -- What users were given: a private range that met one of theirs would be in their hands.
  given_ranges = function()
    local uids, gids = ranges_of("/etc/subuid"), ranges_of("/etc/subgid")
    return table.move(gids, 1, #gids, #uids + 1, uids)
  end,
  subuid = function(f) return subordinate("/etc/subuid", f.user, f.uid) end,
  subgid = function(f) return subordinate("/etc/subgid", f.user, f.uid) end,
  cgroups = function() return require("sandbox.plan.cgroup_layout").gather() end,
  stdin_is_terminal = function() return S.isatty(0) == true end,
  on_terminal = function(f) return f.stdin_is_terminal and S.isatty(1) == true and S.isatty(2) == true end,
}

local methods = {}

--- What stat(2) says of a host path, remembered; nil when there is nothing.
function methods:stat(path)
  local known = self.seen[path]
  if known == nil then
    known = must.look(path, S.stat(path)) or false
    self.seen[path] = known
  end
  return known or nil
end

--- The type of what lies at a host path, "directory", "file"…; nil when there is nothing. Cheaper than all of stat.
function methods:kind(path)
  local known = self.seen[path]
  if known == nil then return (must.look(path, S.filetype(path))) end
  return known and known.type or nil
end

--- Whether a directory on the way to a host path is closed to the caller, who then cannot tell what is there.
function methods.closed(_, path)
  local _, err = S.stat(path)
  return err ~= nil and err.ACCES
end

--- Whether a link of luge's own network may have addresses of IPv6; of one that is not there yet, a new one.
function methods.link_ipv6(_, name)
  local form = "/proc/sys/net/ipv6/conf/%s/disable_ipv6"
  return not (must.text(form:format(name)) or must.text(form:format "default") or "0"):find "^1"
end

--- The limits luge itself runs under: { soft =, hard = }, "unlimited" for none.
function methods.rlimit(_, name)
  return must("luge's own limit " .. name, S.getrlimit(name))
end

--- The disk that a block device is or is a part of, or that holds a directory: "254:0", or nil.
function methods:disk(path)
  local st = self:stat(path)
  if not st then return nil end
  local major, minor = st.rdev.major, st.rdev.minor
  if st.type ~= "block" then -- as glibc's gnu_dev_major and gnu_dev_minor
    major, minor = st.dev >> 8 & 0xfff | st.dev >> 32 & ~0xfff, st.dev & 0xff | st.dev >> 12 & ~0xff
  end
  local at = ("/sys/dev/block/%d:%d"):format(major, minor)
  if not self:stat(at) then return nil end
  if not self:stat(at .. "/partition") then return ("%d:%d"):format(major, minor) end
  return (S.readfile(at .. "/../dev") or ""):match("%d+:%d+")
end

--- What the symbolic link `path` holds, or nil when it is none.
function methods:link(path)
  local target, err = S.readlink(path)
  if target or err.INVAL then return target end
  return (must.look(path, nil, err))
end

local function look_in_root(root, path, flags)
  local dir = must.look(root, S.open(root, "path, directory, cloexec"))
  if not dir then return nil end
  local fd, err = S.openat2(dir, path, { flags = flags, resolve = "in_root, no_magiclinks" })
  if not fd and not err.XDEV then must.look(root .. "/" .. path, fd, err) end
  local st = fd and must(root .. "/" .. path, S.fstat(fd))
  if fd then fd:close() end
  dir:close()
  return st
end

--- Who a user is by the files of a root directory: see S.lookup_user.
function methods.lookup_user(_, root, want)
  return S.lookup_user(root, want)
end

--- What a path below a root directory is, resolved as the container will see it; nil when it is missing.
function methods.stat_in_root(_, root, path)
  return look_in_root(root, path, "path, cloexec")
end

--- The same, of a symbolic link at the end itself.
function methods.lstat_in_root(_, root, path)
  return look_in_root(root, path, "path, nofollow, cloexec")
end

--- Whether only root can reach what lies in `path`: a directory above it is root's and lets nobody else
-- through. The last component does not count: the container may change its mode.
function methods.closed_above(_, path)
  local fd = S.open(path, "path, cloexec")
  local real = fd and S.readlink("/proc/self/fd/" .. fd:getfd()) or path
  if fd then fd:close() end
  while real ~= "/" and real ~= "" do
    real = real:match("^(.*)/[^/]*$")
    local st = S.lstat(real == "" and "/" or real)
    if st and st.type == "directory" and st.uid == 0 and st.perm & 9 == 0 then return true end
  end
  return false
end

-- Below an open directory: the path of the first set-id file, other file systems not entered.
local function find_setid(dirfd, path, dev)
  for _, entry in ipairs(must(path, S.getdents(dirfd))) do
    local name, kind = entry.name, entry.type
    local at = path .. "/" .. name
    if kind == "file" or kind == "unknown" then
      local st = must.look(at, S.fstatat(dirfd, name, "symlink_nofollow"))
      if st and st.type == "file" and st.perm & 3072 ~= 0 then return at end
      kind = st and st.type
    end
    if kind == "directory" then
      local sub = must.look(at, S.openat(dirfd, name, "rdonly, directory, nofollow, cloexec"))
      local found = sub and must(at, S.fstat(sub)).dev == dev and find_setid(sub, at, dev)
      if sub then sub:close() end
      if found then return found end
    end
  end
end

--- A file with a set-user-id or set-group-id bit in the directory `path`, or nil. What cannot be looked at raises.
function methods.setid_below(_, path)
  local dir = must.look(path, S.open(path, "rdonly, directory, cloexec"))
  local found = dir and find_setid(dir, path, must(path, S.fstat(dir)).dev)
  if dir then dir:close() end
  return found
end

--- Why a file on the host is no script for a hook, and the way out; nil where it is one. trusted: whose files root takes.
function methods:hook_fault(path, trusted)
  local why = self.uid == 0 and require("sandbox.profile.search").distrust(path, trusted)
  if why then return ("%s is refused: %s, and root runs only what nobody else can change"):format(path, why) end
  local script, err = S.read_script(path)
  if script then return nil end
  local text = rawget(err, "text")
  return text and (text:find(path, 1, true) and text or path .. ": " .. text) or ("%s: %s"):format(path, tostring(err)),
    err.NOENT and "a relative path starts beside the file that wrote it" or nil
end

local meta = {
  __index = function(facts, key)
    if methods[key] then return methods[key] end
    local find = finders[key]
    if not find then return nil end
    local value = find(facts)
    if value == nil then value = false end
    rawset(facts, key, value)
    return value
  end,
}

--- Facts of this host. `known` replaces facts by given ones, for tests and golden plans.
function M.gather(known)
  local facts = known or {}
  facts.seen = facts.seen or {}
  return setmetatable(facts, meta)
end

return M
