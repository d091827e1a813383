-- SPDX-License-Identifier: MIT
-- The cage: what a profile can name, what it cannot, what arrives in the engine, and what is said of mistakes.

local t = dofile "tests/integration/harness.lua"
local load = require "sandbox.profile.load"

local CONSTRUCTORS = { "container", "group", "bind", "tmpfs" }
local FACTS = {
  cwd = "/work", home = "/home/me", user = "me", uid = 1000, gid = 1000, arch = "x86_64", cpus = 4, memory = 2 ^ 33 // 1,
  kernel = "6.18", env = { HOME = "/home/me", CC = "gcc" }, secret = "not for profiles",
}

local function evaluate(text, more)
  local request = { source = { text = text, label = "ci.lua" }, facts = FACTS, constructors = CONSTRUCTORS }
  for key, value in pairs(more or {}) do request[key] = value end
  return load.evaluate(request)
end

-- The value of an expression.
local function value(text, more)
  local request = { facts = FACTS, constructors = CONSTRUCTORS, params = { JOBS = "3" } }
  for key, v in pairs(more or {}) do request[key] = v end
  local got, faults = load.expression(text, "--set x", request)
  if got == nil then error(faults[1].message, 2) end
  return got
end

-- Runs statements whose last is a return of anything.
local function result(text)
  return value("(function() " .. text .. "\nend)()")
end

local function fault(text, number)
  local raw, faults = evaluate(text)
  t.equal(raw, nil, "the profile is accepted")
  return faults[number or 1], faults
end

local function says(text, message, line)
  local f = fault(text)
  t.equal(f.message, message)
  t.equal(f.line, line or 1)
  t.equal(f.file, "ci.lua")
end

t.test("constructors make plain tables with a type", function()
  t.equal(value "bind { '/a', '/b', rw = true }", { type = "bind", "/a", "/b", rw = true })
  t.equal(value "bind '/a'", { type = "bind", "/a" })
  t.equal(value "tmpfs()", { type = "tmpfs" })
  t.equal(value "bind { nil, '/b', false }", { type = "bind", [2] = "/b", [3] = false })
  t.equal(value "append { 1, 2 }", { type = "append", 1, 2 })
  t.equal(value "without { 'x' }", { type = "without", "x" })
  t.equal(value "remove 'x'", { type = "remove", value = "x" })
  t.equal(value "optional(bind '/a')", { type = "optional", value = { type = "bind", "/a" } })
  t.equal(value "optional(false)", false)
  t.equal(value "(function(o) tmpfs(o) return o end) { 1 }", { 1 }, "the argument is changed")
end)

t.test("constructors name wrong use", function()
  says("return bind('/a', '/b')", "bind takes one table: bind { ... }")
  says("return bind { type = 'x' }", "bind sets the field 'type' itself")
  says("return bind(setmetatable({}, {}))", "bind takes a plain table, not one with a metatable")
  says("return optional(1, 2)", "optional takes one value")
end)

t.test("origins: file, line and the calls that led there", function()
  local raw, origins = evaluate [[
local function both(path)
  return { bind { path },
    tmpfs { path } }
end
local function outer(path) local list = both(path) return list end
return container {
  mounts = { bind { "/x" }, outer "/y" },
  stop =
    optional { signal = "TERM" },
}]]
  t.equal(origins[raw], { file = "ci.lua", line = 6 })
  t.equal(origins[raw.mounts[1]], { file = "ci.lua", line = 7 })
  t.equal(origins[raw.mounts[2][1]], { file = "ci.lua", line = 2, chain = { "ci.lua:5", "ci.lua:7" } })
  t.equal(origins[raw.mounts[2][2]].line, 3)
  t.equal(origins[raw.stop], { file = "ci.lua", line = 9 })
  t.equal(origins[raw.mounts], nil)
  raw, origins = evaluate "return\ncontainer\n{ }"
  t.equal(origins[raw].line, 2, "in tail position")
end)

t.test("a table used twice arrives twice", function()
  local raw, origins = evaluate "local m = bind '/x' return container { mounts = { m, m } }"
  t.ok(raw.mounts[1] ~= raw.mounts[2])
  t.equal(origins[raw.mounts[1]], origins[raw.mounts[2]])
end)

