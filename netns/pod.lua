-- SPDX-License-Identifier: MIT
-- netns.pod: a network namespace that several processes share, made by the first. Each holds it open, and says so in a file
-- on which it has a shared lock: whoever comes finds it through any of those that live. The last one's end is its own.

local S = require "syscall"
local nl = require "netns"
local check = require "netns.check"

-- As in a network of a container's own; a kernel may be without.
local function open_ports()
  S.writefile("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
end

local held = {} -- path → { lock =, namespace = }

-- A new namespace with lo up, as a descriptor; the process itself stays where it is.
local function make()
  local own, err, errno = S.open("/proc/self/ns/net", "rdonly, cloexec")
  if not own then return nil, err, errno end
  local ok, namespace
  ok, err, errno = S.unshare "newnet"
  if ok then
    ok, err, errno = nl.up "lo"
    open_ports()
    if ok then namespace, err, errno = S.open("/proc/self/ns/net", "rdonly, cloexec") end
    assert(S.setns(own, "newnet")) -- else we would go on in the wrong network
  end
  own:close()
  return namespace, err, errno
end

-- The namespace that a copy of the process has come into, "net" or "user": prepare() in the copy, which then waits for its end.
local function of_copy(kind, flags, prepare, finish)
  local r, w = S.pipe "cloexec"
  if not r then return nil, w end
  local copy, err, errno = S.clone3 { flags = flags, exit_signal = "chld" }
  if not copy then return nil, err, errno end
  if copy == 0 then
    local ok, done, why = pcall(prepare)
    S.write(w, ("<i4"):pack(ok and done and 0 or ok and why.errno or S.c.E.INVAL))
    while true do S.nanosleep(3600) end
  end
  w:close()
  local answer = ("<i4"):unpack(S.read(r, 4) or "\1\0\0\0")
  r:close()
  local namespace
  if answer ~= 0 then
    err, errno = S.error(answer), answer
  else
    namespace, err, errno = S.open(("/proc/%d/ns/%s"):format(copy, kind), "rdonly, cloexec")
    if namespace and finish then
      local ok
      ok, err, errno = finish(copy)
      if not ok then namespace = nil end
    end
  end
  S.kill(copy, "kill")
  S.waitid("pid", copy, "exited")
  return namespace, err, errno
end

-- The same in a user namespace: an ordinary user's.
local function make_in(userns)
  return function()
    return of_copy("net", "", function()
      local ok, err = S.setns(userns, "newuser")
      if ok then ok, err = S.unshare "newnet" end
      if ok then ok, err = nl.up "lo" end
      open_ports()
      return ok, err
    end)
  end
end

-- A user namespace whose root the caller is.
local function make_users()
  return of_copy("user", "newuser", function() return true end, function(copy)
    local base = ("/proc/%d/"):format(copy)
    local ok, err, errno = S.writefile(base .. "setgroups", "deny")
    if ok then ok, err, errno = S.writefile(base .. "uid_map", ("0 %d 1\n"):format(S.geteuid())) end
    if ok then ok, err, errno = S.writefile(base .. "gid_map", ("0 %d 1\n"):format(S.getegid())) end
    return ok, err, errno
  end)
end

-- Who of those that a lock's file names lives.
local function holders(lock)
  local here, living = S.fstat(lock), {}
  for line, pid, age, number in (S.pread(lock, here and here.size or 0, 0) or ""):gmatch "(pod (%d+) (%d+) (%d+)\n)" do
    pid, age = tonumber(pid), tonumber(age)
    if S.process_age(pid) == age then living[#living + 1] = { line = line, pid = pid, age = age, number = number } end
  end
  return living
end

-- The namespace, through the first of its holders that is there still.
local function find(lock)
  for _, holder in ipairs(holders(lock)) do
    local fd = S.open(("/proc/%d/fd/%s"):format(holder.pid, holder.number), "rdonly, cloexec")
    if fd and S.process_age(holder.pid) == holder.age then return fd end
    if fd then fd:close() end
  end
end

local function own_line(namespace)
  return ("pod %d %d %d\n"):format(S.getpid(), S.process_age(S.getpid()), namespace:getfd())
end

-- Writes those that live, with `new` or without `gone`: a pod may outlast thousands of them. One process at a time,
-- by a lock on the directory; the file's own is everybody's.
local function note(path, lock, new, gone)
  local directory, err, errno = S.open(path:match "^(.*/)" or ".", "rdonly, directory, cloexec")
  if not directory then return nil, err, errno end
  local ok
  for _ = 1, 1000 do
    ok, err, errno = S.flock(directory, "ex, nb")
    if ok or not err.AGAIN then break end
    S.nanosleep(0.002)
  end
  if ok then
    local lines = { new }
    for _, holder in ipairs(holders(lock)) do
      if holder.line ~= gone then lines[#lines + 1] = holder.line end
    end
    local text = table.concat(lines)
    ok, err, errno = S.pwrite(lock, text, 0)
    if ok then ok, err, errno = S.ftruncate(lock, #text) end
  end
  directory:close()
  return ok, err, errno
end

local function hold(path, maker)
  for _ = 1, 5000 do
    local lock, err, errno = S.open(path, "creat, rdwr, nofollow, cloexec", "0600")
    if not lock then return nil, err, errno end
    local alone = S.flock(lock, "ex, nb")
    local here, there = S.fstat(lock), (alone or S.flock(lock, "sh, nb")) and S.lstat(path)
    if there and there.ino == here.ino then
      local namespace
      if alone then
        S.ftruncate(lock, 0)
        namespace, err, errno = maker()
        if not namespace then S.unlink(path) end
      else
        namespace = find(lock)
      end
      local noted = true
      if namespace then noted, err, errno = note(path, lock, own_line(namespace)) end
      if not noted then
        if alone then S.unlink(path) end
        return nil, err, errno
      elseif namespace then
        if alone then S.flock(lock, "sh") end
        held[path] = { lock = lock, namespace = namespace }
        return namespace
      elseif alone then
        lock:close()
        return nil, err, errno
      end
    end
    lock:close()
    S.nanosleep(0.002) -- somebody makes it, or leaves
  end
  return S.failure("BUSY", "another process is making or leaving it")
end

--- nl.hold_pod(path [, userns]) -> fd
-- The namespace of the pod whose lock is the file `path`, made unless somebody has it, in the user namespace that is given; until
-- nl.leave_pod or the end of the process. Errors: PERM, BUSY.
function nl.hold_pod(path, userns)
  check.string(path, "#1")
  return hold(path, userns and make_in(userns) or make)
end

--- nl.hold_users(path) -> fd
-- A user namespace that an ordinary user's containers share, whose root he is, in the same way: they are in one network only
-- where they are in one such namespace. Errors: PERM, NOSPC, BUSY.
function nl.hold_users(path)
  check.string(path, "#1")
  return hold(path, make_users)
end

--- nl.leave_pod(path) -> true
-- The end of nl.hold_pod and nl.hold_users.
function nl.leave_pod(path)
  local own = held[path]
  if not own then return true end
  held[path] = nil
  note(path, own.lock, nil, own_line(own.namespace)) -- its descriptor's number may be another file's soon
  if S.flock(own.lock, "ex, nb") then S.unlink(path) end
  own.lock:close()
  own.namespace:close()
  return true
end
