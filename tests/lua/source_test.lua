-- SPDX-License-Identifier: MIT
-- Where a field was written: line and columns, from the line of a constructor's call.

local t = dofile "tests/integration/harness.lua"
local source = require "sandbox.profile.source"

local PROFILE = [==[
-- tmpfs { "/no", sise = "1M" } in a comment
local text = [[ tmpfs { sise = 1 } ]]
local common = { memory = "2GB", ["open_files"] = 10 }
local first, second = { 1 }, bind { "/x", rwx = true }
return container {
  profile "ci",
  command = { "make", "-j" .. host.cpus, 'a "quoted" }' },
  limits = common, -- limits = { no }
  mounts = {
    host.env.X and bind { host.env.X, "/x", rw = true },
    tmpfs { "/tmp", sise = "64M" }, tmpfs { "/run", mode = 5 },
    nil,
    optional(bind { "/y", sorce = (1 + 2) * 3 }),
    file { "/f", text = [[
      mode = "x" ]], mode = "0644" },
    second,
    (function() local a, b = 1, 2 if a then return bind { "/z" } end end)(),
    bind "/last",
  },
  network = cond and "host" or { interfaces = { { name = "eth0" } } },
  stop = lib.make { signal = "TERM" };
  ["sysctl"] = { ["net.ipv4.x"] = 1, [7] = 2 },
}
]==]

-- What stands at the place that locate() gives.
local function found(line, keys, part, name)
  local at, column, last = source.locate(PROFILE, line, keys, part, name)
  if not at then return nil end
  local n = 0
  for text in PROFILE:gmatch "([^\n]*)\n" do
    n = n + 1
    if n == at then return n .. ":" .. text:sub(column, last) end
  end
end

t.test("a field of the container", function()
  t.equal(found(5, { "limits" }), "8:limits")
  t.equal(found(5, { "limits" }, "value"), "8:common")
  t.equal(found(5, { "command", 2 }), '7:"-j" .. host.cpus')
  t.equal(found(5, { "command", 3 }), [[7:'a "quoted" }']])
  t.equal(found(5, { 1 }), '6:profile "ci"')
  t.equal(found(5, { "stop", "signal" }, "value"), '21:"TERM"')
  t.equal(found(5, { "sysctl" }), '22:"sysctl"')
  t.equal(found(5, { "sysctl", "net.ipv4.x" }, "value"), "22:1")
  t.equal(found(5, { "sysctl", 7 }), "22:7")
end)

t.test("a field of a table that a local holds", function()
  t.equal(found(5, { "limits", "memory" }, "value"), '3:"2GB"')
  t.equal(found(5, { "limits", "open_files" }), '3:"open_files"')
  t.equal(found(5, { "mounts", 7, "rwx" }), "4:rwx")
end)

t.test("through constructors, conditions, optional and functions", function()
  t.equal(found(5, { "mounts", 1, "rw" }), "10:rw")
  t.equal(found(5, { "mounts", 2, "sise" }), "11:sise")
  t.equal(found(5, { "mounts", 3, "mode" }, "value"), "11:5")
  t.equal(found(5, { "mounts", 5, "value", "sorce" }, "value"), "13:(1 + 2) * 3")
  t.equal(found(5, { "mounts", 9 }), '18:bind "/last"')
  t.equal(found(5, { "mounts", 9, 1 }), '18:"/last"')
  t.equal(found(5, { "network", "interfaces", 1, "name" }), "20:name")
end)

t.test("from the line of an inner call", function()
  t.equal(found(11, { "sise" }), "11:sise")
  t.equal(found(11, { "mode" }), "11:mode")
  t.equal(found(11, {}, nil, "tmpfs"), "11:tmpfs")
  t.equal(found(13, { "sorce" }, "key", "bind"), "13:sorce")
  t.equal(found(14, { "mode" }, "value"), '15:"0644"')
  t.equal(found(17, { 1 }, "value", "bind"), '17:"/z"')
  t.equal(found(4, { "rwx" }, nil, "bind"), "4:rwx")
end)

t.test("what is not written there gives the last place on the way, or nothing", function()
  t.equal(found(5, { "limits", "pids" }), "8:limits")
  t.equal(found(5, { "hostname" }), nil)
  t.equal(found(1, { "sise" }), nil)
  t.equal(found(2, { "sise" }), nil)
  t.equal(found(99, { "sise" }), nil)
end)

t.test("any text is survived", function()
  local pieces = { "{", "}", "(", ")", "[", "]", "[[", "]]", "[==[", "]==]", "'", '"', "\\", "\n", "--", "--[[", ",",
    ";", "=", "==", "a", "bind", "local ", "function ", "end ", "if ", "do ", "repeat ", "until ", "and ", "or ", "1",
    "0x", "1e", "...", ".", "\\z", "\0", "\255", " " }
  local seed = 12345
  local function random(n)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed // 65536 % n + 1
  end
  for _ = 1, 3000 do
    local parts = {}
    for i = 1, random(40) do parts[i] = pieces[random(#pieces)] end
    local text = "bind { " .. table.concat(parts)
    local line, column, last = source.locate(text, random(2), { "a", 1, "bind" }, random(2) == 1 and "key" or "value")
    t.ok(line == nil or (column >= 1 and last >= column - 1), text)
  end
end)

t.test("columns count bytes, with tabs, carriage returns and a first line for the shell", function()
  local text = "#!/usr/bin/env -S luge run\r\nreturn container {\r\n\tcwd = 'ä', size = 1,\r\n}\r\n"
  t.equal({ source.locate(text, 2, { "cwd" }) }, { 3, 2, 4 })
  t.equal({ source.locate(text, 2, { "size" }, "value") }, { 3, 21, 21 })
end)
