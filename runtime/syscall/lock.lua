-- SPDX-License-Identifier: MIT
-- syscall.lock: names that one process at a time can hold, as files with flock(2).
--
-- A lock ends with its process, however that ends. The file it leaves then is free for the next taker.

local check = require "syscall.arguments"

return function(S)
  local held = {} -- descriptors of taken slots: they live as long as the process

  local function is_alive(pid)
    if not pid then return false end
    local ok, err = S.kill(pid, 0)
    return ok or err.PERM
  end

  -- How the file of every lock begins: what begins otherwise is somebody else's.
  local MAGIC = "luge "
  S.LOCK_BEGINS = MAGIC

  -- Writes text into a lock's file, where it ends at `at`: all of it or nothing.
  local function put(fd, text, at)
    local n, err, number = S.pwrite(fd, text, at)
    if n == #text then return true end
    S.ftruncate(fd, at)
    if n then return S.failure "NOSPC" end
    return nil, err, number
  end

  -- The file, with its text and locked: it is there as a whole or not at all, whenever we are killed. Where the file system
  -- makes no file without a name, an empty one is there for a moment, and nobody's when we are killed then.
  local function make_lock(path, text)
    local fd = S.open(path:match "^(.*/)[^/]*$" or ".", "tmpfile, rdwr, cloexec", "0600")
    local ok, err, number
    if fd then
      ok = S.flock(fd, "ex, nb")
      if ok then ok, err, number = put(fd, text, 0) end
      if ok then ok, err, number = S.linkat(nil, "/proc/self/fd/" .. fd:getfd(), nil, path, "symlink_follow") end
      if ok then return fd end
      fd:close()
      if err and err.EXIST then return nil, err, number end
    end
    fd, err, number = S.open(path, "creat, excl, rdwr, nofollow, cloexec", "0600")
    if not fd then return nil, err, number end
    ok, err, number = S.flock(fd, "ex, nb")
    if ok then ok, err, number = put(fd, text, 0) end
    if ok then return fd end
    S.unlink(path)
    return nil, err, number
  end

  --- S.take_lock(path, note) -> fd
  -- Makes the file (0600) and locks it; the lock holds while the descriptor is open. The file's content is "luge " and the
  -- holder's pid, and the note's lines after it. A lock that somebody holds is BUSY, and err.text says who; a file that
  -- is no lock is EXIST, and stays as it is.
  function S.take_lock(path, note)
    check.string(path, "#1")
    local text = ("%s%d\n%s"):format(MAGIC, S.getpid(), note or "")
    for try = 1, 100 do
      local fd, err, number = S.open(path, "rdwr, nofollow, cloexec")
      if not fd and (err.LOOP or err.ISDIR) then return S.failure("BUSY", "what has its name is no file") end
      if not fd and not err.NOENT then return nil, err, number end
      local ok
      if not fd then
        fd, err, number = make_lock(path, text)
        if fd or not err.EXIST then return fd, err, number end
      else
        ok, err, number = S.flock(fd, "ex, nb")
        if not ok then
          if not err.AGAIN then return nil, err, number end
          local pid = tonumber((S.pread(fd, 32, 0) or ""):match("%d+"))
          if is_alive(pid) then return S.failure("BUSY", "held by process " .. pid) end
          S.nanosleep(math.min(try, 50) * 0.001) -- somebody looks whether a dead one has left it, or clears up after it
        end
        -- Its last holder may have removed the name between our open and our lock.
        local here, there
        if ok then
          here, err, number = S.fstat(fd)
          if here then there, err, number = S.lstat(path) end
          if not here or not there and not err.NOENT then return nil, err, number end
          if here.type ~= "file" then return S.failure("BUSY", "what has its name is no file but a " .. here.type) end
        end
        if there and here.ino == there.ino then
          if S.pread(fd, #MAGIC, 0) ~= MAGIC then
            fd:close()
            return S.failure("EXIST", "what has its name is no lock of luge's")
          end
          ok, err, number = S.ftruncate(fd, #MAGIC) -- what its last holder noted
          if ok then ok, err, number = put(fd, text:sub(#MAGIC + 1), #MAGIC) end
          if ok then return fd end
          S.unlink(path) -- ours, and of no use to those who look for its holder
          return nil, err, number
        end
        fd:close()
      end
    end
    return S.failure("BUSY", "held by a process that does not say who it is")
  end

  --- S.ensure_free(path) -> true
  -- Nothing has this name; else EXIST.
  function S.ensure_free(path)
    local there, err, number = S.lstat(path)
    if there then return S.failure("EXIST") end
    if not err.NOENT then return nil, err, number end
    return true
  end

  --- S.note_lock(fd, text) -> true
  -- Adds text to a lock's file, for whoever finds it after its holder was killed.
  function S.note_lock(fd, text)
    check.text(text, "#2")
    local at, err, number = S.lseek(fd, 0, "end")
    if not at then return nil, err, number end
    return put(fd, text, at)
  end

  --- S.process_age(pid) -> number
  -- When a process began, in ticks after the boot: with its pid, it names that process and no later one.
  function S.process_age(pid)
    check.integer(pid, "#1")
    local text, err, number = S.readfile(("/proc/%d/stat"):format(pid))
    if not text then return nil, err, number end
    -- Field 22; the name in parentheses may hold anything. proc_pid_stat(5).
    return tonumber(text:match("^.*%)" .. (" %S+"):rep(19) .. " (%d+)"))
  end

  --- S.boot_id() -> string
  -- The name of this boot of the machine.
  function S.boot_id()
    local text, err, number = S.readfile("/proc/sys/kernel/random/boot_id")
    if not text then return nil, err, number end
    return (text:gsub("%s", ""))
  end

  --- S.note_process(fd, pid [, word]) -> true
  -- Notes a process in a lock's file: "process PID AGE BOOT"; word: instead of the first.
  function S.note_process(fd, pid, word)
    check.integer(pid, "#2")
    local age, err, number = S.process_age(pid)
    if not age then return nil, err, number end
    return S.note_lock(fd, ("%s %d %d %s\n"):format(word or "process", pid, age, S.boot_id() or "-"))
  end

  --- S.open_noted(path, kind) -> fd
  -- The namespace ("net", "mnt" …) of the process that a lock's file notes (S.note_process). NOENT: there is no such lock;
  -- SRCH: nobody holds it, or it notes no process that lives.
  function S.open_noted(path, kind)
    check.string(kind, "#2")
    local lock, err, number = S.open(path, "rdonly, nofollow, nonblock, cloexec")
    if not lock then return nil, err, number end
    local free = S.flock(lock, "sh, nb")
    local pid, age, boot = (S.pread(lock, 65536, 0) or ""):match("process (%d+) (%d+) (%S+)\n")
    lock:close()
    pid, age = tonumber(pid), tonumber(age)
    if free then return S.failure("SRCH", "it is not running") end
    if not pid then return S.failure("SRCH", "it runs in the foreground, with luge's own first process: start it with -d") end
    local fd
    if S.process_age(pid) == age and S.boot_id() == boot then
      fd, err, number = S.open(("/proc/%d/ns/%s"):format(pid, kind), "rdonly, cloexec")
      if not fd then return nil, err, number end
      if S.process_age(pid) == age then return fd end -- the number is still the same process's
      fd:close()
    end
    return S.failure("SRCH", "it has ended")
  end

  local function meets(ranges, first, count)
    for _, range in ipairs(ranges or {}) do
      if first < range.first + range.count and range.first < first + count then return true end
    end
  end

  --- S.take_slot(prefix, { first =, step =, count =, avoid = }) -> number
  -- Locks one of the numbers first, first + step, … for this process: the file prefix .. number. Where the
  -- search starts depends on the pid, so that processes seldom meet. avoid: ranges, { first =, count = } each, that
  -- a number and the step behind it must not meet. All taken: NOSPC.
  function S.take_slot(prefix, pool)
    check.string(prefix, "#1")
    check.table(pool, "#2")
    for _, key in ipairs { "first", "step", "count" } do check.integer(pool[key], ("'%s'"):format(key)) end
    local offset = pool.count > 0 and S.getpid() * 7 % pool.count or 0
    for i = 0, pool.count - 1 do
      local number = pool.first + (offset + i) % pool.count * pool.step
      local fd, err, errno
      if not meets(pool.avoid, number, pool.step) then fd, err, errno = S.take_lock(prefix .. number) end
      if fd then
        held[#held + 1] = fd
        return number
      elseif err and not (err.BUSY or err.EXIST) then
        return nil, err, errno
      end
    end
    return S.failure("NOSPC", "all of them are in use")
  end
end
