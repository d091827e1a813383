-- SPDX-License-Identifier: MIT
-- netns.pod: a network namespace that several processes share, made by the first. Each holds it open, and says so in a file
-- on which it has a shared lock: whoever comes finds it through any of those that live. The last one's end is its own.

local S = require "syscall"
local nl = require "netns"

local held = {} -- path → { lock =, namespace = }

-- A new namespace with lo up, as a descriptor; the process itself stays where it is.
local function make()
  local own, err, errno = S.open("/proc/self/ns/net", "rdonly, cloexec")
  if not own then return nil, err, errno end
  local ok, namespace
  ok, err, errno = S.unshare "newnet"
  if ok then
    ok, err, errno = nl.up "lo"
    if ok then namespace, err, errno = S.open("/proc/self/ns/net", "rdonly, cloexec") end
    assert(S.setns(own, "newnet")) -- else we would go on in the wrong network
  end
  own:close()
  return namespace, err, errno
end

-- The namespace, through the first of its holders that is there still.
local function find(text)
  for pid, age, number in text:gmatch "pod (%d+) (%d+) (%d+)\n" do
    pid = tonumber(pid)
    local fd = S.process_age(pid) == tonumber(age) and S.open(("/proc/%d/fd/%s"):format(pid, number), "rdonly, cloexec")
    if fd then
      if S.process_age(pid) == tonumber(age) then return fd end
      fd:close()
    end
  end
end

--- nl.hold_pod(path) -> fd
-- The namespace of the pod whose lock is the file `path`, made unless somebody has it; until nl.leave_pod or the end of the
-- process. Errors: PERM, BUSY.
function nl.hold_pod(path)
  for _ = 1, 5000 do
    local lock, err, errno = S.open(path, "creat, rdwr, nofollow, cloexec", "0600")
    if not lock then return nil, err, errno end
    local alone = S.flock(lock, "ex, nb")
    local here, there = S.fstat(lock), (alone or S.flock(lock, "sh, nb")) and S.lstat(path)
    if there and there.ino == here.ino then
      local namespace
      if alone then
        S.ftruncate(lock, 0)
        namespace, err, errno = make()
        if not namespace then S.unlink(path) end
      else
        namespace = find(S.pread(lock, 65536, 0) or "")
      end
      if namespace then
        S.note_lock(lock, ("pod %d %d %d\n"):format(S.getpid(), S.process_age(S.getpid()), namespace:getfd()))
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

--- nl.leave_pod(path) -> true
-- The end of nl.hold_pod.
function nl.leave_pod(path)
  local own = held[path]
  if not own then return true end
  held[path] = nil
  if S.flock(own.lock, "ex, nb") then S.unlink(path) end
  own.lock:close()
  own.namespace:close()
  return true
end
