-- SPDX-License-Identifier: MIT
-- Root's logs in /var/log/luge: on a disk that is full or read-only, prepared by others; and the journal. The script has
-- a mount namespace of its own, with nothing in /run and /var/log.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"

local function mount_empty(path, size)
  t.must(S.mount { source = "tmpfs", target = path, type = "tmpfs", flags = "nosuid, nodev", data = "mode=0755,size=" .. size })
end

if t.root then
  t.must(S.unshare "newns")
  t.must(S.mount { target = "/", flags = "rec, private" })
  mount_empty("/run", "64M")
  mount_empty("/var/log", "400K")
end

-- `luge WORDS…` where root's are: no LUGE_STATE.
local function luge(...)
  local words = { "luge", ... }
  words.env = { LUGE_STATE = false, XDG_RUNTIME_DIR = false }
  return t.run(words)
end

local function ok(...)
  local r = luge(...)
  t.equal(r.code, 0, r.stderr)
  return r.stdout
end

local function start(name, shell, body)
  return luge("run", "-d", "--name", name, t.profile(box.text(body)), "--", "/bin/sh", "-c", shell)
end

local function started(name, shell, body)
  local r = start(name, shell, body)
  t.equal({ r.code, r.stdout, r.stderr }, { 0, name .. "\n", "" })
end

local function log_of(name) return t.ok(t.json.decode(ok("inspect", name))).containers[1].log end

local function nothing_left()
  d.reap()
  t.equal(S.dir "/run/luge", {})
  t.equal(S.dir "/var/log/luge" or {}, {})
end

t.test("root's logs are in /var/log/luge, root's alone", function()
  t.needs_root()
  started("log-0", "echo hello")
  t.equal(luge("wait", "log-0").code, 0)
  t.equal({ S.lstat("/var/log/luge").perm, S.lstat("/var/log/luge/log-0.log/1").perm }, { tonumber("700", 8), tonumber("600", 8) })
  t.equal(ok("logs", "log-0"), "hello\n")
  t.equal(log_of "log-0", { path = "/var/log/luge/log-0.log", lost_bytes = 0 })
  ok("rm", "log-0")
  nothing_left()
end)

-- The bytes of both streams that `luge logs` shows, and those that it says were lost.
local function shown_and_lost(r)
  local lost = 0
  for count in r.stderr:gmatch "luge: (%d+) bytes of the output were lost here: No space left on device\n" do lost = lost + count end
  return #r.stdout + #r.stderr:gsub("luge: [^\n]*\n", ""), lost
end

t.test("a full disk stops neither the container nor its luge, and what it lost is counted", function()
  t.needs_root()
  local dir = t.dir "0755"
  t.must(S.mknod(dir .. "/go", "0644", "fifo"))
  local fifo = t.must(S.open(dir .. "/go", "rdwr, cloexec"))
  started("log-1", "exec < /io/go; echo before; /guest flood 1000000; echo full >&2; read x; echo after; read x; exit 4",
    ("mounts = { bind { %q, '/io' } },\nlog = { size = '64K', files = 100 }"):format(dir))
  local seen = d.until_true("the flood's end", function()
    local log = log_of "log-1"
    return log.written_bytes + log.lost_bytes == 1000012 and log
  end)
  t.ok(seen.lost_bytes > 500000 and seen.written_bytes > 200000, "written: " .. seen.written_bytes)
  local r = luge("logs", "log-1")
  t.equal({ r.code, (shown_and_lost(r)) }, { 0, seen.written_bytes }, "what was written is shown")
  t.must(S.mount { target = "/var/log", flags = "remount, nosuid, nodev", data = "size=2M" })
  S.write(fifo, "\n")
  d.until_true("after", function() return luge("logs", "log-1").stdout:find "after\n" end)
  r = luge("logs", "log-1")
  local shown, lost = shown_and_lost(r)
  t.equal({ lost, shown + lost, r.stdout:sub(1, 7), r.stdout:sub(-7) }, { seen.lost_bytes, 1000012 + 6, "before\n", "xafter\n" })
  S.write(fifo, "\n")
  t.equal(luge("wait", "log-1").code, 4)
  t.equal(log_of("log-1").lost_bytes, lost)
  local in_json = 0
  for line in ok("logs", "--json", "log-1"):gmatch "[^\n]+" do
    local row = t.json.decode(line)
    if row.stream == "luge" then in_json = in_json + row.lost_bytes end
  end
  t.equal(in_json, lost)
  ok("rm", "log-1")
  nothing_left()
end)

t.test("a disk that stays full: the loss is in the record, and a start there is refused", function()
  t.needs_root()
  t.must(S.mount { target = "/var/log", flags = "remount, nosuid, nodev", data = "size=400K" })
  started("log-2", "/guest flood 1000000; exit 5", "log = { size = '64K', files = 100 }")
  t.equal(luge("wait", "log-2").code, 5)
  local lost = log_of("log-2").lost_bytes
  local r = luge("logs", "log-2")
  local shown, told = shown_and_lost(r)
  t.equal(shown + lost, 1000000)
  if told < lost then
    t.contains(r.stderr, ("luge: %d bytes of the output were lost, and could not be noted where\n"):format(lost - told))
  end
  t.write("/var/log/fill", ("x"):rep(400 << 10))
  r = start("log-3", "echo never")
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.contains(r.stderr, "log: /var/log/luge/log-3.log: No space left on device")
  t.contains(r.stderr, "make room there")
  S.unlink "/var/log/fill"
  ok("rm", "log-2")
  nothing_left()
end)

