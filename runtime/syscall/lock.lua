-- SPDX-License-Identifier: MIT
-- syscall.lock: names that one process at a time can hold, as files with flock(2).
--
-- A lock ends with its process, however that ends. The file it leaves then is free for the next taker.

return function(S)
  local held = {} -- descriptors of taken slots: they live as long as the process

  --- S.take_lock(path) -> fd
  -- Makes the file (0600) and locks it; the lock holds while the descriptor is open. The file's content is the
  -- holder's pid. A lock that somebody holds is BUSY, and err.text says who.
  function S.take_lock(path)
    for _ = 1, 100 do
      local fd, err, number = S.open(path, "creat, rdwr, nofollow, cloexec", "0600")
      if not fd then return nil, err, number end
      local ok
      ok, err, number = S.flock(fd, "ex, nb")
      if not ok then
        if not err.AGAIN then return nil, err, number end
        local pid = S.pread(fd, 32, 0)
        return S.failure("BUSY", "held by process " .. (pid and pid:match("%d+") or "unknown"))
      end
      -- Its last holder may have removed the name between our open and our lock.
      local here, there = S.fstat(fd), S.lstat(path)
      if there and here.ino == there.ino then
        S.pwrite(fd, S.getpid() .. "\n", 0)
        return fd
      end
      fd:close()
    end
    return S.failure("AGAIN")
  end

  --- S.take_slot(prefix, { first =, step =, count = }) -> number
  -- Locks one of the numbers first, first + step, … for this process: the file prefix .. number. Where the
  -- search starts depends on the pid, so that processes seldom meet. All taken: NOSPC.
  function S.take_slot(prefix, pool)
    local offset = pool.count > 0 and S.getpid() * 7 % pool.count or 0
    for i = 0, pool.count - 1 do
      local number = pool.first + (offset + i) % pool.count * pool.step
      local fd, err, errno = S.take_lock(prefix .. number)
      if fd then
        held[#held + 1] = fd
        return number
      elseif not err.BUSY then
        return nil, err, errno
      end
    end
    return S.failure("NOSPC", "all of them are in use")
  end
end
