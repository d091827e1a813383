-- SPDX-License-Identifier: MIT
-- The frozen heap: the binary begins with every module in memory, and works as well without.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"

local ADDRESS = "1000000000-"

-- The description of the mapping that the heap begins with, or nil.
local function first_mapping(maps) return maps:match("%f[^\n\0]" .. ADDRESS .. "[^\n]*") end

local function need_heap()
  if not first_mapping(S.readfile "/proc/self/maps") then t.skip "a build with sanitizers has no frozen heap" end
end

local function run_script(text) return t.run { "luge", "lua", t.write(t.dir() .. "/script.lua", text) } end

t.test("the modules are in memory; at rest their file is the binary", function()
  need_heap()
  t.ok(package.loaded["sandbox.plan"], "sandbox.plan is loaded")
  local r = run_script [[require("luge.heap").rest() io.write(require("syscall").readfile "/proc/self/maps")]]
  t.contains(first_mapping(r.stdout), S.readlink "/proc/self/exe")
end)

-- Tables, strings and closures made before and after, and what was frozen: nothing changes. `before` is run first.
local WORK = [[
  local S, heap = require "syscall", require "luge.heap"
  local function make(n)
    local made = {}
    for i = 1, n do made[i] = { name = "entry " .. i, get = function() return i end } end
    return made
  end
  local function check(made)
    for i, entry in ipairs(made) do assert(entry.name == "entry " .. i and entry.get() == i) end
  end
  local function rest(before, after)
    local old = make(before)
    heap.rest()
    local new = make(after)
    check(old)
    check(new)
    for i = 1, #old, 2 do old[i].name = nil end
    collectgarbage()
    for i = 1, #old, 2 do old[i].name = "entry " .. i end
    heap.rest()
    check(old)
    check(new)
    assert(S.c.SIG.TERM == 15, "what was frozen")
  end
]]

t.test("a luge that rests has what it had", function()
  for _, sizes in ipairs { { 0, 10 }, { 10, 3000 }, { 3000, 3000 }, { 50000, 10 } } do
    local r = run_script(WORK .. ("rest(%d, %d) print 'whole'"):format(sizes[1], sizes[2]))
    t.equal(r.stdout .. r.stderr, "whole\n", "sizes " .. sizes[1] .. ", " .. sizes[2])
  end
end)

t.test("so has a copy of it, and what it is a copy of", function()
  local r = run_script(WORK .. [[
    local held = make(500)
    local pid = assert(S.fork())
    rest(100, 100)
    check(held)
    if pid == 0 then S.exit(0) end
    local _, status = S.wait4(pid)
    print(status.code, status.status)]])
  t.equal(r.stdout .. r.stderr, "exited\t0\n")
end)

t.test("the collector frees, moves and grows what was frozen", function()
  local old = package.loaded["syscall.docs"]
  package.loaded["syscall.docs"] = nil
  collectgarbage()
  collectgarbage()
  local names = S.fd_methods
  for i = 1, 2000 do names["none" .. i] = i end
  for i = 1, 2000 do names["none" .. i] = nil end
  collectgarbage()
  t.equal(type(S.fd_methods.read), "function")
  package.loaded["syscall.docs"] = old
end)

t.test("the collector writes to few of the pages that all luges share", function()
  need_heap()
  local r = run_script [[
    require("luge.heap").rest()
    for _ = 1, 5 do collectgarbage() end
    local at, sum = false, 0
    for line in io.lines "/proc/self/smaps" do
      if line:find "^%x+%-%x+ " then at = line:find "^1000[0-9a-f]+%-" end
      sum = sum + (at and tonumber(line:match "^Anonymous:%s+(%d+) kB") or 0)
    end
    print(sum)]]
  local kib = tonumber(r.stdout)
  t.ok(kib and kib < 1280, "KiB: " .. r.stdout .. r.stderr)
end)

t.test("it is the same luge without huge pages, and where nobody may read its file", function()
  local command = { "luge", "help", "run" }
  local usual = t.run(command).stdout
  command.before = function() S.prctl("set_thp_disable", 1) end
  t.equal(t.run(command).stdout, usual)
  local copy = t.write(t.dir() .. "/luge", t.read(t.luge), "0111")
  t.equal(t.run({ copy, "help", "run" }).stdout, usual)
end)

