-- SPDX-License-Identifier: MIT
-- What a group in the foreground says: the lines of its containers, reports, events, names.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local groups = dofile "tests/integration/groups.lua"(t, box)
local S = require "syscall"

local sh, group, words, run, start = groups.sh, groups.path, groups.words, groups.run, groups.start
local FOR_EVER = groups.FOR_EVER

local MAIN = "main = 'main', "

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