t.test("host is read-only, and only what a profile may know", function()
  t.equal(value "host.cpus", 4)
  t.equal(value "host.memory", 2 ^ 33 // 1)
  t.equal(value "host.env.CC", "gcc")
  t.equal(value "host.env.NONE == nil", true)
  t.equal(result "local n = {} for k in pairs(host) do n[#n + 1] = k end return n",
    { "arch", "cpus", "cwd", "env", "gid", "home", "kernel", "memory", "uid", "user" })
  says("return container { cwd = host.hom }", "host has no field 'hom' (did you mean 'home'?)")
  says("return host.secret", "host has no field 'secret'")
  says("host.cpus = 1", "host cannot be changed")
  says("host.env.CC = 1", "host.env cannot be changed")
  says("rawset(host, 'cpus', 1)", "cannot change a protected table")
  says("return setmetatable(host, {})", "cannot change a protected metatable")
end)

t.test("what was looked at is recorded", function()
  local _, _, info = evaluate("return container { env = { host.env.CC, host.env.NONE }, cwd = param.DIR }")
  t.equal(info.env, { "CC", "NONE" })
  t.equal(info.params, { "DIR" })
  _, _, info = evaluate("for _ in pairs(host.env) do end return container {}")
  t.equal(info.env, { "CC", "HOME" })
end)

t.test("param has what -D set, and nil", function()
  t.equal(value "param.JOBS", "3")
  t.equal(value "param.OTHER == nil", true)
  says("param.X = 1", "param cannot be changed")
end)

t.test("unknown names are errors, with the nearest", function()
  says("return contianer {}", "no variable 'contianer' (did you mean 'container'?)")
  says("x = 1", "assignment to the global 'x' (write: local x = ...)")
  says("function f() end", "assignment to the global 'f' (write: local f = ...)")
  says("\nreturn string.formt('x')", "no function of string 'formt' (did you mean 'format'?)", 2)
  says("return os.exit()", "no variable 'os' in a profile, which cannot touch the system")
  says("return load 'x'", "no variable 'load' in a profile; 'require' and 'profile' read other files")
end)

t.test("what loads code, looks at the machine or differs between runs is not there", function()
  local absent = { "os", "io", "debug", "package", "coroutine", "load", "loadstring", "loadfile", "dofile", "collectgarbage",
    "_G", "string.dump", "math.random", "math.randomseed", "bit32", "module" }
  for _, name in ipairs(absent) do
    t.equal(result("return pcall(function() return " .. name .. " end)"), false, name)
  end
end)

t.test("pairs and next go in order", function()
  local text = "local o = {} for k in %s do o[#o + 1] = tostring(k) end return table.concat(o, ' ')"
  local items = "local t = { b = 1, a = 2, [true] = 3, [false] = 4, [10] = 5, [-1] = 6, [1.5] = 7, 'one', ['10'] = 8 } "
  local order = "false true -1 1 1.5 10 10 a b"
  t.equal(result(items .. text:format "pairs(t)"), order)
  t.equal(result(items .. text:format "next, t"), order)
  t.equal(result "return next({}) == nil", true)
  t.equal(result "local t = { a = 1, b = 2, c = 3 } for k in pairs(t) do t[k] = nil end return next(t) == nil", true)
  t.equal(result "local t = { [{}] = 1 } return (next(t)) ~= nil", true)
  t.equal(result "local t = setmetatable({}, { __pairs = function() return pairs { x = 1 } end }) return (pairs(t)(t))", "x")
end)

t.test("table.sort keeps what is equal in order", function()
  t.equal(result "local t = { 5, 3, 8, 1, 9, 2 } table.sort(t) return t", { 1, 2, 3, 5, 8, 9 })
  t.equal(result "local t = { 'b', 'a' } table.sort(t, function(a, b) return a > b end) return t", { "b", "a" })
  t.equal(result [[local t = {} for i = 1, 100 do t[i] = { i % 3, i } end
    table.sort(t, function(a, b) return a[1] < b[1] end)
    for i = 2, 100 do if t[i - 1][1] == t[i][1] and t[i - 1][2] > t[i][2] then return "unstable" end end return "stable"]],
    "stable")
  t.equal(result "return select(2, pcall(table.sort, { 1, 'x' }))", "attempt to compare string with number")
  t.equal(result "local t = {} table.sort(t) table.sort { 1 } return #t", 0)
end)

t.test("no address is visible", function()
  t.equal(value "tostring {}", "table")
  t.equal(value "tostring(print)", "function")
  t.equal(value "string.format('%s %s %d', {}, print, 3)", "table function 3")
  t.equal(value "('%s'):format(setmetatable({}, { __name = 'x' }))", "table")
  t.equal(value "tostring(setmetatable({}, { __tostring = function() return 'mine' end }))", "mine")
  local f = fault "return error({})"
  t.equal(f.message, "error() with a table instead of a message")
end)

t.test("the rest of Lua works", function()
  t.equal(result "return { pcall(error, 'x') }", { false, "x" })
  t.equal(result "return { pcall(error) }", { false })
  t.equal(result "return { pcall(function(...) return ... end, 1, 2) }", { true, 1, 2 })
  t.equal(result "return { xpcall(function(...) error(...) end, function(e) return e .. '!' end, 'x', 0) }", { false, "x!" })
  t.equal(result "return { xpcall(function(...) return ... end, print, 1, 2) }", { true, 1, 2 })
  t.equal(result "return { select('#', 1, nil, nil), tonumber '0x10', math.type(1.0), #'abc', utf8.char(228) }",
    { 3, 16, "float", 3, "ä" })
  t.equal(result "local s = 'abc' return { s:upper(), s:rep(2, '-'), s:find 'b' }", { "ABC", "abc-abc", 2, 2 })
  t.equal(result "local o = setmetatable({}, { __index = { x = 1 }, __call = function(_, v) return v end }) return { o.x, o(2) }",
    { 1, 2 })
  t.equal(result "return { rawlen { 1 }, rawequal(1, 1), rawget({ 5 }, 1), #rawset({}, 1, 2) }", { 1, true, 5, 1 })
  t.equal(result "goto done ::done:: return { getmetatable '' }", { false })
end)

t.test("errors: the line of error(), of the caller, of assert; the chain of calls", function()
  says("\nerror 'no good'", "no good", 2)
  says("\nassert(false, 'no good')", "no good", 2)
  says("\nassert(nil)", "assertion failed!", 2)
  local f = fault "local function check(x)\n error('bad ' .. x, 2)\nend\nlocal function all()\n check 'a'\nend\nall()"
  t.equal({ f.message, f.line, f.chain }, { "bad a", 5, { "ci.lua:7" } })
  f = fault "local function check(x)\n error('bad ' .. x)\nend\ncheck 'a'"
  t.equal({ f.line, f.chain }, { 2, { "ci.lua:4" } })
  f = fault "return container { cwd = 'a' .. nil }"
  t.equal(f.message, "attempt to concatenate a nil value")
  t.lacks(f.message, "traceback")
end)

t.test("syntax errors: file, line, and where on it", function()
  local f = fault "return container {\n  cwd : '/x',\n}"
  t.equal({ f.message, f.line, f.column, f.length }, { "<name> expected near ''/x''", 2, 9, 4 })
  t.equal(f.snippet, "  cwd : '/x',")
  f = fault "return container {"
  t.equal({ f.file, f.line }, { "ci.lua", 1 })
end)

t.test("long names of files survive Lua's shortening", function()
  for _, length in ipairs { 55, 56, 57, 58, 59, 60, 61, 100, 1000 } do
    local label = ("d/"):rep(length // 2 - 4) .. ("x"):rep(length % 2) .. "ci.lua:1"
    local _, faults = evaluate("\nerror 'x'", { source = { text = "\nerror 'x'", label = label } })
    t.equal({ faults[1].file, faults[1].line, faults[1].message }, { label, 2, "x" })
  end
end)

t.test("a profile that returns something else is told so", function()
  local ending = "; a profile ends with: return container { ... }"
  t.equal(fault("").message, "the profile returns nothing" .. ending)
  t.equal(fault("return 1").message, "the profile returns a number" .. ending)
  t.equal(fault("return bind '/x'").message, "the profile returns a 'bind'" .. ending)
  t.equal(fault("").file, "ci.lua")
end)

t.test("all faults of the data at once, each at its place", function()
  local _, faults = fault "return container {\n  cwd = print,\n  mounts = {\n    bind { function() end },\n  },\n}"
  t.equal(#faults, 2)
  t.equal({ faults[1].message, faults[1].line, faults[1].column, faults[1].length }, { "cwd: a function is no data", 2, 9, 5 })
  t.equal({ faults[2].message, faults[2].line, faults[2].column },
    { "mounts[1][1]: a function is no data", 4, 12 })
end)

t.test("parents start their own paths", function()
  local f = fault "return container { container { cwd = print } }"
  t.equal(f.message, "cwd: a function is no data")
end)

t.test("depth 64 is good, 65 is not", function()
  local function nested(n) return "local t = 1 for _ = 1, " .. n .. " do t = { t } end return container { x = t }" end
  t.ok(evaluate(nested(63)))
  t.contains(fault(nested(64)).message, "more than 64 tables within tables")
end)

t.test("a script's first line, a byte order mark", function()
  t.ok(evaluate "#!/usr/bin/env -S luge run\nreturn container {}")
  t.ok(evaluate "\xef\xbb\xbfreturn container {}")
  t.equal(fault("#!/usr/bin/env -S luge run\n\nerror 'x'").line, 3)
end)

t.test("expressions: a value, false, nothing, a mistake", function()
  t.equal(value "false", false)
  t.equal(value "1 + 1", 2)
  local got, faults = load.expression("nil", "--set x", { facts = FACTS })
  t.equal({ got == nil, faults[1].message }, { true, "the expression gives nil" })
  got, faults = load.expression("1 1", "--set x", { facts = FACTS })
  t.equal({ got == nil, faults[1].file }, { true, "--set x" })
  got = load.expression("(function() error 'x' end)()", "--set x", { facts = FACTS })
  t.equal(got, nil)
end)

t.test("the same on every run", function()
  local text = [[local s = {} for k, v in pairs(host.env) do s[#s + 1] = k .. v end
    return container { name = table.concat(s) .. tostring {} .. tostring(print), command = s }]]
  local first = evaluate(text)
  for _ = 1, 20 do t.equal(evaluate(text), first) end
end)

t.test("print goes to stderr, and cannot speak to a terminal", function()
  local path = t.write(t.dir() .. "/p.lua", "print('a\\27]0;x\\7b', 1, nil, {}, '\\xc2\\x9b', 'ä')\nreturn container {}")
  local r = t.run { "luge", "lua", "tests/lua/evaluate.lua", path }
  t.equal(r.stdout, "good\n")
  t.equal(r.stderr, "a\\27]0;x\\7b\t1\tnil\ttable\t\\155\tä\n")
end)

t.test("the cage gives its memory back, and its signal", function()
  local S = require "syscall"
  local function size() return tonumber(S.readfile("/proc/self/statm"):match "^%d+ (%d+)") end
  local function round()
    for _ = 1, 50 do evaluate "local s = ('x'):rep(4000000) return container { name = s:sub(1, 5) }" end
    collectgarbage()
  end
  round()
  local before = size()
  round()
  -- 49,000 pages, were it kept; the address sanitizer holds back some of what is freed.
  t.ok(size() - before < 10000, "grew by " .. size() - before .. " pages")
  local old = S.sigprocmask("block", "prof")
  evaluate "return container {}"
  local now = S.sigprocmask("setmask", old)
  t.contains(table.concat(now, " "), "prof")
end)

t.test("what a fault shows cannot act on the terminal, and stays short", function()
  local errors = require "sandbox.profile.errors"
  local function text(source) return errors.format(select(2, fault(source))) end
  local shown = text "error('a\\27[31m\\nb\\xc2\\x9bc\\x7f')"
  t.equal(shown, "ci.lua:1: a?[31m\n      b?c?\n    1 | error('a\\27[31m\\nb\\xc2\\x9bc\\x7f')\n1 error; nothing was started.\n")
  shown = text("local x = '" .. ("ä"):rep(500) .. "' return container { cwd = print } --" .. ("y"):rep(5000))
  local line, caret = shown:match "    1 | ([^\n]*)\n      | ([^\n]*)\n"
  t.ok(#line < 200)
  t.ok(utf8.len(line))
  local column, last = caret:find "%^~*"
  t.equal(line:sub(utf8.offset(line, column), utf8.offset(line, last + 1) - 1), "print")
  t.equal(text "return container {\n\tcwd = 'ä' .. host.cdw }",
    "ci.lua:2: host has no field 'cdw' (did you mean 'cwd'?)\n    2 |  cwd = 'ä' .. host.cdw }\n"
    .. "      |                    ^~~\n1 error; nothing was started.\n")
end)
