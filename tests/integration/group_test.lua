-- SPDX-License-Identifier: MIT
-- Groups of containers: in the foreground (luge run), detached (luge up, down), their faults, plans and reports, and that
-- nothing is left whoever is killed.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"

-- A container's text: the shell's words, and more fields.
local function sh(script, more) return ("container { command = { '/bin/sh', '-c', %q }, %s }"):format(script, more or "") end

-- The path of a group: its fields and its containers, name → text.
local function group(fields, containers)
  local lines = {}
  for name, text in pairs(containers) do lines[#lines + 1] = ("  [%q] = %s,"):format(name, text) end
  table.sort(lines)
  return t.profile(("return group { %s containers = {\n%s\n} }\n"):format(fields, table.concat(lines, "\n")))
end

local function words(path, options, more)
  local list = { "luge", "run" }
  for _, word in ipairs(options or {}) do list[#list + 1] = word end
  list[#list + 1] = path
  list.env = { LUGE_STATE = box.state }
  for key, value in pairs(more or {}) do list[key] = value end
  return list
end

local function run(fields, containers, options, more)
  local r = t.run(words(group(fields, containers), options, more))
  box.nothing_left()
  return r
end

local function start(fields, containers, options) return t.start(words(group(fields, containers), options)) end

local function sorted_lines(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  table.sort(lines)
  return lines
end

local FOR_EVER = "trap 'exit 0' TERM; while :; do sleep 0.01; done"
local MAIN = "main = 'main', "

-- ---- main and its services ----

t.test("main's exit code and output are the group's; the others' lines have their names", function()
  local r = run(MAIN, { main = sh("printf 'no newline'; exit 7", "needs = { db = 'started' }"),
    db = sh("printf 'up\\nhalf'; " .. FOR_EVER) })
  t.equal({ r.code, r.stdout }, { 7, "no newline" })
  t.equal(sorted_lines(r.stderr), { "db | half", "db | up" })
end)

t.test("a service that is healthy is there before the one that needs it, and stopped after it", function()
  local dir = t.dir "0777"
  local bound = ("mounts = { bind { %q, '/shared', rw = true } }, "):format(dir)
  local r = run(MAIN, {
    db = sh("trap 'echo db >> /shared/ends; exit 0' TERM; sleep 0.1; touch /shared/ready; while :; do sleep 0.01; done",
      bound .. "health = { command = { 'test', '-e', '/shared/ready' }, interval = '10ms' }"),
    web = sh("test -e /shared/ready || exit 9; trap 'echo web >> /shared/ends; exit 0' TERM; echo >&3; while :; do sleep 0.01; done",
      bound .. "health = { fd = 3 }, needs = { db = 'healthy' }"),
    main = sh("test -e /shared/ready; code=$?; echo main >> /shared/ends; exit $code", bound .. "needs = { web = 'healthy' }") })
  t.equal({ r.code, t.read(dir .. "/ends") }, { 0, "main\nweb\ndb\n" }, r.stderr)
end)

t.test("what is needed done is done before, and runs once", function()
  local dir = t.dir "0777"
  local bound = ("mounts = { bind { %q, '/shared', rw = true } }, "):format(dir)
  local r = run(MAIN, { prepare = sh("sleep 0.05; echo prepared >> /shared/log", bound),
    main = sh("cat /shared/log", bound .. "needs = { prepare = 'done' }") })
  t.equal({ r.code, r.stdout }, { 0, "prepared\n" }, r.stderr)
end)

t.test("words, --env and --set are main's", function()
  local path = group(MAIN, { main = sh("echo nothing"), db = sh("echo $A $0; " .. FOR_EVER) })
  local list = words(path, { "-e", "A=b", "--set", "cwd=/tmp" })
  for _, word in ipairs { "--", "/bin/sh", "-c", "echo $A $PWD" } do list[#list + 1] = word end
  local r = t.run(list)
  t.equal({ r.code, r.stdout }, { 0, "b /tmp\n" }, r.stderr)
  box.nothing_left()
  r = run("", { a = sh "true" }, { "-e", "A=b" })
  t.equal(r.code, 125)
  t.contains(r.stderr, "no main container")
end)

t.test("main reads luge's standard input, the others nothing", function()
  local r = run(MAIN, { main = sh "cat", other = sh "cat; echo over" }, {}, { stdin = "typed\n" })
  t.equal({ r.code, r.stdout }, { 0, "typed\n" })
end)

t.test("a service that ends badly is told, and main goes on", function()
  local r = run(MAIN, { main = sh("sleep 0.2; exit 0"), db = sh "exit 4" })
  t.equal(r.code, 0)
  t.contains(r.stderr, "luge: db ended with exit code 4")
end)

-- ---- needs that do not hold ----

t.test("a need that failed: what depends on it is not started, and why is said", function()
  local r = run(MAIN, { db = sh "exit 3", web = sh("echo web", "needs = { db = 'done' }"), main = sh("echo main",
    "needs = { web = 'started' }") })
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.contains(r.stderr, 'luge: web: not started: it needs db = "done", but db ended with exit code 3')
  t.contains(r.stderr, 'luge: main: not started: it needs web = "started", but web was not started')
end)

t.test("unhealthy, ended before it was healthy, and one that cannot be started", function()
  local main = sh("echo main", "needs = { db = 'healthy' }")
  local r = run(MAIN, { main = main, db = sh(FOR_EVER,
    "health = { command = { 'false' }, interval = '10ms', start_period = 0, retries = 2 }") })
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.contains(r.stderr, "but db is unhealthy")
  r = run(MAIN, { main = main, db = sh("exit 0", "health = { command = { 'false' }, start_period = '1h' }") })
  t.contains(r.stderr, "but db ended with exit code 0")
  r = run(MAIN, { main = sh("echo main", "needs = { db = 'started' }"), db = "container { command = { '/no/such' } }" })
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.contains(r.stderr, "but db could not be started")
end)

t.test("a member with a policy of restarts is waited for", function()
  local dir = t.dir "0777"
  local r = run(MAIN, { main = sh("echo main", "needs = { db = 'healthy' }"),
    db = sh("echo >> /shared/runs; test $(wc -l < /shared/runs) = 3 || exit 1; echo >&3; " .. FOR_EVER,
      ("mounts = { bind { %q, '/shared', rw = true } }, health = { fd = 3 }, restart = { delay = 0, max = 5 }"):format(dir)) })
  t.equal({ r.code, r.stdout, t.read(dir .. "/runs") }, { 0, "main\n", "\n\n\n" }, r.stderr)
end)

-- ---- jobs ----

t.test("twenty jobs, four at a time", function()
  local dir, jobs = t.dir "0777", {}
  for i = 1, 20 do
    jobs["job" .. i] = sh("mkdir /shared/run$J; set -- /shared/run*; echo $# >> /shared/counts; sleep 0.02; rmdir /shared/run$J; echo did $J",
      ("env = { J = %d }, mounts = { bind { %q, '/shared', rw = true } }"):format(i, dir))
  end
  local r = run("parallel = 4, ", jobs)
  t.equal({ r.code, r.stderr }, { 0, "" })
  t.equal(#sorted_lines(r.stdout), 20)
  t.contains(r.stdout, "job7  | did 7\n")
  local most, count = 0, 0
  for number in t.read(dir .. "/counts"):gmatch "%d+" do most, count = math.max(most, tonumber(number)), count + 1 end
  t.equal(count, 20)
  t.ok(most <= 4, "at once: " .. most)
end)

t.test("one job that fails makes it 1, and the others run", function()
  local r = run("parallel = 1, ", { a = sh "echo a", b = sh "exit 5", c = sh "echo c" })
  t.equal({ r.code, r.stdout }, { 1, "a | a\nc | c\n" })
  t.contains(r.stderr, "luge: b ended with exit code 5")
end)

t.test("services of jobs take no place, and are stopped after the last job", function()
  local r = run("parallel = 1, ", { a = sh("echo a", "needs = { db = 'started' }"), b = sh("echo b", "needs = { db = 'healthy' }"),
    db = sh("echo >&3; " .. FOR_EVER, "health = { fd = 3 }") })
  t.equal({ r.code, r.stdout }, { 0, "a  | a\nb  | b\n" }, r.stderr)
end)

-- ---- output ----

t.test("lines stay whole, whoever else writes", function()
  local jobs = {}
  for _, name in ipairs { "a", "b", "c" } do
    jobs[name] = sh(("i=0; while test $i -lt 300; do echo %s; i=$((i+1)); done"):format(name:rep(100)))
  end
  local r = run("", jobs)
  t.equal(r.code, 0)
  local counts = { a = 0, b = 0, c = 0 }
  for line in r.stdout:gmatch "[^\n]+" do
    local name = t.matches(line, "^(%l) | " .. ("%l"):rep(100) .. "$")
    t.equal(line, name .. " | " .. name:rep(100))
    counts[name] = counts[name] + 1
  end
  t.equal(counts, { a = 300, b = 300, c = 300 })
end)

t.test("bytes of any kind and a line without end", function()
  local r = run("", { a = sh "printf '\\000\\377\\n'", b = sh "head -c 200000 /dev/zero | tr '\\0' x" })
  t.contains(r.stdout, "a | \0\255\n")
  local _, n = r.stdout:gsub("x", "")
  t.equal(n, 200000)
end)

t.test("a line as long as is passed on at once has one end", function()
  local r = run("", { a = sh "head -c 65536 /dev/zero | tr '\\0' x; sleep 0.1; echo; sleep 0.1; echo; echo tail" })
  t.equal(r.stdout, "a | " .. ("x"):rep(65536) .. "\na | \na | tail\n")
end)

t.test("a reader that is gone ends the writers, one that waits is waited for", function()
  local path = group("", { a = sh "yes", b = sh "yes" })
  local r = t.run { "/bin/sh", "-c", ("%s run %s | head -n 1000 | wc -l"):format(t.luge, path), env = { LUGE_STATE = box.state } }
  t.equal(r.stdout, "1000\n", r.stderr)
  box.nothing_left()
  path = group("", { a = sh "yes | head -n 200000" })
  r = t.run { "/bin/sh", "-c", ("%s run %s | (sleep 0.3; wc -l)"):format(t.luge, path), env = { LUGE_STATE = box.state } }
  t.equal(r.stdout, "200000\n", r.stderr)
  box.nothing_left()
end)

t.test("a stdout that is closed is nobody else's descriptor", function()
  local path = group("", { a = sh "echo out; echo err >&2; exit 0" })
  local r = t.run { "/bin/sh", "-c", ("%s run %s >&-"):format(t.luge, path), env = { LUGE_STATE = box.state } }
  t.contains(r.stderr, "a | err\n")
  t.contains(r.stderr, "luge: stdout: Bad file descriptor")
  box.nothing_left()
end)

-- ---- reports, events, names ----

t.test("the report holds those of all containers", function()
  -- Main ends when bad is about to, and hears no TERM; db hears one.
  local shared = (", mounts = { bind { %q, '/shared', rw = true } }"):format(t.dir "0755")
  local r = run(MAIN, { main = sh("until test -e /shared/end; do sleep 0.01; done; exit 7", "needs = { db = 'healthy' }" .. shared),
    db = sh("trap 'exit 0' TERM; echo >&3; " .. FOR_EVER, "health = { fd = 3 }"), late = sh("true", "needs = { bad = 'done' }"),
    bad = sh("trap '' TERM; echo > /shared/end; exit 2", "cwd = '/'" .. shared) }, {}, { report = true })
  t.equal({ r.report.exit_code, r.report.reason, r.report.main }, { 7, "exit", "main" })
  local all = r.report.containers
  t.equal({ all.main.exit_code, all.db.reason, all.bad.exit_code, all.late.reason }, { 7, "stopped", 2, "not started" })
  for _, name in ipairs { "main", "db" } do
    t.ok(#all[name].receipt > 3, "the receipt of " .. name)
    for _, row in ipairs(all[name].receipt) do t.ok(row.ok, row.field) end
  end
end)

t.test("a report of a group that is wrong", function()
  local r = run(MAIN, { a = sh "true" }, {}, { report = true })
  t.equal({ r.code, r.report.reason }, { 125, "setup" })
end)

t.test("events tell which container's they are; ps shows the group", function()
  local p = start(MAIN, { main = sh("echo up; " .. FOR_EVER, "needs = { db = 'started' }"), db = sh(FOR_EVER) },
    { "--status-fd", "2", "--name", "grp" })
  p:await "up\n"
  local seen = d.json("ps", "--group", "grp", "--json").containers
  t.equal({ #seen, seen[1].name, seen[2].name, seen[1].group, seen[1].detached }, { 2, "grp-db", "grp-main", "grp", false })
  t.matches(d.ok("ps", "--group"), "NAME +GROUP")
  t.equal(d.ok("exec", "grp-db", "echo", "inside"), "inside\n")
  d.ok("stop", "grp-main")
  local r = p:wait()
  t.equal(r.code, 0)
  t.contains(r.stderr, '{"event":"started","name":"grp-db"}')
  t.contains(r.stderr, '"event":"ended","exit_code":0,"name":"grp-main"')
  box.nothing_left()
end)

t.test("two of one group at once do not meet", function()
  local path = group("", { a = sh "sleep 0.2" })
  local first, second = t.start(words(path)), t.start(words(path))
  t.equal({ first:wait().code, second:wait().code }, { 0, 0 })
  box.nothing_left()
end)

t.test("one container of a group by its name", function()
  local path = group(MAIN, { main = sh "echo main", db = sh("echo db", "needs = { main = 'started' }") })
  t.equal(t.run(words(path .. ":db")).stdout, "db\n")
  box.nothing_left()
end)

t.test("the group's network is that of those that say none", function()
  local r = run("network = 'host', ", { a = sh "readlink /proc/self/ns/net", b = sh("readlink /proc/self/ns/net", "network = 'none'") })
  local own = S.readlink "/proc/self/ns/net"
  if r.code == 0 then
    t.contains(r.stdout, "a | " .. own)
    t.lacks(r.stdout, "b | " .. own)
  else
    error(r.stderr)
  end
end)

-- ---- faults ----

local function refused(fields, containers, ...)
  local r = run(fields, containers)
  t.equal({ r.code, r.stdout }, { 125, "" }, r.stderr)
  for _, part in ipairs { ... } do t.contains(r.stderr, part) end
  t.lacks(r.stderr, "traceback")
end

t.test("cycles, unknown names and the containers' own faults, all at once with their lines", function()
  local r = run("main = 'mian', ", { a = sh("true", "needs = { b = 'started' }"), b = sh("true", "needs = { c = 'done' }"),
    c = sh("true", "needs = { a = 'started', dd = 'done' }"), d = sh("true", "cwdd = '/'"), main = sh("true", "needs = { main = 'done' }") })
  t.equal(r.code, 125)
  for _, part in ipairs { "profile.lua:1: main: no container 'mian' in this group (did you mean 'main'?)",
    "profile.lua:2: a: needs.b: they wait for each other: a → b → c → a",
    "profile.lua:4: c: needs.dd: no container 'dd' in this group (did you mean 'd'?)", "profile.lua:5: d: cwdd: no such field",
    "profile.lua:6: main: needs.main: they wait for each other: main → main", "5 errors; nothing was started." } do
    t.contains(r.stderr, part)
  end
end)

t.test("a group of nothing, and what is no container", function()
  refused("", {}, "the group has no container")
  refused("", { a = "5" }, "containers.a: 5 is no container")
  refused("", { a = "group { containers = {} }" }, "is no container")
  refused("", { a = "container { }" }, "a: command: the container has no command")
  refused("parallel = 0, ", { a = sh "true" }, "parallel")
  refused("", { a = sh("true", "terminal = true") }, "has no terminal")
  refused("", { a = sh("true", "name = 'x'"), b = sh("true", "name = 'x'") }, "both the name 'x'")
  refused("", { a = sh("true", "needs = { b = 'healthy' }"), b = sh "true" }, "'b' has no health")
  refused("", { a = sh("true", "needs = { b = 'done' }"), b = sh("true", "restart = 'always'") }, "never done")
  refused("", { a = sh("true", "needs = { b = 'soon' }"), b = sh "true" }, "is not one of")
end)

t.test("names of any kind are refused or harmless", function()
  for _, name in ipairs { "../x", "a/b", "a b", "", "-x", ".x", "a\nb", "a\27[31m", "$(id)", ("x"):rep(65), "ä", "a\0b" } do
    local r = run("", { [name] = sh "true" })
    t.equal(r.code, 125, name)
    t.lacks(r.stderr, "\27[31m")
  end
  refused("", { [("x"):rep(60)] = sh "true" }, "longer than a name may be")
  t.equal(run("", { ["a.b_c-D9"] = sh "echo x" }).stdout, "a.b_c-D9 | x\n")
end)

t.test("plan shows all in the order of the start, check looks at all", function()
  local path = group(MAIN, { main = sh("true", "needs = { zz = 'started' }"), zz = sh "true" })
  local r = t.succeed { "luge", "plan", path }
  t.ok(r.stdout:find "== profile%-zz\n" < r.stdout:find '== profile%-main, main, needs zz = "started"\n')
  local plan = t.decoded { "luge", "plan", "--json", path }
  t.equal({ #plan.containers, plan.containers[1].container, plan.containers[2].needs }, { 2, "zz", { zz = "started" } })
  t.ok(#plan.containers[1].steps > 10)
  t.contains(t.succeed({ "luge", "plan", path .. ":zz" }).stdout, "-- host")
  t.contains(t.succeed({ "luge", "check", path }).stdout, "good")
  t.equal(t.run({ "luge", "check", group("", { a = sh("true", "needs = { a = 'done' }") }) }).code, 1)
  t.contains(t.run({ "luge", "run", "-d", path }).stderr, "luge up")
end)

-- ---- signals, kills ----

t.test("Ctrl-C and TERM stop all of it in order; a second one kills", function()
  for _, name in ipairs { "int", "term" } do
    local dir = t.dir "0777"
    local bound = ("mounts = { bind { %q, '/shared', rw = true } }, "):format(dir)
    local service = "trap 'echo %s >> /shared/ends; exit 0' TERM; echo >&3; while :; do sleep 0.01; done"
    local p = start(MAIN, { db = sh(service:format "db", bound .. "health = { fd = 3 }"),
      main = sh("trap 'echo main >> /shared/ends; exit 6' TERM; echo up; while :; do sleep 0.01; done", bound .. "needs = { db = 'healthy' }") })
    p:await "up\n"
    p:signal(name)
    t.equal({ p:wait().code, t.read(dir .. "/ends") }, { 6, "main\ndb\n" })
    box.nothing_left()
  end
  local p = start("", { a = sh "trap '' TERM INT; echo up; while :; do sleep 0.01; done" })
  p:await "up\n"
  p:signal "int"
  p:signal "int"
  t.equal(p:wait().code, 130)
  box.nothing_left()
end)

t.test("a Ctrl-C while a need is waited for starts nothing more", function()
  local p = start(MAIN, { main = sh("echo main", "needs = { db = 'healthy' }"), db = sh("echo up; " .. FOR_EVER, "health = { fd = 3 }") })
  p:await("up\n", "stderr")
  p:signal "int"
  local r = p:wait()
  t.equal({ r.code, r.stdout }, { 130, "" })
  box.nothing_left()
end)

t.test("a Ctrl-C is heard while a member's hook runs", function()
  local dir = t.dir "0755"
  local script = t.write(dir .. "/wait.lua", "print(container.hook, 'waits') require 'syscall'.nanosleep(3000)", "0644")
  local function hook(place) return ("hooks = { %s = %q, timeout = '1h' }"):format(place, script) end
  local p = start(MAIN, { main = sh("echo main", "needs = { db = 'started' }"), db = sh(FOR_EVER, hook "prepare") })
  p:await("waits", "stderr")
  p:signal "int"
  local r = p:wait()
  t.equal({ r.code, r.stdout }, { 130, "" }, r.stderr)
  box.nothing_left()
  p = start(MAIN, { main = sh("trap 'exit 0' TERM; echo up; " .. FOR_EVER), db = sh(FOR_EVER, hook "started") })
  p:await "up\n"
  p:await("waits", "stderr")
  p:signal "int"
  t.equal(p:wait().code, 0)
  box.nothing_left()
  p = start("", { db = sh("echo up; " .. FOR_EVER, hook "stopped") })
  p:await "up\n"
  p:signal "int"
  p:await("waits", "stderr")
  p:signal "int"
  t.equal(p:wait().code, 130)
  box.nothing_left()
end)

t.test("killed, the group's luge takes all along, and nothing is left", function()
  for _ = 1, 3 do
    local p = start(MAIN, { main = sh("echo up; trap '' TERM; while :; do sleep 0.01; done", "needs = { db = 'started' }"),
      db = sh("trap '' TERM; while :; do sleep 0.01; done", "restart = 'always'"), job = sh("exit 1", "restart = { delay = '1h' }") })
    p:await "up\n"
    p:kill()
    p:wait()
    d.nothing_left()
  end
end)

t.test("killed at any moment of the start", function()
  for i = 1, 10 do
    local p = start("", { a = sh "sleep 1000", b = sh "sleep 1000", c = sh("sleep 1000", "needs = { a = 'started' }") })
    S.nanosleep(i * 0.006)
    p:kill()
    p:wait()
    d.reap()
    d.ok "gc"
    d.nothing_left()
  end
end)

t.test("a member's luge that is killed is a failure that is told", function()
  local p = start(MAIN, { main = sh("echo up; " .. FOR_EVER, "needs = { db = 'started' }"), db = sh(FOR_EVER) }, { "--name", "grp" })
  p:await "up\n"
  local row
  for _, one in ipairs(d.json("ps", "--json").containers) do
    if one.name == "grp-db" then row = one end
  end
  S.kill(row.luge, "kill")
  p:await("luge was killed", "stderr")
  d.ok("stop", "grp-main")
  t.equal(p:wait().code, 0)
  d.ok "gc"
  d.nothing_left()
end)

-- ---- up and down ----

local function up(path, option) return d.luge("up", "--name", "det-g", option or path, option and path) end

local function luge_of(name) return d.seen(name).luge end

local function shop(dir, more)
  return group("", { db = sh("echo >> /shared/db; trap 'echo db >> /shared/ends; exit 0' TERM; echo >&3; while :; do sleep 0.01; done",
      ("mounts = { bind { %q, '/shared', rw = true } }, health = { fd = 3 }"):format(dir)),
    setup = sh("echo set up >> /shared/db", ("mounts = { bind { %q, '/shared', rw = true } }, needs = { db = 'healthy' }"):format(dir)),
    web = sh("trap 'echo web >> /shared/ends; exit 0' TERM; while :; do sleep 0.01; done",
      ("mounts = { bind { %q, '/shared', rw = true } }, needs = { setup = 'done', db = 'started' }, "):format(dir) .. (more or "")) })
end

d.test("up starts in order and leaves what runs; down stops in the reverse order and removes", function()
  local dir = t.dir "0777"
  local path = shop(dir)
  local r = up(path)
  t.equal({ r.code, r.stdout, r.stderr }, { 0, "det-g-db\ndet-g-setup\ndet-g-web\n", "" })
  t.equal(t.read(dir .. "/db"), "\nset up\n")
  local before = { luge_of "det-g-db", luge_of "det-g-web" }
  r = up(path)
  t.equal({ r.code, r.stdout, r.stderr, { luge_of "det-g-db", luge_of "det-g-web" } }, { 0, "", "", before })
  t.equal(d.seen("det-g-web").group, "det-g")
  t.equal(#d.json("ps", "-a", "--json", "--group", "det-g").containers, 3)
  t.equal(#d.json("ps", "-a", "--json", "--group", "det-other").containers, 0)
  t.equal(d.ok("exec", "det-g-web", "echo", "in"), "in\n")
  t.equal(d.ok("logs", "det-g-setup"), "")
  r = d.luge("down", "--name", "det-g", path)
  t.equal({ r.code, r.stdout, r.stderr, t.read(dir .. "/ends") }, { 0, "det-g-db\ndet-g-setup\ndet-g-web\n", "", "web\ndb\n" })
  t.equal(d.luge("down", "--name", "det-g", path).stdout, "")
  d.nothing_left()
end)

d.test("up says what has changed, and --replace starts it anew; what has ended is started again", function()
  local dir = t.dir "0777"
  t.equal(up(shop(dir)).code, 0)
  local before = { luge_of "det-g-db", luge_of "det-g-web" }
  local other = shop(dir, "env = { NEW = 1 }, ")
  local r = up(other)
  t.equal({ r.code, r.stdout, luge_of "det-g-web" }, { 0, "", before[2] })
  t.contains(r.stderr, "det-g-web runs, and its profile says something else by now")
  r = up(other, "--replace")
  t.equal({ r.code, r.stdout, r.stderr, luge_of "det-g-db" }, { 0, "det-g-web\n", "", before[1] })
  d.ok("stop", "det-g-web")
  t.equal(up(other).stdout, "det-g-web\n")
  d.lose "det-g-web"
  t.equal(up(other).stdout, "det-g-web\n")
  -- A job that was done for one is done again for the next.
  t.write(dir .. "/db", "", "0666")
  d.luge("kill", "det-g-db")
  d.luge("wait", "det-g-db")
  t.equal(up(other, "--replace").stdout, "det-g-db\ndet-g-setup\ndet-g-web\n")
  t.equal(t.read(dir .. "/db"), "\nset up\n")
  t.equal(d.luge("down", "det-g").code, 0, "by the group's name")
  d.nothing_left()
end)

-- Containers that each note in DIR/log that they have started and ended; fields: name → text.
local function chain(dir, fields)
  local containers = {}
  for name, needs in pairs { db = "", web = "needs = { db = 'started' }, ", proxy = "needs = { web = 'started' }, ", alone = "" } do
    local script = "echo %s up >> /shared/log; trap 'echo %s ended >> /shared/log; exit 0' TERM; echo >&3; while :; do sleep 0.01; done"
    containers[name] = sh(script:format(name, name), ("mounts = { bind { %q, '/shared', rw = true } }, health = { fd = 3 }, %s %s")
      :format(dir, needs, fields[name] or ""))
  end
  return group("", containers)
end

local function until_healthy()
  for _, name in ipairs { "db", "web", "proxy", "alone" } do d.ok("wait", "--condition", "healthy", "det-g-" .. name) end
end

d.test("with what is replaced those are that need it, which end before it; others are left", function()
  local dir = t.dir "0777"
  t.equal(up(chain(dir, {})).code, 0)
  until_healthy()
  local alone = luge_of "det-g-alone"
  t.write(dir .. "/log", "", "0666")
  local r = up(chain(dir, { db = "env = { NEW = 1 }" }), "--replace")
  t.equal({ r.code, r.stdout, r.stderr }, { 0, "det-g-db\ndet-g-web\ndet-g-proxy\n", "" })
  until_healthy()
  t.equal(luge_of "det-g-alone", alone)
  local lines = {}
  for line in t.read(dir .. "/log"):gmatch "[^\n]+" do lines[#lines + 1] = line end
  t.equal({ lines[1], lines[2], lines[3], #lines }, { "proxy ended", "web ended", "db ended", 6 })
  -- Without --replace it is said.
  d.luge("kill", "det-g-db")
  d.luge("wait", "det-g-db")
  local web = luge_of "det-g-web"
  r = up(chain(dir, { db = "env = { NEW = 1 }" }))
  t.equal({ r.code, r.stdout, luge_of "det-g-web" }, { 0, "det-g-db\n", web })
  t.contains(r.stderr, "det-g-web runs since before det-g-db, which it needs, is started again")
  t.lacks(r.stderr, "det-g-proxy")
  t.equal(d.luge("down", "det-g").code, 0)
  d.nothing_left()
end)

d.test("a need of started does not hold when that one has ended since", function()
  local dir = t.dir "0777"
  local bound = ("mounts = { bind { %q, '/shared', rw = true } }"):format(dir)
  local path = group("", { a = sh "exit 3", c = sh(FOR_EVER, "needs = { a = 'started', z = 'done' }"),
    z = sh("while [ ! -e /shared/go ]; do sleep 0.01; done", bound) })
  local p = t.start { "luge", "up", "--name", d.own "det-g", path, env = { LUGE_STATE = box.state } }
  d.until_true("a's end", function() return (d.seen "det-g-a" or {}).state == "ended" end)
  t.write(dir .. "/go", "")
  local r = p:wait()
  t.equal(r.code, 125)
  t.contains(d.plain(r.stderr), 'c: not started: it needs a = "started", but det-g-a has ended with exit code 3 since')
  d.nothing_left()
end)

d.test("an up that fails takes back what it started, and leaves what ran", function()
  local path = group("", { a = sh(FOR_EVER), b = sh("exit 3", "needs = { a = 'started' }"), c = sh(FOR_EVER, "needs = { b = 'done' }") })
  local r = up(path)
  t.equal(r.code, 125)
  t.contains(r.stderr, 'c: not started: it needs b = "done", but det-g-b ended with exit code 3')
  t.contains(r.stderr, "stopped and removed again: det-g-a, det-g-b")
  d.nothing_left()
  t.equal(up(group("", { a = sh(FOR_EVER) })).code, 0)
  r = up(group("", { a = sh(FOR_EVER), z = "container { command = { '/no/such' } }" }))
  t.equal(r.code, 125)
  t.contains(r.stderr, "not found")
  t.equal(d.seen("det-g-a").state, "running")
  t.equal(d.luge("down", "det-g").code, 0)
  d.nothing_left()
  r = up(group("", { a = sh(FOR_EVER, "health = { command = { 'false' }, interval = '10ms', retries = 1, start_period = 0 }"),
    b = sh("true", "needs = { a = 'healthy' }") }))
  t.equal(r.code, 125)
  t.contains(r.stderr, "is unhealthy")
  d.nothing_left()
end)

d.test("an up that is interrupted takes back what it started", function()
  local path = group("", { a = sh(FOR_EVER, "health = { fd = 3 }"), b = sh("true", "needs = { a = 'healthy' }") })
  local p = t.start { "luge", "up", "--name", d.own "det-g", path, env = { LUGE_STATE = box.state } }
  d.until_true("a", function() return d.seen "det-g-a" end)
  p:signal "int"
  t.equal(p:wait().code, 130)
  d.nothing_left()
end)

-- A script that makes DIR/waits and waits until DIR/go is there; the script, DIR.
local function waiting_script()
  local dir = t.dir "0755"
  return t.write(dir .. "/wait.lua", ([[local S, here = require "syscall", %q
    S.open(here .. "/waits", "creat, wronly, cloexec", "0644")
    while not S.stat(here .. "/go") do S.nanosleep(0.002) end]]):format(dir), "0644"), dir
end

d.test("an up that is interrupted while a hook runs, too", function()
  for _, place in ipairs { "prepare", "started" } do
    local script, dir = waiting_script()
    local path = group("", { a = sh(FOR_EVER), b = sh(FOR_EVER, ("needs = { a = 'started' }, hooks = { %s = %q }"):format(place, script)),
      c = sh(FOR_EVER, "needs = { b = 'started' }") })
    local p = t.start { "luge", "up", "--name", d.own "det-g", path, env = { LUGE_STATE = box.state } }
    d.until_true(place, function() return S.stat(dir .. "/waits") end)
    p:signal "int"
    local r = p:wait()
    t.equal({ r.code, d.plain(r.stdout) }, { 130, "det-g-a\n" }, r.stderr)
    d.nothing_left()
  end
end)

d.test("two ups at once: one waits for the other, and finds all there", function()
  local script, dir = waiting_script()
  local path = group("", { a = sh(FOR_EVER), b = sh(FOR_EVER, ("needs = { a = 'started' }, hooks = { prepare = %q }"):format(script)),
    c = sh(FOR_EVER, "needs = { b = 'started' }") })
  local function begin(verb) return t.start { "luge", verb, "--name", d.own "det-g", path, env = { LUGE_STATE = box.state } } end
  local first = begin "up"
  d.until_true("the hook", function() return S.stat(dir .. "/waits") end)
  local second, third, given_up = begin "up", begin "down", begin "up"
  second:await("another luge's", "stderr")
  third:await("another luge's", "stderr")
  given_up:await("another luge's", "stderr")
  given_up:signal "int"
  t.equal(given_up:wait().code, 130)
  third:kill()
  third:wait()
  t.write(dir .. "/go", "")
  local r = first:wait()
  t.equal({ r.code, d.plain(r.stdout) }, { 0, "det-g-a\ndet-g-b\ndet-g-c\n" }, r.stderr)
  r = second:wait()
  t.equal({ r.code, r.stdout }, { 0, "" }, r.stderr)
  t.equal(d.luge("down", "--name", "det-g", path).stdout, "det-g-a\ndet-g-b\ndet-g-c\n")
  t.contains(d.luge("down", "--name", "../det-g", path).stderr, "name")
  d.nothing_left()
end)

d.test("an up that is killed leaves its group to the next", function()
  local path = group("", { a = sh(FOR_EVER, "health = { fd = 3 }"), b = sh("true", "needs = { a = 'healthy' }") })
  local p = t.start { "luge", "up", "--name", d.own "det-g", path, env = { LUGE_STATE = box.state } }
  p:await "%-a\n"
  p:kill()
  p:wait()
  t.equal(d.ok "gc", "det-g:group\n")
  t.equal(#d.json("ps", "--json").containers, 1, "no lock is a container")
  t.equal(d.luge("down", "--name", "det-g", path).stdout, "det-g-a\n")
  d.nothing_left()
end)

d.test("up keeps away from a container of that name that is not the group's", function()
  d.start("det-g-a", { shell = "exec sleep 1000" })
  local r = up(group("", { a = sh(FOR_EVER) }))
  t.equal(r.code, 125)
  t.contains(r.stderr, "is none of this group")
  r = d.luge("down", "det-g")
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.contains(r.stderr, "no container of a group 'det-g'")
  t.equal(d.seen("det-g-a").state, "running")
  d.ok("rm", "-f", "-t", "0", "det-g-a")
  d.nothing_left()
end)

d.test("what up and down do not take", function()
  t.equal(d.luge("up").code, 125)
  t.equal(d.luge("down").code, 125)
  t.contains(d.luge("up", t.profile "return container { command = { 'true' } }").stderr, "no group")
  t.contains(d.luge("down", t.profile "return container { command = { 'true' } }").stderr, "no group")
  t.contains(d.luge("ps", "word").stderr, "one word too many")
  t.equal(d.luge("up", "--name", "a b", group("", { a = sh "true" })).code, 125)
end)
