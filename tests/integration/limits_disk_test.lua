-- SPDX-License-Identifier: MIT
-- limits.disk: all that is thrown away shares one room, to the last byte; what has a size of its own, or is kept, is
-- not in it. LUGE_SOAK=1 repeats what must never be misreported 200 times.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"

local ROUNDS = t.soak and 200 or 10
local MIB = 1 << 20

local function limited(size, how)
  how.body = ("limits = { disk = %s, %s }, stop = { grace = '5s' } %s"):format(size, how.limits or "", how.more or "")
  how.report = true
  return box.run(how)
end

local function ended(r) return { r.code, r.report.reason, r.report.exit_code } end

t.test("what fits is fine, one byte more is ENOSPC and the reason: every time", function()
  for round = 1, ROUNDS do
    local r = limited("'1M'", { "fill", "/tmp/f", tostring(MIB) })
    t.equal({ ended(r), r.stdout, r.stderr }, { { 0, "exit", 0 }, "ok\n", "" }, "round " .. round)
    r = limited("'1M'", { "fill", "/tmp/f", tostring(MIB + 1) })
    t.equal({ ended(r), r.stdout }, { { 1, "disk", 1 }, "ENOSPC\n" }, "round " .. round)
    t.contains(r.stderr, "limits.disk: all 1048576 bytes were in use when the command failed")
  end
end)

t.test("every place that is thrown away is in it", function()
  for _, place in ipairs { "/tmp", "/run", "/var/tmp", "/dev/shm", "$HOME", "/t", "/o" } do
    local how = { shell = ("/guest fill %s/a %d && /guest fill /tmp/b 1"):format(place, MIB),
      more = (", mounts = { tmpfs { '/t' }, bind { %q, '/o', overlay = 'discard' } }"):format(t.dir()) }
    local r = limited("'1M'", how)
    if place == "/o" then
      -- The overlay's own directory takes no room; a file below it takes what it holds.
      t.equal(r.stdout, "ok\nENOSPC\n", place)
    end
    t.equal({ ended(r), r.stdout }, { { 1, "disk", 1 }, "ok\nENOSPC\n" }, place)
  end
end)

t.test("root directories that are thrown away", function()
  local root = t.rootfs()
  for _, how in ipairs { "{ %q, overlay = 'discard' }", "layers { %q, upper = 'discard' }" } do
    local r = limited("'1M'", { words = { "/guest", "fill", "/root/f", tostring(MIB + 1) }, more = ", root = " .. how:format(root) })
    t.equal({ ended(r), r.stdout }, { { 1, "disk", 1 }, "ENOSPC\n" }, how)
    r = limited("'1M'", { words = { "/guest", "fill", "/root/f", tostring(MIB) }, more = ", root = " .. how:format(root) })
    t.equal({ ended(r), r.stdout }, { { 0, "exit", 0 }, "ok\n" }, how)
  end
  t.equal(S.dir(root .. "/root"), {})
end)