t.test("a directory of logs that cannot be written, or is another's, is an error before the start", function()
  t.needs_root()
  local function refused(word)
    local r = start("log-4", "echo never", "log = { files = 2 }")
    t.equal({ r.code, r.stdout }, { 125, "" })
    t.matches(r.stderr, "profile%.lua:%d+: log: the directory of logs /var/log/luge")
    t.contains(r.stderr, word)
    t.contains(r.stderr, "log = false")
    t.equal(S.dir "/run/luge", {})
  end
  t.must(S.mount { target = "/var/log", flags = "remount, rdonly, nosuid, nodev" })
  refused "Read-only file system"
  t.must(S.mount { target = "/var/log", flags = "remount, nosuid, nodev" })
  t.must(S.rmdir "/var/log/luge")
  local elsewhere = t.dir "0700"
  t.must(S.symlink(elsewhere, "/var/log/luge"))
  refused "is no directory"
  t.equal(S.dir(elsewhere), {})
  S.unlink "/var/log/luge"
  S.mkdir("/var/log/luge", "0777")
  S.chmod("/var/log/luge", "0777")
  refused "can be written by others"
  S.chmod("/var/log/luge", "0700")
  S.chown("/var/log/luge", 4321, 4321)
  refused "belongs to user 4321"
  S.rmdir "/var/log/luge"
  ok "gc"
  t.equal(S.dir "/var/log", {}, "gc makes none")
  nothing_left()
end)

-- ---- the journal ----

-- The fields of a datagram of the journal's native protocol.
local function fields_of(datagram)
  local fields, at = {}, 1
  while at <= #datagram do
    local name, mark, from = datagram:match("^([A-Z_]+)([=\n])()", at)
    t.ok(name, "a field at " .. at)
    if mark == "=" then
      fields[name], at = datagram:match("^([^\n]*)\n()", from)
    else
      fields[name], at = ("<s8"):unpack(datagram, from)
      t.equal(datagram:sub(at, at), "\n")
      at = at + 1
    end
  end
  return fields
end

t.test("log = \"journald\" sends each line to the journal, and says where none is", function()
  t.needs_root()
  local r = start("log-5", "echo never", "log = 'journald'")
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.matches(r.stderr, "profile%.lua:%d+: log: no journald answers on this host: there is no /run/systemd/journal/socket")
  t.contains(r.stderr, "write log = {")
  t.equal(luge("run", t.profile(box.text "log = 'journald'"), "--", "/guest", "exit", "0").code, 0, "a foreground run has no log")
  t.must(S.mkdir("/run/systemd", "0755"))
  t.must(S.mkdir("/run/systemd/journal", "0755"))
  local journal = t.must(S.socket("unix", "dgram, nonblock"))
  t.must(S.bind(journal, { family = "unix", path = "/run/systemd/journal/socket" }))
  local function received()
    local message = d.until_true("a datagram", function() return S.recvmsg(journal, { size = 1 << 18, max_fds = 1 }) end)
    local file = message.fds and message.fds[1]
    if not file then return fields_of(message.data) end
    t.equal({ message.data, S.fcntl(file, "get_seals") }, { "", 15 }, "a file that nobody changes")
    return fields_of(S.pread(file, 1 << 21, 0))
  end
  started("log-5", "echo one; sleep 0.1; printf 'two\\001\\377\\n' >&2; sleep 0.1; printf thr; printf 'ee\\n\\nlast'", "log = 'journald'")
  t.equal(received(), { MESSAGE = "one", PRIORITY = "6", SYSLOG_IDENTIFIER = "log-5", LUGE_CONTAINER = "log-5", LUGE_STREAM = "stdout" })
  t.equal(received(), { MESSAGE = "two\1\255", PRIORITY = "3", SYSLOG_IDENTIFIER = "log-5", LUGE_CONTAINER = "log-5",
    LUGE_STREAM = "stderr" })
  for _, message in ipairs { "three", "", "last" } do t.equal(received().MESSAGE, message) end
  t.equal(luge("wait", "log-5").code, 0)
  r = luge("logs", "log-5")
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.contains(r.stderr, "journalctl LUGE_CONTAINER=log-5")
  ok("rm", "log-5")

  -- Nobody reads: the socket's queue is full after some, and the container ends all the same.
  started("log-6", "seq 1 2000; exit 6", "log = 'journald'")
  t.equal(luge("wait", "log-6").code, 6)
  local bytes, lost = 0, log_of("log-6").lost_bytes
  for data in function() return S.recv(journal, 1 << 18) end do bytes = bytes + #fields_of(data).MESSAGE end
  t.ok(lost > 0)
  t.equal(bytes + lost, 6893, "what came and what was lost are all of it")
  ok("rm", "log-6")
  started("log-7", "/guest flood 200000; echo; /guest flood 1500000; echo", "log = 'journald'")
  t.equal(luge("wait", "log-7").code, 0)
  local line = received()
  t.equal({ #line.MESSAGE, line.LUGE_STREAM, line.LUGE_CONTAINER }, { 200000, "stdout", "log-7" }, "a long line is whole")
  t.equal({ #received().MESSAGE, #received().MESSAGE }, { 1 << 20, 1500000 - (1 << 20) }, "a longer one is not")
  ok("rm", "log-7")
  journal:close()
  nothing_left()
end)
