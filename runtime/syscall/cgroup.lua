-- SPDX-License-Identifier: MIT
-- syscall.cgroup: directories of a cgroup hierarchy, version 1 or 2: made, emptied and removed.
--
-- The file system is the interface; what is here is what takes more than one call of it. The caller names the
-- directory, and must be sure that nobody else could: what is in it is killed when it is removed.

local check = require "syscall.arguments"

return function(S)
  -- A cgroup dies a moment after its last process: 2 s in all.
  local ROUNDS, PAUSE = 1000, 0.002

  local function above(path) return path:match("^(.*)/[^/]+$") end

  -- The pids in it, those of processes that we cannot see (0) left out.
  local function members(path)
    local pids = {}
    for pid in (S.readfile(path .. "/cgroup.procs") or ""):gmatch("%d+") do
      if pid ~= "0" then pids[tonumber(pid)] = true end
    end
    return pids
  end

  -- A process is signalled only while it is seen in the cgroup after its pidfd was opened: the number may have become
  -- another's meanwhile.
  local function kill_members(path)
    local fds = {}
    for pid in pairs(members(path)) do fds[pid] = S.pidfd_open(pid) end
    local still = members(path)
    for pid, fd in pairs(fds) do
      if still[pid] then S.pidfd_send_signal(fd, "kill") end
      fd:close()
    end
  end

  local function kill(path, rounds)
    local ok, err, number = S.writefile(path .. "/cgroup.kill", "1")
    if ok or not (err.NOENT or err.ACCES) then return ok, err, number end
    S.writefile(path .. "/pids.max", "0")
    for round = 1, rounds do
      if next(members(path)) == nil then return true end
      kill_members(path)
      if round < rounds then S.nanosleep(PAUSE) end
    end
    return S.failure("BUSY", "processes in it do not die")
  end

  --- S.kill_cgroup(path) -> true
  -- Kills every process in a cgroup: by cgroup.kill (version 2, Linux 5.14), else one by one, after the pids
  -- controller, where it is this one's, has been told to let no more be born. cgroups(7).
  function S.kill_cgroup(path) return kill(check.string(path, "#1"), ROUNDS) end

  local function remove_below(path, how)
    local fd = S.open(path, "rdonly, directory, nofollow, cloexec")
    if not fd then return end
    for _, entry in ipairs(S.getdents(fd) or {}) do
      if entry.type == "directory" then
        S.remove_cgroup(path .. "/" .. entry.name, how)
      end
    end
    fd:close()
  end

  --- S.remove_cgroup(path, how) -> true
  -- Removes a cgroup, after what is in it and below it; one that is gone already is no error. how.above: the
  -- directory above it goes too, when it is empty. how.ino: only if it has this inode number still. how.wait = false:
  -- what does not go at once is BUSY, for somebody who comes later.
  function S.remove_cgroup(path, how)
    check.string(path, "#1")
    how = check.options(how, "#2")
    local st, ok, err, number
    if how.ino then st, err, number = S.lstat(path) end
    if how.ino and not st and not err.NOENT then return nil, err, number end
    if how.ino and not (st and st.ino == how.ino) then return true end
    ok, err, number = S.rmdir(path)
    if not ok and err.BUSY then
      local rounds = how.wait == false and 1 or ROUNDS
      remove_below(path, { wait = how.wait })
      kill(path, rounds)
      for round = 1, rounds do
        ok, err, number = S.rmdir(path)
        if ok or not err.BUSY then break end
        if round < rounds then S.nanosleep(PAUSE) end
      end
    end
    if not ok and not err.NOENT then return nil, err, number end
    if how.above then S.rmdir(above(path)) end -- others may have theirs in it
    return true
  end

  -- cpuset of version 1: a new one has no CPU and no memory, and lets nobody in.
  local function fill_cpuset(path)
    for _, file in ipairs { "cpuset.cpus", "cpuset.mems" } do
      local now, err, number = S.readfile(path .. "/" .. file)
      local ok = now
      if now and not now:find("%d") then
        ok, err, number = S.writefile(path .. "/" .. file, (S.readfile(above(path) .. "/" .. file)))
      end
      if not ok then return nil, err, number end
    end
    return true
  end

  local function give(path, controllers)
    local words = {}
    for i, name in ipairs(controllers) do words[i] = "+" .. name end
    return S.writefile(path .. "/cgroup.subtree_control", table.concat(words, " "))
  end

  -- What a killed luge left under this name goes, so that counters begin at 0; what runs stays.
  local function make(path)
    local ok, err, number = S.mkdir(path, "0755")
    if ok or not err.EXIST then return ok, err, number end
    ok, err, number = S.rmdir(path)
    if ok or err.NOENT then return S.mkdir(path, "0755") end
    if err.BUSY then return S.failure("BUSY", "a cgroup of this name is there and holds processes: " .. path) end
    return nil, err, number
  end

  -- What a new cgroup needs of those above it.
  local function prepare(path, how)
    local ok, err, number = true, nil, nil
    if how.cpuset and how.above then ok, err, number = fill_cpuset(above(path)) end
    if ok and how.cpuset then ok, err, number = fill_cpuset(path) end
    for _, entry in ipairs(how.give or {}) do
      if ok then ok, err, number = give(entry.dir, entry.controllers) end
    end
    return ok, err, number
  end

  --- S.make_cgroup(path, how) -> number
  -- Makes a cgroup and returns its inode number, by which it is known again. An empty one of that name is replaced; one
  -- with processes is BUSY. how.above: the directory above it is made too. how.give: what the cgroups above
  -- must give to their children first, { dir =, controllers = { "memory" } } each (version 2). how.cpuset: it gets the
  -- CPUs and memory nodes of the one above (version 1). cgroups(7).
  function S.make_cgroup(path, how)
    check.string(path, "#1")
    how = check.options(how, "#2")
    local ok, err, number
    for _ = 1, 100 do
      ok = true
      if how.above then ok, err, number = S.mkdir(above(path), "0755") end
      if ok or err.EXIST then ok, err, number = make(path) end
      -- Another's removal took the directory above between our two calls.
      if ok or not (how.above and err.NOENT) then break end
    end
    local made = ok
    -- From here on the one above holds ours and stays.
    if ok then ok, err, number = prepare(path, how) end
    local st
    if ok then st, err, number = S.lstat(path) end
    if st then return st.ino end
    -- Only what is ours and empty: one that was there already is somebody's.
    if made then S.rmdir(path) end
    if how.above then S.rmdir(above(path)) end
    return nil, err, number
  end
end
