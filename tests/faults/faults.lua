-- SPDX-License-Identifier: MIT
-- One system call of one process meddled with, and what must hold afterwards.
--
--   local f = dofile "tests/faults/faults.lua"(t)
--   local s = f.scenario { name = "run", words = { … }, roles = { ["0x"] = "luge", … } }
--   s:kill(s:point("luge", 17), "entry")
--
-- tests/faults/trace.c does the meddling. Afterwards `luge gc` runs, and what the host has is compared with what it had:
-- mounts, links, cgroups, processes, files of state and logs, locks on ranges. As root that is a mount, network and IPC
-- namespace of the script's own, so that nothing which others do meanwhile is taken for a leak.

local S = require "syscall"

return function(t)
  local M = {}

  M.seed = tonumber(os.getenv "LUGE_SEED") or S.getpid()
  math.randomseed(M.seed)

  local TRACE = t.guest:gsub("guest$", "trace")
  local PATIENCE = 20 -- seconds: the bound of "never hangs", far above what a busy machine needs
  local PREFIX = ("fault%d-"):format(S.getpid())

  S.prctl("set_child_subreaper", 1)

  -- ---- a host of the script's own ----

  local scratch = ("%s/luge-faults-%d"):format(os.getenv "TMPDIR" or "/tmp", S.getpid())
  t.must(S.mkdir(scratch, "0755"))
  M.scratch = scratch
  if t.root then
    t.must(S.unshare "newns, newnet, newipc")
    t.must(S.mount { target = "/", flags = "rec, private" })
    for _, place in ipairs { "/run/luge", "/var/log/luge" } do
      S.mkdir(place, "0700")
      t.must(S.mount { source = "tmpfs", target = place, type = "tmpfs", flags = "nosuid, nodev", data = "mode=0700" })
    end
  end

  -- ---- what is run ----

  -- trace.c's roles. The child becomes the stage, which is PID 1, whose child becomes the command.
  M.RUN = { ["0x"] = "luge", ["0x.1"] = "child", ["0x.1x"] = "stage", ["0x.1x.1"] = "command", ["0x.1x.1x"] = "program" }
  M.DETACHED = { ["0x"] = "caller", ["0x.1"] = "monitor", ["0x.1.1"] = "child", ["0x.1.1x"] = "stage",
    ["0x.1.1x.1"] = "command", ["0x.1.1x.1x"] = "program" }
  M.ALL = { "luge", "child", "stage", "command" } -- of RUN, those that luge makes

  --- A profile with the guest in it, in the script's own directory, where it outlives its test.
  function M.profile(name, fields)
    return t.write(scratch .. "/" .. name, ("return container { mounts = { bind { %q, '/guest' } }%s }\n"):format(t.guest, fields or ""))
  end

  M.keeper = setmetatable({}, { __gc = function() t.remove_tree(scratch) end })

  -- What a user's runs keep is the user's.
  local function own_directory(name, uid)
    local path = scratch .. "/" .. name
    if S.mkdir(path, "0700") and uid then t.must(S.chown(path, uid, uid)) end
    return path
  end

  -- ---- what the host has ----

  local function files_below(list, path, label)
    for _, name in ipairs(S.dir(path) or {}) do list[#list + 1] = ("%s %s"):format(label, name) end
  end

  local function cgroups(list)
    for _, at in ipairs(S.dir "/sys/fs/cgroup" or {}) do
      for _, name in ipairs(S.dir(("/sys/fs/cgroup/%s/luge"):format(at)) or {}) do
        if name:find(PREFIX, 1, true) then list[#list + 1] = ("cgroup %s %s"):format(at, name) end
      end
    end
  end

  local SETTINGS = { "ipv4/ip_forward", "ipv4/conf/default/forwarding", "ipv4/conf/up0/forwarding", "ipv6/conf/all/forwarding", "ipv6/conf/up0/accept_ra" }

  -- Links, addresses, routes, tables and settings of the network: those of a link go a moment after its namespace.
  local function network(list)
    local nl = require "netns"
    for _, link in ipairs(t.must(nl.interfaces())) do
      list[#list + 1] = "link " .. link.name
      for _, address in ipairs(link.addresses) do list[#list + 1] = ("address %s %s"):format(link.name, tostring(address)) end
    end
    for _, route in ipairs(t.must(nl.routes { table = "all" })) do list[#list + 1] = "route " .. tostring(route) end
    for _, rule in ipairs(t.must(nl.rules())) do list[#list + 1] = "rule " .. tostring(rule) end
    for _, one in ipairs(t.must(nl.nft.tables())) do list[#list + 1] = ("table %s %s"):format(one.family, one.table) end
    for _, name in ipairs(SETTINGS) do list[#list + 1] = ("setting %s %s"):format(name, S.readfile("/proc/sys/net/" .. name) or "") end
  end

  local IN_A_MOMENT = { link = true, address = true, route = true }

  --- One fact a line, sorted: what a container could leave behind.
  function M.host(s)
    local list = {}
    -- Fields from the fifth on: the first ones are ids.
    for line in t.must(S.readfile "/proc/self/mountinfo"):gmatch "[^\n]+" do
      list[#list + 1] = "mount " .. line:match "^%S+ %S+ %S+ %S+ (.*)":gsub("master:%d+ ", "")
    end
    if t.root then network(list) end
    for _, kind in ipairs { "shm", "sem", "msg" } do
      for line in (S.readfile("/proc/sysvipc/" .. kind) or ""):gmatch "\n([^\n]+)" do list[#list + 1] = "ipc " .. line end
    end
    files_below(list, s.state, "state")
    files_below(list, s.logs, "log")
    if t.root then files_below(list, s.ranges, "range") end
    cgroups(list)
    table.sort(list)
    return list
  end

  local function difference(before, after)
    local known, more = {}, {}
    for _, line in ipairs(before) do known[line] = (known[line] or 0) + 1 end
    for _, line in ipairs(after) do
      if (known[line] or 0) > 0 then known[line] = known[line] - 1 else more[#more + 1] = "+" .. line end
    end
    for line, count in pairs(known) do
      if count > 0 then more[#more + 1] = "-" .. line end
    end
    return more
  end

  -- Every process that was started ends, orphans among them; else those that do not.
  local function reap(seconds)
    local deadline = S.clock_gettime "monotonic" + (seconds or PATIENCE)
    repeat
      local pid, err = S.wait4(-1, "nohang")
      if pid == nil and err.CHILD then return true end
      if pid == 0 or pid == false then S.nanosleep(0.002) end
    until S.clock_gettime "monotonic" > deadline
    return false
  end

  -- ---- a scenario ----

  local Scenario = {}
  Scenario.__index = Scenario

  --- how: name, words (of luge's command line; "$name" in them is the container's name), roles = role of trace.c → what
  -- it is called, uid, before(s) and after(s), called around each attempt; network = true: what is left of it is counted;
  -- only: names of the calls that a sample is taken of.
  function M.scenario(how)
    local s = setmetatable(how, Scenario)
    s.container = PREFIX .. s.name
    s.state = own_directory("state-" .. s.name, s.uid)
    s.home = own_directory("home-" .. s.name, s.uid)
    s.ranges = s.uid and "" or "/run/luge"
    s.logs = (s.uid or not t.root) and s.home .. "/.local/state/luge" or "/var/log/luge"
    s.tried, s.leaks, s.left_kinds = 0, 0, {}
    return s
  end

  function Scenario:words_of(words)
    local list = {}
    for i, word in ipairs(words) do list[i] = word == "$name" and self.container or word end
    list.env = { LUGE_STATE = self.state, HOME = self.home, XDG_RUNTIME_DIR = false, XDG_STATE_HOME = false }
    list.timeout = PATIENCE * 3
    list.cwd = "/"
    return list
  end

  -- Orphans that came to us and have ended: nobody else reaps them, and the end of a container waits for those inside.
  local function reap_orphans(but)
    local children = S.readfile(("/proc/self/task/%d/children"):format(S.getpid())) or ""
    for pid in children:gmatch "%d+" do
      pid = tonumber(pid)
      local stat = pid ~= but and S.readfile(("/proc/%d/stat"):format(pid))
      if stat and stat:match "^.*%) (%a)" == "Z" then S.wait4(pid) end
    end
  end

  --- `luge WORDS…`, untraced, as the scenario's user: a result of t.run.
  function Scenario:luge(...)
    local words = self:words_of { t.luge, ... }
    words.uid = self.uid
    local process = t.start(words)
    while not process.ended and S.clock_gettime "monotonic" < process.deadline do
      process:pump(0.02)
      reap_orphans(process.pid)
    end
    local r = process:wait()
    if r.timed_out then error(("%s: luge %s hangs: %s"):format(self.name, table.concat({ ... }, " "), r.stderr), 0) end
    return r
  end

  --- The scenario's command under trace.c with these options: a result of t.run, and hit, hung, calls = lists of words.
  function Scenario:trace(...)
    if self.before then self:before() end
    local out = scratch .. "/out"
    local words = { TRACE, "--out", out, "--seconds", tostring(PATIENCE), ... }
    if self.uid then words = table.move({ "--uid", tostring(self.uid) }, 1, 2, #words + 1, words) end
    words[#words + 1] = "--"
    words[#words + 1] = t.luge
    local r = t.run(self:words_of(table.move(self.words, 1, #self.words, #words + 1, words)))
    r.calls, r.hung, r.hit = {}, {}, nil
    for line in (t.read(out) or ""):gmatch "[^\n]+" do
      local kind, role, index, number, rest = line:match "^(%l+) (%S+) ?(%d*) ?(%-?%d*) ?(.*)$"
      local name = self.roles[role] or role
      local call = { role = role, name = name, index = tonumber(index), number = tonumber(number), rest = rest }
      if kind == "call" then r.calls[#r.calls + 1] = call end
      if kind == "hung" then r.hung[#r.hung + 1] = ("%s, now in %s"):format(name, M.name_of(call)) end
      if kind == "hit" then r.hit = call end
    end
    return r
  end

  --- All calls of a run in which nothing is wrong: a list of { role =, name =, index =, number =, result =, args = }.
  function Scenario:count()
    self.base = M.host(self)
    self:trace() -- what only the first run makes is there then, and what goes in a moment is not any more
    self:settle()
    self.base = M.host(self)
    local r = self:trace "--list"
    t.equal({ r.code, r.hung }, { self.code or 0, {} }, self.name .. ": " .. r.stderr)
    self.expected = r.stdout
    local why = self:settle()
    t.equal(why, nil, self.name)
    for _, call in ipairs(r.calls) do
      local result, a, b, c = call.rest:match "^(%S+) (%S+) (%S+) (%S+)$"
      call.result = math.tointeger(tonumber(result))
      call.args = { tonumber(a, 16), tonumber(b, 16), tonumber(c, 16) }
    end
    return r.calls
  end

  --- Its files of state, without those of a container that is there beside it (other).
  function Scenario:files()
    local list = {}
    for _, name in ipairs(S.dir(self.state) or {}) do
      if not (self.other and name:find(self.other, 1, true) == 1) then list[#list + 1] = name end
    end
    return list
  end

  --- Fails unless some attempt left each of these for luge gc.
  function Scenario:all_left(kinds)
    for _, kind in ipairs(kinds) do t.ok(self.left_kinds[kind], ("%s: no kill left a %s"):format(self.name, kind)) end
  end

  -- Counts what is there for luge gc, by kind: the undo of each is exercised then.
  function Scenario:note_left()
    local function note(kind) self.left_kinds[kind] = (self.left_kinds[kind] or 0) + 1 end
    for _, name in ipairs(S.dir(self.state) or {}) do note(name:match "%.([%l.]+)$") end
    for _, name in ipairs(not self.uid and S.dir(self.ranges) or {}) do note(name:match "^%l+") end
    local list = {}
    cgroups(list)
    for _, line in ipairs(list) do note(line:match "^cgroup %S+") end
    if not self.network then return end
    list = {}
    network(list)
    for _, line in ipairs(difference(self.base or list, list)) do note(line:match "^[+-](%l+)") end
  end

  --- Fails unless after some kill each thing that a step of the plan undoes was there, and luge gc took it away.
  function Scenario:all_undone(profile)
    local steps, kinds = t.json.decode(self:luge("plan", "--json", profile, "--", "true").stdout).steps, {}
    for _, step in ipairs(steps) do
      local path = step.undo and step.undo ~= t.json.null and step.undo.args[1]
      if path then
        local at = path:match "^/sys/fs/cgroup/([^/]+)/"
        local kind = at and "cgroup " .. at or path:match "/(range)%." or path:match "%.(%l+)$"
        t.ok(self.left_kinds[kind], "no kill left a " .. kind)
        kinds[#kinds + 1] = ("%s (%d)"):format(kind, self.left_kinds[kind])
      end
    end
    t.ok(#kinds >= 3, "the plan undoes nothing")
    print(("%s: every undo was exercised: %s"):format(self.name, table.concat(kinds, ", ")))
  end

  -- What is there that was not, or the other way round; what goes by itself is waited for, whatever else there is.
  function Scenario:difference()
    local deadline = S.clock_gettime "monotonic" + PATIENCE
    while true do
      local more = difference(self.base, M.host(self))
      local waits = false
      for _, line in ipairs(more) do waits = waits or IN_A_MOMENT[line:match "^%+(%l+)"] end
      if not waits or S.clock_gettime "monotonic" > deadline then return more end
      S.nanosleep(0.005)
    end
  end

  --- After an attempt: every process has ended, gc and rm leave the host as before. Words where not.
  function Scenario:settle()
    if self.after then
      local ok, err = pcall(self.after, self)
      if not ok then
        self:take_away()
        reap()
        return tostring(err)
      end
    end
    if not reap() then return "a process does not end" end
    self:note_left()
    local gc = self:luge "gc"
    if gc.code ~= 0 then return "gc: " .. gc.stderr end
    if S.lstat(("%s/%s.json"):format(self.state, self.container)) then
      local known = t.json.decode(self:luge("ps", "-a", "--json").stdout).containers[1]
      local state = known and known.state
      if state ~= "ended" and state ~= "lost" then return ("ps says it is %s"):format(state) end
      local code = self:luge("wait", self.container).code
      local promised = state == "lost" and 125 or known.exit_code
      if code ~= promised then return ("wait ended with %d, the record says %s"):format(code, promised) end
      self.final = { state = state, code = code, known = known }
      local rm = self:luge("rm", self.container)
      if rm.code ~= 0 then return "rm: " .. rm.stderr end
    end
    local more = self.base and self:difference() or {}
    if more[1] then self.base = M.host(self) end -- told once, and not of each point that comes after
    return more[1] and table.concat(more, "; ") or nil
  end

  -- ---- commands on containers ----

  --- For Scenario.before: the container runs in the background; the words after its name.
  function M.started(...)
    local options = { ... }
    return function(s)
      local words = table.move(options, 1, #options, 5, { "run", "-d", "--name", s.container })
      local r = s:luge(table.unpack(words))
      t.equal({ r.code, r.stderr }, { 0, "" })
    end
  end

  --- Its state and its row, as ps says.
  function Scenario:seen()
    local row = t.json.decode(self:luge("ps", "-a", "--json").stdout).containers[1]
    return row and row.state, row
  end

  function Scenario:take_away() self:luge("rm", "-f", "-t", "0s", self.container) end

  --- A test as this user, and as root also as an ordinary one. The body is given a scenario's name, and the uid of the latter.
  function M.as_users(name, body)
    local word = name:match "^%l+"
    t.test(name, function() body(word) end)
    t.test(name .. ", as an ordinary user", function()
      t.needs_root()
      body(word .. "-user", 65534)
    end)
  end

  -- ---- points ----

  --- Every n-th of a list so that about `most` remain, from a place that the seed decides; all of them in a soak.
  function M.sample(list, most)
    if t.soak or #list <= most then return list end
    local step, chosen = #list / most, {}
    local first = math.random() * step
    for i = 0, most - 1 do chosen[#chosen + 1] = list[math.floor(first + i * step) + 1] end
    return chosen
  end

  --- The calls of the roles with these names; only: the names of calls, in a sample.
  function M.of(calls, names, only)
    local wanted, list = {}, {}
    for _, name in ipairs(names) do wanted[name] = true end
    for _, call in ipairs(calls) do
      local is_meant = t.soak or not only or only[M.name_of(call)]
      if wanted[call.name] and call.index > 0 and is_meant then list[#list + 1] = call end
    end
    return list
  end

  local NAMES = {}
  for name, number in pairs(S.seccomp_syscalls()) do NAMES[number] = name end

  function M.name_of(call) return NAMES[call.number] or tostring(call.number) end

  function M.describe(call) return ("%s at its call %d, %s"):format(call.name, call.index, M.name_of(call)) end

  --- Ends a series: prints how many points were tried; fails with the faults, at most a few in full.
  function M.conclude(s, what, faults)
    print(("%s: %s: %d points tried, %d leaks and other faults (seed %d)"):format(s.name, what, s.tried, #faults, M.seed))
    if #faults > 0 then error(table.concat(faults, "\n", 1, math.min(#faults, 40)), 0) end
  end

  return M
end
