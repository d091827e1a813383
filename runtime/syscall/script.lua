-- SPDX-License-Identifier: MIT
-- syscall.script: scripts with the syscall layer, each in a process and a Lua state of its own, with a deadline. What a
-- script starts ends with it.
--
-- Two processes: the keeper waits for the script, ends it when its time is up or when whoever asked for it is gone (the
-- lifeline), then kills what the script left, whose parent it has become (subreaper), and says how it went. A contained
-- script needs no keeper: it is PID 1 of a pid namespace, with which everything ends.

local check = require "syscall.arguments"

return function(S)
  local GRACE = 0.5 -- seconds in which a script that is late may say where it is
  local WORDS_MAX, TEXT_MAX = 4096, 1 << 20
  local ROUNDS = 100000
  local LATE = "exited 2" -- EXIT_LATE of runtime/script.c

  --- S.end_orphans([first])
  -- Kills what was left to this process, a subreaper, and what those leave in turn. first: its own child that is to be left
  -- alone, or has ended and was not waited for yet.
  function S.end_orphans(first)
    local children = ("/proc/self/task/%d/children"):format(S.getpid())
    for _ = 1, ROUNDS do
      local orphan
      for pid in (S.readfile(children) or ""):gmatch("%d+") do
        if tonumber(pid) ~= first then orphan = tonumber(pid) end
      end
      if not orphan then return end
      S.kill(orphan, "kill")
      S.waitid("pid", orphan, "exited")
    end
  end

  --- S.read_script(path) -> script
  -- Reads a regular file of at most 1 MiB, for S.run_script: { path =, text = }. A text that is no Lua is NOEXEC, with its
  -- message.
  function S.read_script(path)
    check.string(path, "#1")
    local text, err, number = S.read_bounded(path, TEXT_MAX)
    if not text then return nil, err, number end
    local chunk, message = load(text, "=" .. path:match("[^/]*$"), "t", {})
    if not chunk then return S.failure("NOEXEC", message) end
    return { path = path, text = text }
  end

  -- What the kernel gives a new process, whatever luge made of it.
  local function common_signals()
    for _, name in ipairs { "pipe", "chld", "xfsz", "hup", "int", "term", "quit" } do S.sigaction(name, "default") end
    S.sigprocmask("setmask", "")
  end

  -- Becomes the script; never returns. Descriptors: none of luge's but the standard ones and the pipe of the result.
  local function become(script, options, facts, result)
    S.prctl("set_pdeathsig", "kill")
    if not options.contained then S.setsid() end
    local null = S.open("/dev/null", "rdonly, cloexec")
    if null then S.dup3(null, 0) else S.close(0) end
    if options.output then
      for number = 1, 2 do S.dup3(options.output, number) end
    elseif not options.contained then
      S.dup3(2, 1)
    end
    assert(S.dup3(result, 3, "cloexec") or S.fcntl(3, "getfd"))
    S.close_range(4, 0xffffffff)
    if options.memory then assert(S.setrlimit("data", options.memory)) end
    if options.umask then S.umask(options.umask) end
    S.chdir(options.contained and "/" or script.path:match("^(.*)/[^/]*$") .. "/")
    common_signals()
    require "luge.script"(script.text, script.path, facts, options.timeout, 3, options.contained == true)
  end

  local function spawn(script, options, facts, result)
    local pid, pidfd = S.clone3 { exit_signal = "chld", pidfd = true, flags = options.contained and "newpid" or nil }
    if pid ~= 0 then return pid, pidfd end
    local _, message = pcall(become, script, options, facts, result)
    if not S.write(3, tostring(message)) then S.write(result, tostring(message)) end
    S.exit(1)
  end

  -- Until the process has ended, so many seconds are over or `lifeline` is: how it ended, as "how status".
  local function await(pidfd, seconds, lifeline)
    local ready
    repeat
      ready = S.poll({ { fd = pidfd, events = "in" }, lifeline and { fd = lifeline, events = "in" } }, math.ceil(seconds * 1000))
    until ready
    local is_late = #ready == 0
    S.pidfd_send_signal(pidfd, "kill") -- no harm where it has ended
    local status = S.waitid("pidfd", pidfd, "exited")
    return ("%s %d"):format(is_late and "late" or status and status.code or "?", status and status.status or 0)
  end

  -- The process between; never returns.
  local function keep(script, options, facts, result, lifeline)
    collectgarbage "stop"
    S.prctl("set_child_subreaper", 1)
    local pid, pidfd = spawn(script, options, facts, result)
    local how = "failed " .. tostring(pidfd)
    if pid then
      how = await(pidfd, options.timeout + GRACE, lifeline)
      S.end_orphans()
    end
    S.write(result, "\0" .. how)
    S.exit(0)
  end

  local function nearest_words(script, how, options)
    local kind, number = how:match("^(%a+) (%-?%d+)")
    if kind == "late" then return ("%s: it was not over in %gs"):format(script.path, options.timeout) end
    if kind == "killed" or kind == "dumped" then return ("%s: ended by signal %s"):format(script.path, number) end
    return ("%s: %s"):format(script.path, how:match("^failed (.*)") or "ended with exit code " .. (number or "?"))
  end

  -- What a script said, and how its process ended, as a result of S.run_script.
  local function judge(script, options, words, how)
    if how == "exited 0" then return true end
    local code = (how:find("^late") or how == LATE) and "TIMEDOUT" or "CANCELED"
    return S.failure(code, words ~= "" and words or nearest_words(script, how, options))
  end

  local function check_call(script, options)
    check.string(check.table(script, "#1").path, "'path'")
    check.text(script.text, "'text'")
    check.number(check.table(options, "#2").timeout, "'timeout'")
  end

  --- S.start_script(script, options) -> running
  -- The same as S.run_script, but returns at once: running.pidfd is ready for reading when it is over, S.end_script then
  -- gives the result.
  function S.start_script(script, options)
    check_call(script, options)
    local result, writer, number = S.pipe()
    if not result then return nil, writer, number end
    local here, there
    here, there, number = S.socketpair("unix", "stream")
    if not here then return nil, there, number end
    local facts = require("luge.json").encode(options.facts or {})
    io.stdout:flush()
    local pid, pidfd
    pid, pidfd, number = S.clone3 { exit_signal = "chld", pidfd = true }
    if pid == 0 then
      here:close()
      pcall(keep, script, options, facts, writer, there)
      S.exit(1)
    end
    writer:close()
    there:close()
    if not pid then return nil, pidfd, number end
    return { script = script, options = options, pidfd = pidfd, result = result, lifeline = here }
  end

  --- S.end_script(running) -> true
  -- Ends it where it still runs; the result as of S.run_script.
  function S.end_script(running)
    if type(running) ~= "table" or not running.lifeline then check.fail("#1", "what S.start_script gave", running) end
    running.lifeline:close()
    S.waitid("pidfd", running.pidfd, "exited")
    S.fcntl(running.result, "setfl", "nonblock")
    local said = S.read(running.result, WORDS_MAX + 256) or ""
    running.result:close()
    running.pidfd:close()
    local words, how = said:match("^([^\0]*)\0?(.*)$")
    return judge(running.script, running.options, words, how)
  end

  local ENDS = { hup = true, int = true, quit = true, term = true }

  -- Waits for the end, or for a signal that ends it.
  local function await_running(running, signals)
    while true do
      local ready = S.poll({ { fd = running.pidfd, events = "in" }, signals and { fd = signals, events = "in" } }) or {}
      for _, r in ipairs(ready) do
        if r.fd == running.pidfd:getfd() then return nil end
        local info = S.signalfd_read(signals)
        if info and ENDS[info.name] then return info.name:upper() end
      end
    end
  end

  local function run_contained(script, options)
    local result, writer, number = S.pipe()
    if not result then return nil, writer, number end
    local pid, pidfd
    pid, pidfd, number = spawn(script, options, require("luge.json").encode(options.facts or {}), writer)
    writer:close()
    if not pid then return nil, pidfd, number end
    local how = await(pidfd, options.timeout + GRACE)
    S.fcntl(result, "setfl", "nonblock")
    local words = S.read(result, WORDS_MAX) or ""
    result:close()
    pidfd:close()
    return judge(script, options, words, how)
  end

  --- S.run_script(script, { timeout =, facts =, contained =, memory =, umask =, signals =, output = }) -> true
  -- Runs a script of S.read_script in a process and a Lua state of its own: `container`, also its argument, is a copy of
  -- facts; `require` finds what luge holds. No descriptor of luge's but the standard ones: stdin is empty, stdout is luge's
  -- stderr. An error, or timeout seconds, end it: CANCELED or TIMEDOUT, and err.text says at which line. contained: in a pid
  -- namespace of its own, without luge's environment, its stdout as it is. memory: bytes of data. umask: its own, else ours.
  -- signals: a signalfd, whose HUP, INT, QUIT and TERM end it too. output: the descriptor that is its stdout and stderr.
  function S.run_script(script, options)
    check_call(script, options)
    if options.contained then return run_contained(script, options) end
    local running, err, number = S.start_script(script, options)
    if not running then return nil, err, number end
    local signal = await_running(running, options.signals)
    local ok
    ok, err, number = S.end_script(running)
    if signal then return S.failure("CANCELED", ("%s: luge was ended by SIG%s"):format(script.path, signal)) end
    return ok, err, number
  end
end
