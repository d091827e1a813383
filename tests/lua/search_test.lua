-- SPDX-License-Identifier: MIT
-- Which file a name means: the profile path, what lies beside a file, what root refuses, what hints say.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"
local load = require "sandbox.profile.load"
local search = require "sandbox.profile.search"

local function mkdir(path, perm)
  t.must(S.mkdir(path, perm or "0755"))
  t.must(S.chmod(path, perm or "0755"))
  return path
end

-- A directory of directories: cwd, one, two (the profile path), config.
local function tree(files)
  local top = t.dir()
  for _, name in ipairs { "cwd", "one", "two", "config", "config/luge", "config/luge/profiles", "cwd/lib", "one/lib" } do
    mkdir(top .. "/" .. name)
  end
  for name, text in pairs(files) do t.write(top .. "/" .. name, text, "0644") end
  return top
end

local function facts_of(top, more)
  local facts = {
    cwd = top .. "/cwd", uid = S.geteuid(), home = top,
    env = { LUGE_PATH = "relative:" .. top .. "/one::" .. top .. "/two", XDG_CONFIG_HOME = top .. "/config" },
  }
  for key, value in pairs(more or {}) do facts[key] = value end
  return facts
end

local function evaluate(top, source, more)
  local here = S.getcwd()
  t.must(S.chdir(top .. "/cwd"))
  local raw, faults, info = load.evaluate {
    source = source, facts = facts_of(top, more), constructors = { "container", "group" },
  }
  t.must(S.chdir(here))
  return raw, faults, info
end

-- The name that a profile ends up with; or nil and the message.
local function name_of(top, source, more)
  local raw, faults = evaluate(top, source, more)
  if not raw then return nil, faults[1].message, faults[1] end
  return raw.name or raw[1] and raw[1].name
end

local function named(name) return ("return container { name = %q }"):format(name) end

t.test("words of a command line", function()
  local cases = {
    { "ci", { name = "ci" } }, { "./ci", { path = "./ci" } }, { "ci.lua", { path = "ci.lua" } }, { "-", { stdin = true } },
    { "a/b", { path = "a/b" } }, { "x.lua:db", { path = "x.lua" }, "db" }, { "a/x.lua:db-1", { path = "a/x.lua" }, "db-1" },
    { "ci:db", { name = "ci:db" } },
  }
  for _, case in ipairs(cases) do
    local source, container = search.parse(case[1])
    t.equal({ source, container }, { case[2], case[3] }, case[1])
  end
end)

t.test("the profile path in its order, the current directory never", function()
  local top = tree {
    ["cwd/a.lua"] = named "cwd", ["two/a.lua"] = named "two", ["two/b.lua"] = named "two b",
    ["config/luge/profiles/b.lua"] = named "config", ["config/luge/profiles/c.lua"] = named "config c",
  }
  t.equal(name_of(top, { name = "a" }), "two")
  t.equal(name_of(top, { name = "b" }), "two b")
  t.equal(name_of(top, { name = "c" }), "config c")
  t.equal(name_of(top, { path = "a.lua" }), "cwd")
  t.equal(name_of(top, { path = "./a.lua" }), "cwd")
  t.ok(evaluate(top, { name = "default" }), "an installed profile")
  local home = { env = { HOME = top } }
  mkdir(top .. "/.config") mkdir(top .. "/.config/luge") mkdir(top .. "/.config/luge/profiles")
  t.write(top .. "/.config/luge/profiles/d.lua", named "home", "0644")
  t.equal(name_of(top, { name = "d" }, home), "home")
end)

t.test("hints", function()
  local top = tree { ["cwd/build.lua"] = named "cwd" }
  local function message(name) return select(2, name_of(top, { name = name })) end
  t.equal(message "make", "no profile 'make'; to run a command: luge run default -- make")
  t.equal(message "build", "no profile 'build' on the profile path; for the file here write ./build.lua")
  t.equal(message "defualt", "no profile 'defualt' (did you mean 'default'?)")
  t.equal(message "", "'' is no name of a profile")
  t.equal(message "..", "'..' is no name of a profile")
end)

t.test("a parent of the same name lies further down the path", function()
  local top = tree {
    ["one/ci.lua"] = "return container { profile 'ci' }", ["two/ci.lua"] = named "two",
    ["cwd/ci.lua"] = "return container { profile 'ci' }", ["one/x.lua"] = "return container { profile 'x' }",
  }
  t.equal(name_of(top, { name = "ci" }), "two")
  local raw = evaluate(top, { path = "ci.lua" })
  t.equal(raw[1][1].name, "two")
  raw = evaluate(top, { path = top .. "/one/ci.lua" })
  t.equal(raw[1].name, "two", "the file itself, named by its path")
  local _, message = name_of(top, { name = "x" })
  t.equal(message, "no profile 'x' further down the profile path")
end)

