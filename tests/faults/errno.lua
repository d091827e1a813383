-- SPDX-License-Identifier: MIT
-- Each system call of a command of luge's fails in turn: the sweep that errno_test.lua and errno_command_test.lua share.
--
--   local sweep = dofile "tests/faults/errno.lua"(t, f)
--   sweep(f.scenario { name = "run", words = { … }, roles = { … } }, { "luge", "child" }, 240)
--
-- A scenario of a run is judged by the facts that the guest program finds in the container, its command, compared with
-- those of runs without faults. One with `judge` judges itself: judge(s, r) gives words where the end is not right.
-- rows: fields that the receipt (report) of a run that succeeded tells of.

local S = require "syscall"

return function(t, f)

  -- ---- which call may fail how ----

  local function set(text)
    local names = {}
    for name in text:gmatch "%S+" do names[name] = true end
    return names
  end

  -- Calls that cannot fail, that do not return, or whose descriptor is gone whatever they return (close(2)): to leave
  -- one out would be something else than a failure. brk(2) returns where the heap ends, and never an error; a
  -- signal to one's own child always goes.
  local NEVER = set [[brk kill pidfd_send_signal close close_range exit exit_group rt_sigreturn getpid getppid gettid getuid geteuid getgid getegid umask
    restart_syscall set_tid_address]]

  -- The errors that are tried, and the calls that have them by their manual pages; nil: every other call too. A kernel,
  -- a security module or a filter may refuse any call with EPERM, and any may find no memory.
  local WAITS = [[read write readv writev pread64 pwrite64 open openat openat2 wait4 waitid recvmsg recvfrom sendmsg sendto accept4
    connect poll ppoll epoll_wait epoll_pwait epoll_pwait2 select pselect6 nanosleep clock_nanosleep flock fcntl ioctl futex]]
  local ERRORS = {
    { "ENOMEM" }, { "EPERM" },
    { "EIO", set [[read write readv writev pread64 pwrite64 open openat openat2 getdents64 fsync fdatasync stat lstat fstat
      newfstatat statx readlink readlinkat mkdir mkdirat unlink unlinkat rmdir rename renameat renameat2 symlink symlinkat
      link linkat ftruncate fallocate access faccessat faccessat2 chdir fchdir mknod mknodat execve execveat statfs fstatfs
      ioctl mount fsmount fsconfig move_mount open_tree lseek chmod fchmod fchmodat chown fchown fchownat copy_file_range]] },
    { "ENOSPC", set [[write pwrite64 writev mkdir mkdirat open openat openat2 symlink symlinkat mknod mknodat rename renameat
      renameat2 link linkat ftruncate fallocate clone clone3 unshare mount move_mount fsmount fsconfig open_tree keyctl bind
      setxattr fsetxattr copy_file_range sendfile epoll_ctl memfd_create pivot_root]] },
    { "EMFILE", set [[open openat openat2 socket socketpair pipe pipe2 dup dup2 dup3 accept4 epoll_create1 timerfd_create
      signalfd4 memfd_create pidfd_open clone3 fsopen fsmount open_tree eventfd2 fcntl]] },
    { "EINTR", set(WAITS) },
  }

  -- The dynamic loader comes before luge's first own call, its heap's (runtime/heap.c); a mistake of the loader's is told by
  -- the loader.
  local HEAP = 0x1000000000

  local function own_calls(calls)
    local list, begun = {}, {}
    for _, call in ipairs(calls) do
      begun[call.role] = begun[call.role] or call.args[1] == HEAP or not call.role:find "^0x$"
      if begun[call.role] and call.index > 0 and not NEVER[f.name_of(call)] then list[#list + 1] = call end
    end
    return list
  end

  local function points_of(calls, names, only)
    local points = {}
    for _, call in ipairs(own_calls(f.of(calls, names, only))) do
      for _, error in ipairs(ERRORS) do
        if not error[2] or error[2][f.name_of(call)] then points[#points + 1] = { call, error[1] } end
      end
    end
    return points
  end

  -- ---- what must hold ----

  -- The facts as path → text. Mounts go by their target, for luge and its child make them side by side, in any order.
  local function flat(facts)
    local found = {}
    table.sort(facts.links) -- a directory's order, another one in each network
    local function add(at, value)
      if type(value) ~= "table" then
        found[at] = tostring(value)
        return
      end
      for key, one in pairs(value) do
        local name = type(one) == "table" and one.target or key
        while found[at .. "." .. name .. ".target"] do name = name .. "+" end
        add(("%s.%s"):format(at, name), one)
      end
    end
    add("", facts)
    return found
  end

  -- Where facts differ from those of a run without faults, in words; nil where they do not.
  local function difference(s, facts)
    local got = flat(facts)
    for at, value in pairs(s.facts) do
      if not s.volatile[at] and got[at] ~= value then return ("%s is %s, not %s"):format(at, got[at], value), at end
    end
    for at, value in pairs(got) do
      if not s.volatile[at] and s.facts[at] == nil then return ("%s is %s"):format(at, value), at end
    end
  end

  -- What the guest said: of a container in the background that is what its log has.
  local function said(s, r)
    return s.detached and s:luge("logs", s.container).stdout or r.stdout
  end

  -- Runs without faults say which facts change by themselves.
  local function learn(s)
    local function facts_of_run() return t.ok(t.json.decode(said(s, s:trace())), "no facts") end
    -- What PID 1 is called changes when it begins to wait; a session of its own has PID 1 already; numbers of namespaces
    -- are used again.
    s.facts, s.volatile = flat(facts_of_run()), { [".init"] = true, [".sid"] = true, [".pgid"] = true }
    t.equal(s:settle(), nil)
    for at in pairs(s.facts) do s.volatile[at] = s.volatile[at] or at:find "^%.namespaces%." ~= nil end
    for _ = 1, 4 do
      local facts = facts_of_run()
      local words, at = difference(s, facts)
      while words do
        s.volatile[at] = true
        words, at = difference(s, facts)
      end
      t.equal(s:settle(), nil)
    end
  end

  local function receipt_fault(s, r)
    if not s.report then return nil end
    local text = t.read(s.report)
    local report = text and t.json.decode(text)
    if not report then return not r.stderr:find("--report", 1, true) and "no report" or nil end
    local seen = {}
    for _, row in ipairs(report.receipt or {}) do
      seen[row.field] = true
      if not row.ok then return ("the receipt: %s: asked %s, got %s"):format(row.field, t.json.encode(row.asked), t.json.encode(row.got)) end
    end
    for _, field in ipairs(s.rows or {}) do
      if not seen[field] then return "the receipt says nothing of " .. field end
    end
  end

  local INTERNAL = { "internal error", "stack traceback", "PANIC", "assertion failed", "attempt to " }

  -- Words where the command ran with less around it than without the fault.
  local function wrong_facts(s, text, code)
    local facts = t.json.decode(text)
    if not facts and code == 0 then return "the command was cut off: " .. text end
    local words = facts and difference(s, facts) -- PID 1 that fails ends the command in the middle
    return words and "the command ran where " .. words
  end

  local function wrong_run(s, r)
    local text = r.stdout
    if s.detached then
      if r.stdout ~= "" and r.stdout ~= s.expected then return "it printed " .. r.stdout end
      -- PID 1 that cannot say that the command runs has its own code passed on, and a message.
      if r.code == 0 and r.stdout == "" and not r.stderr:find "%a" then return "it succeeded, and the caller heard no name" end
      text = said(s, r)
    elseif r.code == 0 and text == "" then
      return "it succeeded, and the command said nothing"
    end
    local code = r.code
    -- In the background a failure after the start is the record's, and what the log lost is counted there.
    if s.detached then
      local kept = t.read(("%s/%s.json"):format(s.state, s.container))
      local record = kept and t.json.decode(kept)
      local whole = record and record.state == "ended" and (tonumber(record.log_lost_bytes) or 0) == 0
      code = whole and record.exit_code or 1
    end
    local words = (text ~= "" or code == 0) and wrong_facts(s, text, code)
    return words or r.code == 0 and receipt_fault(s, r)
  end

  -- Words where the end is not right.
  local function wrong_end(s, r)
    for _, text in ipairs(INTERNAL) do
      if r.stderr:find(text, 1, true) then return "a bug is told: " .. r.stderr end
    end
    local words
    if s.judge then words = s:judge(r) else words = wrong_run(s, r) end
    if words then return words end
    if r.code == 0 or s.judge and r.code == s.code then return nil end
    if r.code < 125 or r.code > 127 then return ("ended with %d: %s"):format(r.code, r.stderr) end
    if not r.stderr:find "%a" then return "no word of why" end
  end

  -- Nothing, unless the call was one that takes it away, or one on a lock's file that could not be locked.
  local REMOVES = set "unlink rmdir"
  local LOCKS = set "flock statx fstat newfstatat lstat"

  local function left_without_gc(s, hit)
    local name = f.name_of(hit)
    for _, file in ipairs(s:files()) do
      if not REMOVES[name] and not (LOCKS[name] and file:find "%.lock$") then return "left without gc: " .. file end
    end
  end

  local function try(s, call, error)
    if s.report then S.unlink(s.report) end
    local r = s:trace("--errno", call.role, tostring(call.index), tostring(S.c.E[error:sub(2)]))
    s.tried = s.tried + 1
    local wrong
    -- One call more or less before it, and it was another's turn.
    if r.hit and NEVER[f.name_of(r.hit)] then return s:settle() end
    if r.hung[1] then
      wrong = "hangs: " .. table.concat(r.hung, ", ")
    elseif r.hit then
      wrong = wrong_end(s, r)
      s.codes[r.code] = (s.codes[r.code] or 0) + 1
      if os.getenv "V" then
        print(("%s %s -> %d %s"):format(f.describe(call), error, r.code, r.stderr))
      end
      if not wrong and not s.detached and not s.keeps and not s.judge then wrong = left_without_gc(s, r.hit) end
    end
    wrong = s:settle() or wrong
    return wrong and ("%s: %s failed with %s: %s"):format(s.name, f.describe(r.hit or call), error, wrong)
  end

  local function sweep(s, names, most)
    s.codes = {}
    local calls = s:count()
    if not s.judge then learn(s) end
    local faults = {}
    for _, point in ipairs(f.sample(points_of(calls, names, s.only), most)) do
      local fault = try(s, table.unpack(point))
      if fault then faults[#faults + 1] = fault end
    end
    local codes = {}
    for code, count in pairs(s.codes) do codes[#codes + 1] = ("%d: %d"):format(code, count) end
    table.sort(codes)
    f.conclude(s, ("%s, exit codes { %s }"):format(table.concat(names, ", "), table.concat(codes, ", ")), faults)
  end


  return sweep
end
