-- SPDX-License-Identifier: MIT
-- Everything that may lie in a state directory in the place of luge's own files: no command crashes, hangs or follows a link,
-- ps and gc say what is wrong, and the other containers are as they were.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"

local SECRET = "what lies outside\n"

local function make(path, flags) t.must(S.open(path, "creat, wronly, excl, cloexec" .. (flags or ""), "0600")):close() end

-- What is put at a path. outside: a file elsewhere.
local WHAT = {
  nothing_in_it = function(path) make(path) end,
  garbage = function(path) t.write(path, "\0\255\1{[\n\nnot for us\n%%\n\255", "0600") end,
  huge = function(path)
    t.write(path, "luge ", "0600")
    t.must(S.truncate(path, 1 << 30))
  end,
  newer = function(path)
    t.write(path, path:find "%.json$" and d.own '{"schema":99,"name":"det-x"}' or "luge 1\nprofile x\nquota 7 /elsewhere\n", "0600")
  end,
  wrong = function(path)
    t.write(path, ("luge 1\nprocess %s 5 x\ncgroup %s above /\ncgroup 1 own /sys/fs\ntables 99999999999999999999 %s\nlink 5 %s\n")
      :format(("9"):rep(30), ("9"):rep(30), ("x"):rep(300), ("x"):rep(300)), "0600")
  end,
  cut_off = function(path) t.write(path, "luge 1\nprofile x\nprocess 1 5", "0600") end,
  link = function(path, outside) t.must(S.symlink(outside, path)) end,
  link_to_nothing = function(path, outside) t.must(S.symlink(outside .. ".none", path)) end,
  fifo = function(path) t.must(S.mknod(path, "0600", "fifo")) end,
  directory = function(path)
    t.must(S.mkdir(path, "0700"))
    t.write(path .. "/1", "x")
  end,
}

local FILES = { "det-x.json", "det-x.json.new", "det-x.lock", "det-x.sock", "det-x.log", "range.7", "net.7", "address.a.7",
  "port.5.br.7", "bridge.br.5", "pod.p.0", "sysctl.x.5" }

-- Neither a file nor readable by this luge: gc says so of what it would take away.
local UNREADABLE = { newer = true, link = true, link_to_nothing = true, fifo = true, directory = true, huge = true }

local function sane(r, what)
  t.ok(r.code == 0 or r.code == 125, what .. ": code " .. r.code .. ": " .. r.stderr)
  for _, text in ipairs { "internal error", "traceback", "bad argument" } do t.lacks(r.stderr, text, what) end
  if r.code ~= 0 then t.matches(r.stderr, "%a", what) end
  return r
end

local function is_lock(file) return not file:find "^det" or file:find "%.lock$" end

local function attack(file, kind, outside)
  local path, what = box.state .. "/" .. d.own(file), ("%s: %s"):format(file, kind)
  WHAT[kind](path, outside)
  local listed = sane(d.luge("ps", "-a", "--json"), what)
  local rows = t.json.decode(listed.stdout).containers
  local states = {}
  for _, row in ipairs(rows) do states[d.plain(row.name)] = row.state end
  t.equal(states["det-other"], "running", what)
  if file == "det-x.json" then
    t.equal(states["det-x"], "unknown", what)
    t.contains(listed.stderr, "det-x.json", what)
  end
  local gc = sane(d.luge "gc", what)
  if UNREADABLE[kind] and is_lock(file) or file == "det-x.json" then
    t.equal(gc.code, 125, what)
    t.contains(gc.stderr, file, what)
    t.ok(S.lstat(path), what .. ": gc took it away")
  end
  for _, words in ipairs { { "wait" }, { "stop" }, { "inspect" }, { "exec" }, { "logs" } } do
    sane(d.luge(words[1], "det-x", words[1] == "exec" and "true" or nil), what .. ": " .. words[1])
  end
  local start = sane(d.run("det-x", { "sleep", "1000" }), what .. ": run")
  if start.code == 0 then d.ok("rm", "-f", "-t", "0s", "det-x") end
  sane(d.luge("rm", "det-x"), what .. ": rm")
  t.equal(d.luge("exec", "det-other", "--", "/guest", "exit", "3").code, 3, what)
  t.equal({ t.read(outside), S.lstat(outside .. ".none") == nil }, { SECRET, true }, what)
  t.remove_tree(path)
  d.luge("rm", "det-x") -- a lock that was left in place of what had its name
end

for _, file in ipairs(FILES) do
  d.test("in the place of " .. file, function()
    local outside = t.write(t.dir() .. "/outside", SECRET)
    d.start("det-other", { "sleep", "1000" })
    for kind in pairs(WHAT) do attack(file, kind, outside) end
    d.ok("rm", "-f", "-t", "0s", "det-other")
    d.nothing_left()
  end)
end

d.test("rm --all takes no file that is not luge's, and gc no directory", function()
  t.write(box.state .. "/package.json", "{}", "0600")
  t.must(S.mkdir(box.state .. "/empty.log", "0755"))
  d.start("det-e", { "exit", "0" })
  d.ok("wait", "det-e")
  d.luge("rm", "--all", "--force")
  d.luge("rm", "--all")
  d.luge "gc"
  t.equal({ t.read(box.state .. "/package.json"), S.lstat(box.state .. "/empty.log").type }, { "{}", "directory" })
  t.equal(d.luge("inspect", "det-e").code, 125, "luge's own is removed")
  t.remove_tree(box.state .. "/empty.log")
  S.unlink(box.state .. "/package.json")
  d.nothing_left()
end)