t.test("paths of parents and modules start beside the file that wrote them", function()
  local top = tree {
    ["cwd/main.lua"] = "return container { profile '../one/base.lua', name = require 'lib.names'.main }",
    ["one/base.lua"] = "return container { name = require 'lib.names'.base }",
    ["cwd/lib/names.lua"] = "return { main = 'of main' }", ["one/lib/names.lua"] = "return { base = 'of base' }",
  }
  local raw, _, info = evaluate(top, { path = "main.lua" })
  t.equal({ raw.name, raw[1].name }, { "of main", "of base" })
  t.equal(info.directory["../one/base.lua"], top .. "/cwd/../one")
  t.equal(info.directory["main.lua"], top .. "/cwd")
  local labels = {}
  for i, file in ipairs(info.files) do labels[i] = file.label end
  t.equal(labels, { "main.lua", "../one/base.lua", "../one/lib/names.lua", "lib/names.lua" })
  t.equal(info.files[1].ino, S.stat(top .. "/cwd/main.lua").ino)
end)

t.test("a module is run once, a profile each time", function()
  local top = tree {
    ["cwd/main.lua"] = [[local a, b = require 'lib.m', require 'lib.m'
      a.n = a.n + 1
      local p, q = profile './p.lua', profile './p.lua'
      p.name = 'changed'
      return container { name = b.n .. q.name }]],
    ["cwd/lib/m.lua"] = "return { n = 1 }", ["cwd/p.lua"] = named "p",
  }
  t.equal(name_of(top, { path = "main.lua" }), "2p")
end)

t.test("circles are named", function()
  local top = tree {
    ["cwd/a.lua"] = "return container { profile './b.lua' }", ["cwd/b.lua"] = "return container { profile './a.lua' }",
    ["cwd/m.lua"] = "require 'm'\nreturn container {}",
  }
  t.equal(select(2, name_of(top, { path = "a.lua" })), "a.lua needs itself: a.lua <- b.lua <- a.lua")
  t.equal(select(2, name_of(top, { path = "m.lua" })), "m.lua needs itself: m.lua <- m.lua")
end)

t.test("modules: names, places", function()
  local top = tree {
    ["cwd/main.lua"] = "return container { name = require 'shared'.name }", ["two/shared.lua"] = "return { name = 'two' }",
  }
  t.equal(name_of(top, { path = "main.lua" }), "two")
  for _, name in ipairs { "../x", "a..b", "/etc/passwd", "a/b", "" } do
    t.write(top .. "/cwd/bad.lua", ("require %q"):format(name), "0644")
    t.equal(select(2, name_of(top, { path = "bad.lua" })), ("'%s' is no name of a module"):format(name))
  end
  t.write(top .. "/cwd/bad.lua", "require 'none.such'", "0644")
  t.equal(select(2, name_of(top, { path = "bad.lua" })),
    "no module 'none.such': no none/such.lua beside the profile or on the profile path")
end)

t.test("text without a file has nothing beside it but the current directory", function()
  local top = tree { ["cwd/lib/m.lua"] = "return 1", ["cwd/p.lua"] = named "p" }
  t.equal(name_of(top, { text = "return container { profile './p.lua' }", label = "stdin" }), "p")
  t.contains(select(2, name_of(top, { text = "require 'lib.m'", label = "stdin" })), "no module 'lib.m'")
end)

t.test("faults in parents and modules name their file", function()
  local top = tree {
    ["cwd/main.lua"] = "\nreturn container { profile './p.lua' }", ["cwd/p.lua"] = "\n\nlocal x = = 1",
    ["cwd/r.lua"] = "\nreturn container { profile './q.lua' }", ["cwd/q.lua"] = "\nerror 'no'",
    ["cwd/n.lua"] = "\nreturn container { profile './none.lua' }", ["cwd/v.lua"] = "return container { profile './w.lua' }",
    ["cwd/w.lua"] = "return 1",
  }
  local function place(path)
    local _, _, fault = name_of(top, { path = path })
    return { fault.file, fault.line, fault.message }
  end
  t.equal(place "main.lua", { "p.lua", 3, "unexpected symbol near '='" })
  t.equal(place "r.lua", { "q.lua", 2, "no" })
  t.equal(place "n.lua", { "n.lua", 2, "cannot read none.lua: No such file or directory" })
  t.equal(place "v.lua", { "v.lua", 1, "w.lua returns number; a profile returns container { ... }" })
end)

