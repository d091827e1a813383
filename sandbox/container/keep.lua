-- SPDX-License-Identifier: MIT
-- sandbox.container.keep: copies artifacts out of a container that has ended.
--
-- A child of luge joins the container's user and mount namespace, where a path means what it meant to the
-- command, opens what the globs match and sends the descriptors back; luge copies them. The container is dead by
-- then, so nothing changes meanwhile; its names are still somebody else's, and are only ever used below `to`.

local S = require "syscall"

local M = {}

local DEPTH = 64 -- directories in directories
local NAME_MAX = 255
local PATH_SIZE = (DEPTH + 2) * (NAME_MAX + 1) -- longer than PATH_MAX: each name is opened in the directory before

-- "*.log" as a Lua pattern for one whole name.
local function name_pattern(glob)
  local pattern = glob:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".")
  return "^" .. pattern .. "$"
end

-- Calls found(parent directory, name) for each name that the rest of a glob's components matches. A name that
-- starts with a dot is matched only by a pattern that does.
local function expand(directory, components, index, found)
  local component = components[index]
  local names = { component }
  if component:find("[*?]") then
    names = {}
    local pattern = name_pattern(component)
    for _, entry in ipairs(S.getdents(directory) or {}) do
      local hidden = entry.name:sub(1, 1) == "." and component:sub(1, 1) ~= "."
      if not hidden and entry.name:match(pattern) then names[#names + 1] = entry.name end
    end
    table.sort(names)
  end
  for _, name in ipairs(names) do
    if index == #components then
      found(directory, name)
    else
      local below = S.openat(directory, name, "rdonly, directory, nofollow")
      if below then
        expand(below, components, index + 1, found)
        below:close()
      end
    end
  end
end

-- Sends a regular file, or what is below a directory; anything else, links among it, is passed over.
local function send(channel, parent, name, path, depth)
  local st = S.fstatat(parent, name, "symlink_nofollow")
  if not st then return end
  if st.type == "file" then
    local fd = S.openat(parent, name, "rdonly, nofollow, nonblock, noctty")
    if fd then
      S.sendmsg(channel, { data = path, fds = { fd } })
      fd:close()
    end
  elseif st.type == "directory" and depth < DEPTH then
    local fd = S.openat(parent, name, "rdonly, directory, nofollow")
    if not fd then return end
    S.sendmsg(channel, { data = path .. "/" })
    for _, entry in ipairs(S.getdents(fd) or {}) do
      send(channel, fd, entry.name, path .. "/" .. entry.name, depth + 1)
    end
    fd:close()
  end
end

-- An id that the namespace has: its root wherever it has one.
local function first_id(kind)
  return tonumber((S.readfile("/proc/self/" .. kind .. "_map") or ""):match("^%s*(%d+)")) or 0
end

local function offer(channel, artifacts, symbols)
  if symbols["keep.user"] then assert(S.setns(symbols["keep.user"], "newuser")) end
  local uid, gid = first_id "uid", first_id "gid"
  assert(S.setns(symbols["keep.mount"], "newns"))
  if symbols["keep.user"] then
    -- As luge's own user it could read files of the host that the command could not.
    assert(S.setresgid(gid, gid, gid))
    assert(S.setresuid(uid, uid, uid))
  end
  local root = assert(S.open("/", "rdonly, directory"))
  for _, glob in ipairs(artifacts) do
    local components = {}
    for component in glob:gmatch("[^/]+") do components[#components + 1] = component end
    if #components > 0 then
      local matched = false
      expand(root, components, 1, function(parent, name)
        matched = S.fstatat(parent, name, "symlink_nofollow") ~= nil or matched
        send(channel, parent, name, name, 0)
      end)
      -- A path with a slash in front is no artifact's name, but the pattern that matched none.
      if not matched then S.sendmsg(channel, { data = glob }) end
    end
  end
end

-- "dir/file" split; nil where a component could lead out of the directory it is used in.
local function safe_components(path)
  local list = {}
  for name in path:gmatch("[^/]+") do
    if name == "." or name == ".." or #name > NAME_MAX or name:find("%z") then return nil end
    list[#list + 1] = name
  end
  return #list > 0 and list or nil
end

-- The directory of the last component, made as needed and never through a link.
local function descend(to, components, last)
  local directory = to
  for i = 1, last do
    S.mkdirat(directory, components[i], "0755")
    local below, err = S.openat(directory, components[i], "rdonly, directory, nofollow")
    if directory ~= to then directory:close() end
    if not below then return nil, err end
    directory = below
  end
  return directory
end

-- Copying ends at a signal, between one piece and the next; what was copied in part goes. Returns whether one came.
local function is_stopped(kept)
  if not kept.stopped and kept.signals and S.signalfd_read(kept.signals) then kept.stopped = true end
  return kept.stopped
end

local function write_all(fd, data)
  while data ~= "" do
    local n, err = S.write(fd, data)
    if not n then return nil, err end
    data = data:sub(n + 1)
  end
  return true
end

local STREAM_MAX = 16 << 20

-- What has no size may have content all the same, as a file of /proc has; it may also be one that never ends.
local function copy_stream(from, target, kept)
  local total = 0
  while total <= STREAM_MAX do
    if is_stopped(kept) then return S.failure("INTR") end
    local data, err = S.read(from, 65536)
    if not data then return nil, err end
    if data == "" then return true end
    local ok
    ok, err = write_all(target, data)
    if not ok then return nil, err end
    total = total + #data
  end
  return S.failure("FBIG", "it has no size, and more than 16 MiB came out of it")
end

-- Holes stay holes: a file of a few bytes may say that it is as large as every disk.
local function copy_content(from, target, kept)
  local size, at = S.fstat(from).size, 0
  if size == 0 then return copy_stream(from, target, kept) end
  while at < size do
    local data, err = S.lseek(from, at, "data")
    if not data and not err.NXIO then return nil, err end
    if not data or data >= size then break end
    at = math.min(S.lseek(from, data, "hole") or size, size)
    S.lseek(target, data)
    while data < at do
      if is_stopped(kept) then return S.failure("INTR") end
      local n
      n, err = S.sendfile(target, from, data, math.min(at - data, 1 << 20))
      if not n then return nil, err end
      if n == 0 then return true end
      data = data + n
    end
  end
  return S.ftruncate(target, size)
end

-- A file that an earlier run of the same container left gives way.
local function make_room(directory, name, made)
  local there = made and S.fstatat(directory, name, "symlink_nofollow")
  if there and there.ino == made then S.unlinkat(directory, name) end
end

-- One file: a name that is there already is kept as it is.
local function receive_file(to, components, from, owner, kept)
  local directory, err = descend(to, components, #components - 1)
  if not directory then return nil, err end
  local path = table.concat(components, "/")
  make_room(directory, components[#components], kept.made[path])
  local mode = S.fstat(from).perm & 493 -- 0755: never set-uid, never writable to others
  local target
  target, err = S.openat(directory, components[#components], "creat, excl, wronly, nofollow", mode)
  local ok = target
  if target then
    ok, err = copy_content(from, target, kept)
    if not ok then S.unlinkat(directory, components[#components]) end
    S.fchown(target, owner.uid, owner.gid)
    kept.made[path] = ok and S.fstat(target).ino or nil
    target:close()
  end
  if directory ~= to then directory:close() end
  return ok, err
end

local function receive(channel, to, kept)
  local owner = S.fstat(to)
  while not is_stopped(kept) do
    local message = S.recvmsg(channel, { size = PATH_SIZE, max_fds = 1 })
    if not message or message.data == "" then return end
    local components = safe_components(message.data)
    local from = message.fds and message.fds[1]
    local ok, err = true, nil
    if message.data:sub(1, 1) == "/" then
      ok, err = false, "nothing in the container is called so"
    elseif components and from then
      ok, err = receive_file(to, components, from, owner, kept)
      kept.files = kept.files + (ok and 1 or 0)
    elseif components then
      ok, err = descend(to, components, #components)
      if ok then ok:close() end
    end
    if from then from:close() end
    if not ok then
      local why = type(err) ~= "string" and err.EXIST and "it is there already, and stays: remove it first, or choose another `to`"
      kept.failed[#kept.failed + 1] = ("%s: %s"):format(message.data, why or tostring(err))
    end
  end
end

-- What lies below a directory in which the container may have put a link: none is followed.
local function open_below(above, rest)
  local fd, err = S.open(above, "path, directory, cloexec")
  local made
  for name, more in rest:gmatch "([^/]+)(/*)" do
    if not fd then break end
    made = more == "" and S.mkdirat(fd, name, "0755") ~= nil
    local below
    below, err = S.openat(fd, name, "rdonly, directory, nofollow, cloexec")
    fd:close()
    fd = below
  end
  return fd, err, made
end

--- Where the copies will go, opened before the container can put a link in its place: it may lie in a directory
-- that is bound writable. Made where it is missing. crossing: { above, rest } of it, as sandbox.plan.reach says, or nil.
-- Returns { fd =, err =, made = }.
function M.open(keep, crossing)
  local fd, ok, err, made
  if crossing then
    fd, err, made = open_below(crossing[1], crossing[2])
  else
    made = S.lstat(keep.to) == nil
    ok, err = S.ensure_directory(keep.to, "0755")
    if ok then fd, err = S.open(keep.to, "rdonly, directory, cloexec") end
  end
  return { fd = fd, err = err, made = made and fd ~= nil }
end

--- The outcome where the place could not be opened: nothing is started whose artifacts would be lost.
function M.failure(keep, to)
  return { failed = true, index = 0, err = to.err,
    step = { op = "ensure_directory", why = "keep.to", args = { { literal = keep.to } } } }
end

--- Takes back what M.open made, where no container came to be.
function M.forget(keep, to)
  if to.made then S.rmdir(keep.to) end
end

--- Copies the artifacts of `keep` to what M.open gave, until `signals` has one to read; returns { files = how many,
-- failed = { "name: why"… }, made = path → inode }. made: of an earlier run of the container, whose copies are replaced.
function M.copy(keep, opened, symbols, signals, made)
  local kept = { files = 0, failed = {}, signals = signals, made = made or {} }
  local to = opened.fd
  local here, there = S.socketpair("unix", "seqpacket")
  local pid = S.fork()
  if pid == 0 then
    here:close()
    local ok = pcall(offer, there, keep.artifacts, symbols)
    S.exit(ok and 0 or 1)
  end
  there:close()
  receive(here, to, kept)
  if kept.stopped then
    kept.failed[#kept.failed + 1] = "stopped by a signal"
    S.kill(pid, "kill")
  end
  local status = pid and S.waitid("pid", pid, "exited")
  if not kept.stopped and (not status or status.status ~= 0) then
    kept.failed[#kept.failed + 1] = "the container's files could not be reached"
  end
  return kept
end

return M