t.test("a copy of a lower file counts when it is made", function()
  local dir = t.dir()
  t.write(dir .. "/big", ("b"):rep(700000), "0666")
  S.chmod(dir, "0777")
  local more = (", mounts = { bind { %q, '/o', overlay = 'discard' } }"):format(dir)
  local r = limited("'1M'", { shell = "cat /o/big | wc -c; echo more >> /o/big; wc -c < /o/big; /guest fill /tmp/f 500000", more = more })
  t.equal({ ended(r), r.stdout }, { { 1, "disk", 1 }, "700000\n700005\nENOSPC\n" })
  r = limited("'512K'", { shell = "echo more >> /o/big", more = more })
  t.differs(r.code, 0)
  t.equal(#t.read(dir .. "/big"), 700000)
end)

t.test("with a size of its own a file system counts beside it", function()
  local dir = t.dir()
  local more = (", mounts = { tmpfs { '/s', size = '2M' }, bind { %q, '/o', overlay = 'discard', size = '2M' } }"):format(dir)
  local r = limited("'1M'", { shell = ("/guest fill /s/a %d; /guest fill /o/a %d; /guest fill /tmp/a %d; /guest fill /s/b 1")
    :format(2 * MIB, MIB, MIB), more = more })
  t.equal(r.stdout, "ok\nok\nok\nENOSPC\n")
end)

t.test("what is kept on the host is not limited", function()
  local dir = t.dir()
  local r = limited("'1M'", { "fill", "/w/f", tostring(2 * MIB), more = (", mounts = { bind { %q, '/w', rw = true } }"):format(dir) })
  t.equal({ ended(r), r.stdout }, { { 0, "exit", 0 }, "ok\n" })
  t.equal(S.stat(dir .. "/f").size, 2 * MIB)
end)

t.test("a file of the profile over a writable bind is in it", function()
  local dir = t.dir()
  t.write(dir .. "/f", "below")
  local r = limited("'1M'", { shell = ("cat /w/f; /guest fill /w/f %d; /guest fill /tmp/f 1"):format(MIB - 4096),
    more = (", mounts = { bind { %q, '/w', rw = true }, file { '/w/f', text = 'above', mode = '0666' } }"):format(dir) })
  t.equal(r.stdout, "aboveok\nENOSPC\n")
  t.equal(t.read(dir .. "/f"), "below")
end)

-- ---- the reason ----

t.test("full and content with it; full in between; failed for something else", function()
  local full = ("/guest fill /tmp/f %d; "):format(2 * MIB)
  t.equal(ended(limited("'1M'", { shell = full .. "exit 0" })), { 0, "exit", 0 })
  t.equal(ended(limited("'1M'", { shell = full .. "rm /tmp/f; exit 6" })), { 6, "exit", 6 })
  t.equal(ended(limited("'1M'", { shell = full .. "exit 6" })), { 6, "disk", 6 })
  t.equal(ended(limited("'1M'", { "exit", "6" })), { 6, "exit", 6 })
  t.equal(ended(limited("'1M'", { shell = full .. "kill -BUS $$" })), { 135, "disk", 135 })
  t.equal(ended(limited("'1M'", { shell = full .. "kill -9 $$" })), { 137, "signal", 137 })
end)

t.test("empty files cannot take the memory either", function()
  local r = limited("'64K'", { shell = "i=0; while true > /tmp/$i; do i=$((i + 1)); done 2> /dev/null; echo $i; exit 1" })
  t.equal(ended(r), { 1, "disk", 1 })
  t.ok(tonumber(r.stdout) < 64 + 1024, r.stdout)
end)

t.test("another limit that ends it is the reason", function()
  local full = ("/guest fill /tmp/f %d; "):format(2 * MIB)
  t.equal(ended(limited("'1M'", { shell = full .. "exec sleep 60", limits = "wall = '500ms'" })), { 124, "wall", 124 })
  t.equal(ended(limited("'1M'", { shell = full .. "/guest flood 2000; exit 3", limits = "output = 1000" })), { 124, "output", 124 })
end)

t.test("without PID 1 of luge's; with other users and maps", function()
  for _, more in ipairs { ", init = false", ", user = '5:6'", ", capabilities = { 'chown', 'dac_override' }" } do
    local r = limited("'1M'", { "fill", "/tmp/f", tostring(MIB + 1), more = more })
    t.equal({ ended(r), r.stdout }, { { 1, "disk", 1 }, "ENOSPC\n" }, more)
    r = limited("'1M'", { shell = "echo hello > $HOME/f && cat $HOME/f", more = more })
    t.equal({ ended(r), r.stdout }, { { 0, "exit", 0 }, "hello\n" }, more)
  end
end)

t.test("the places look as they do without the limit", function()
  local how = { shell = "stat -c '%n %a %u %g' /tmp /run /var/tmp /dev/shm $HOME /t /t/u", more = "" }
  local mounts = ", mounts = { tmpfs { '/t', mode = '0711' }, tmpfs { '/t/u', flags = 'noexec' } }"
  for _, user in ipairs { "", ", user = '5:6'" } do
    how.more = mounts .. user
    local with = limited("'1M'", how)
    how.body = "cwd = '/'" .. how.more
    how.report = nil
    t.equal(with.stdout, box.succeed(how).stdout, user)
  end
  local function options(body, target)
    for _, mount in ipairs(box.facts({ body = body }).mounts) do
      if mount.target == target then return mount.options end
    end
  end
  for _, target in ipairs { "/tmp", "/dev/shm", "/t/u", "/n" } do
    local tail = "mounts = { tmpfs { '/t' }, tmpfs { '/t/u', flags = 'noexec' }, tmpfs { '/n', flags = 'dev, suid, noatime' } }"
    t.equal(options("limits = { disk = '1M' }, " .. tail, target), options(tail, target), target)
  end
end)

t.test("the receipt", function()
  local r = limited("5000", { "exit", "0" })
  for _, row in ipairs(r.report.receipt) do
    if row.field == "limits.disk" then
      t.equal(row, { field = "limits.disk", asked = "5000", got = "4096", ok = true }) -- whole pages, never more
      return
    end
  end
  error "no row limits.disk"
end)

t.test("faults", function()
  for _, value in ipairs { "0", "4095", "-1", "'1 MB'", "{}", "true", "0/0", "1/0" } do
    box.refused({ "exit", "0", body = ("limits = { disk = %s }"):format(value) }, "limits.disk")
  end
  box.refused({ "exit", "0", body = "limits = { disk = '1M' }, mounts = { tmpfs { '/t', inodes = 9 } }" }, "mounts[",
    "inodes without a size", "= give it a size of its own")
  local sized = {}
  for _, path in ipairs { "/tmp", "/run", "/var/tmp", "/root", "/dev/shm" } do
    sized[#sized + 1] = ("tmpfs { %q, size = '1M' }"):format(path)
  end
  box.refused({ "exit", "0", body = ("limits = { disk = '1M' }, mounts = { %s }"):format(table.concat(sized, ", ")) },
    "limits.disk: nothing that the container writes would count", "= leave out one of their sizes")
end)
