-- SPDX-License-Identifier: MIT
-- Groups of containers in the background: luge up and down, what they replace, take back and leave alone.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local groups = dofile "tests/integration/groups.lua"(t, box)
local S = require "syscall"

local sh, group, FOR_EVER = groups.sh, groups.path, groups.FOR_EVER

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
