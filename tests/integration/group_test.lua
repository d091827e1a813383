-- SPDX-License-Identifier: MIT
-- Groups of containers in the foreground: main and its services, what they need of each other, jobs, their faults and plans;
-- and that nothing is left whoever is killed. Their output and reports: group_output_test.lua; luge up: group_up_test.lua.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local groups = dofile "tests/integration/groups.lua"(t, box)
local S = require "syscall"

local sh, group, words, run, start = groups.sh, groups.path, groups.words, groups.run, groups.start
local refused, FOR_EVER = groups.refused, groups.FOR_EVER

local function sorted_lines(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  table.sort(lines)
  return lines
end

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

-- ---- faults ----

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

t.test("what others lay to a container that is started again would be gone: a fault of it", function()
  local function told(network)
    return t.run { "luge", "check", t.profile(("return group { containers = {\n again = container { restart = 'failure', "
      .. "network = { interfaces = {} } },\n other = container { network = %s } } }"):format(network)) }
  end
  local r = told "{ interfaces = { link { 'again', address = '10.1.1.2/24', peer = { name = 'l0', address = '10.1.1.1/24' } } } }"
  t.equal(r.code, 1, r.stderr)
  t.contains(r.stderr, ":2: again: restart: 'other' lays a link to it: that would end with its first run")
  t.contains(r.stderr, "let 'again' lay the wire to it (link), join by a pod, or leave restart out")
  t.contains(told("{ join = 'again' }").stderr, "'other' joins its network")
  t.equal(told("{ interfaces = {} }").code, 0)
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