t.test("sizes of all files together are bounded", function()
  local top = tree { ["cwd/main.lua"] = "for i = 1, 300 do profile('./p' .. i .. '.lua') end" }
  for i = 1, 300 do t.write(top .. "/cwd/p" .. i .. ".lua", "return container {}", "0644") end
  t.contains(select(2, name_of(top, { path = "main.lua" })), "a profile may read 256 files")
  for i = 1, 10 do t.write(top .. "/cwd/p" .. i .. ".lua", "return {} --" .. ("x"):rep(1000000), "0644") end
  t.contains(select(2, name_of(top, { path = "main.lua" })), "longer than 8 MiB")
end)

-- ---- as root ----

local OTHER = 1234

local function refused(top, source, why)
  local name, message = name_of(top, source)
  t.equal(name, nil, "it is believed")
  t.contains(message, " is refused: ")
  t.contains(message, why)
  t.contains(message, "root takes only files that nobody else can change")
end

t.test("root: a named profile that somebody else could change", function()
  t.needs_root()
  local top = tree { ["one/a.lua"] = named "a" }
  local file = top .. "/one/a.lua"
  t.equal(name_of(top, { name = "a" }), "a")
  t.must(S.chmod(file, "0666"))
  refused(top, { name = "a" }, file .. " can be written by everyone")
  t.must(S.chmod(file, "0644"))
  t.must(S.chown(file, 0, OTHER))
  t.equal(name_of(top, { name = "a" }), "a")
  t.must(S.chmod(file, "0664"))
  refused(top, { name = "a" }, file .. " can be written by group 1234")
  t.must(S.chmod(file, "0644"))
  t.must(S.chown(file, OTHER, 0))
  refused(top, { name = "a" }, file .. " belongs to uid 1234")
  t.equal(name_of(top, { path = file }), "a", "a path is the caller's word")
end)

t.test("root: a directory above it, a link on the way", function()
  t.needs_root()
  local top = tree { ["one/a.lua"] = named "a", ["two/real.lua"] = named "b" }
  t.must(S.symlink("../two/real.lua", top .. "/one/b.lua"))
  t.equal(name_of(top, { name = "b" }), "b")
  t.must(S.chmod(top .. "/two", "0777"))
  refused(top, { name = "b" }, top .. "/two can be written by everyone")
  t.must(S.chmod(top .. "/two", "1777"))
  t.equal(name_of(top, { name = "b" }), "b", "in a sticky directory a file is its owner's")
  t.must(S.chown(top .. "/two/real.lua", OTHER, 0))
  refused(top, { name = "b" }, "belongs to uid 1234")
  t.must(S.chown(top .. "/one", OTHER, 0))
  refused(top, { name = "a" }, top .. "/one belongs to uid 1234")
  t.must(S.chown(top .. "/one", 0, 0))
  t.must(S.lchown(top .. "/one/b.lua", OTHER, 0))
  t.must(S.chown(top .. "/two/real.lua", 0, 0))
  refused(top, { name = "b" }, "b.lua belongs to uid 1234")
end)

t.test("root: parents and modules", function()
  t.needs_root()
  local top = tree {
    ["cwd/main.lua"] = "return container { profile '../one/p.lua' }", ["one/p.lua"] = named "p",
    ["cwd/mod.lua"] = "return container { name = require 'lib.m' }", ["cwd/lib/m.lua"] = "return 'm'",
  }
  t.equal(name_of(top, { path = "main.lua" }), "p")
  t.equal(name_of(top, { path = "mod.lua" }), "m")
  t.must(S.chown(top .. "/one/p.lua", OTHER, 0))
  t.must(S.chown(top .. "/cwd/lib/m.lua", OTHER, 0))
  refused(top, { path = "main.lua" }, "belongs to uid 1234")
  refused(top, { path = "mod.lua" }, "belongs to uid 1234")
  -- A checkout that is all of one user's: who wrote the profile that root names wrote its modules too.
  t.must(S.chown(top .. "/cwd/mod.lua", OTHER, 0))
  t.equal(name_of(top, { path = "mod.lua" }), "m")
  refused(top, { text = "return container { profile '../one/p.lua' }", label = "stdin" }, "belongs to uid 1234")
end)

t.test("an ordinary user may use what lies on the path", function()
  local top = tree { ["one/a.lua"] = named "a" }
  t.must(S.chmod(top .. "/one/a.lua", "0666"))
  t.equal(name_of(top, { name = "a" }, { uid = 1000 }), "a")
end)