-- What makes closures of frozen prototypes: the same one is made again and again, with rounds of the collector between,
-- and freed memory used by others.
t.test("closures of what was frozen come and go", function()
  local loop = require "sandbox.container.loop"
  local seen = 0
  for round = 1, 300 do
    local self = setmetatable({}, { __index = loop })
    loop.begin(self)
    local r, w = S.pipe "cloexec"
    self:listen(r, function() seen = seen + 1 end)
    S.write(w, "x")
    loop.round(self)
    self.poll:close()
    r:close()
    w:close()
    if round % 3 == 0 then collectgarbage() end
    for i = 1, 50 do t.equal(#(("f"):rep(i) .. round), i + #tostring(round)) end
  end
  t.equal(seen, 300)
end)

t.test("the standard streams are this process's", function()
  local r = t.run { "luge", "lua", t.write(t.dir() .. "/say.lua", "io.stdout:write(io.stdin:read 'a') io.stderr:write 'err'"),
    stdin = "hello" }
  t.equal(r.stdout, "hello")
  t.equal(r.stderr, "err")
end)

t.test("a source tree replaces what is frozen", function()
  local dir = t.dir()
  S.mkdir(dir .. "/sandbox")
  S.mkdir(dir .. "/sandbox/cli")
  t.write(dir .. "/sandbox/cli/version.lua", "return { run = function() print 'from the tree' return 0 end }")
  t.equal(t.run { "luge", "version", env = { LUGE_LUA_DIR = dir } }.stdout, "from the tree\n")
end)

-- Calls visit(table, path) for every table that can be reached from `value`.
local function each_table(value, path, seen, visit)
  local kind = type(value)
  if kind ~= "table" and kind ~= "function" and kind ~= "userdata" or seen[value] then return end
  seen[value] = true
  if kind == "function" then
    local i = 1
    while true do
      local name, upvalue = debug.getupvalue(value, i)
      if not name then break end
      each_table(upvalue, path .. "^" .. name, seen, visit)
      i = i + 1
    end
    return
  end
  if debug.getmetatable(value) then each_table(debug.getmetatable(value), path .. "()", seen, visit) end
  if kind == "userdata" then return end
  visit(value, path)
  for k, v in next, value do
    each_table(k, path .. "[]", seen, visit)
    each_table(v, path .. "." .. tostring(k), seen, visit)
  end
end

t.test("no key is an address in the program, which moves", function()
  local wrong = {}
  each_table(debug.getregistry(), "registry", {}, function(tab, path)
    if path == "registry" then return end -- state.c takes care of its own
    for k in next, tab do
      local address = type(k) == "userdata" and not debug.getmetatable(k)
        or type(k) == "function" and debug.getinfo(k, "S").what == "C"
      if address then wrong[#wrong + 1] = path end
    end
  end)
  t.equal(wrong, {})
end)

-- Every function of the modules that are named, by where it is written, as bytecode.
local FUNCTIONS = [[
  for _, name in ipairs(arg) do require(name) end
  local seen, found, places = {}, {}, {}
  local function visit(value)
    local kind = type(value)
    if kind ~= "table" and kind ~= "function" or seen[value] then return end
    seen[value] = true
    if kind == "table" then
      for k, v in next, value do visit(k) visit(v) end
      return
    end
    local i = 1
    while debug.getupvalue(value, i) do
      visit((select(2, debug.getupvalue(value, i))))
      i = i + 1
    end
    local info = debug.getinfo(value, "S")
    if info.what == "C" then return end
    local place = ("%s:%d:%d"):format(info.short_src, info.linedefined, info.lastlinedefined)
    places[#places + 1] = not found[place] and place or nil
    found[place] = found[place] or string.dump(value)
  end
  for _, name in ipairs(arg) do visit(package.loaded[name]) end
  table.sort(places)
  for _, place in ipairs(places) do print(place, (found[place]:gsub(".", function(c) return ("%02x"):format(c:byte()) end))) end]]

t.test("each function is in memory what it was in the file", function()
  need_heap()
  local words = { "luge", "lua", t.write(t.dir() .. "/functions.lua", FUNCTIONS) }
  for name in pairs(package.loaded) do
    if name:find "^[%w_]+%." and not name:find "^luge%." then words[#words + 1] = name end
  end
  local frozen = t.run(words)
  words[1] = t.luge .. "-cold"
  local loaded = t.run(words)
  t.equal({ frozen.code, frozen.stderr, loaded.stderr }, { 0, "", "" })
  local count = select(2, frozen.stdout:gsub("\n", "\n"))
  t.ok(count > 2000, count .. " functions")
  t.ok(frozen.stdout == loaded.stdout, "they differ")
end)

t.test("each entry of each table is found by its key", function()
  need_heap()
  local missing, count = {}, 0
  local seen = { [_G] = true } -- whose lookups are the others'
  local function visit(value, path)
    local kind = type(value)
    if kind ~= "table" and kind ~= "function" and kind ~= "userdata" or seen[value] then return end
    seen[value] = true
    local i = 1
    while kind == "function" and debug.getupvalue(value, i) do
      visit(select(2, debug.getupvalue(value, i)), path .. "^" .. i)
      i = i + 1
    end
    visit(debug.getmetatable(value), path .. "()")
    if kind ~= "table" then return end
    for k, v in next, value do
      count = count + 1
      if rawget(value, k) ~= v then missing[#missing + 1] = path .. "." .. tostring(k) end
      visit(k, path .. "[]")
      visit(v, path .. "." .. tostring(k))
    end
  end
  visit(debug.getregistry(), "registry")
  t.equal(missing, {})
  t.ok(count > 10000, count .. " entries")
end)

t.test("a signal is not lost while luge goes to rest", function()
  local script = t.write(t.dir() .. "/script.lua", "print 'rests' io.stdout:flush() require('luge.heap').rest() repeat until false")
  for _ = 1, 30 do
    local r, w = S.pipe "cloexec"
    local pid = t.must(S.fork())
    if pid == 0 then
      S.dup3(w, 1)
      S.dup3(t.must(S.open("/dev/null", "wronly, cloexec")), 2)
      S.execve(t.luge, { "luge", "lua", script }, {})
      S.exit(127)
    end
    w:close()
    t.equal(S.read(r, 16), "rests\n")
    r:close()
    S.kill(pid, "int")
    local ended = pcall(t.until_true, "the script's end", function()
      local status = S.waitid("pid", pid, "exited, nohang")
      return status and status.pid == pid
    end, 10)
    if not ended then S.kill(pid, "kill") end
    t.ok(ended, "it goes on")
  end
end)

t.test("the registry holds wherever the program lies", function()
  for _ = 1, 200 do
    local r = t.run { "luge", "lua", t.write(t.dir() .. "/box.lua", "io.write(#('x'):rep(5000, 'y'):gsub('x', 'zz'))"),
      timeout = 10 }
    t.equal(r.stdout, "14999")
  end
end)
