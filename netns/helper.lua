-- SPDX-License-Identifier: MIT
-- netns.helper: the outside world for a namespace that has no way out of its own: an installed program, pasta or slirp4netns,
-- which opens a tun device in the namespace and sockets where it was started. It needs nothing of the host's root.
--
-- It gets no more than it needs: no environment, no descriptors but those that are named here, no_new_privs, and of
-- capabilities those over the container's user namespace, which it drops by itself once the device is made. It
-- ends with the process that started it: by the parent-death signal, and slirp4netns by the end of a pipe as well.
-- Nothing of the host's loopback is reached through it, but what `publish` names leads in.

local S = require "syscall"
local check = require "netns.check"
local json = require "luge.json"
local nl = require "netns"

local M = {}

-- What each gives the container; pasta gives the addresses and routes of the host's device.
M.BACKENDS = { "pasta", "slirp4netns" }
M.NAMESERVER = { pasta = "169.254.1.1", slirp4netns = "10.0.2.3" }
local SLIRP_ADDRESS = "10.0.2.100"
local SOCKET = "/socket"

local DEADLINE = 10 -- seconds until the device is there
local SAID_MOST = 4096
local DEVICE = "/dev/net/tun"

-- ---- words ----

local pasta, slirp4netns = {}, {}
local BACKEND = { pasta = pasta, slirp4netns = slirp4netns }

local function add(words, ...)
  return table.move({ ... }, 1, select("#", ...), #words + 1, words)
end

-- ADDRESS/PORT:GUEST, as pasta says it.
local function port_words(words, publish)
  local none = { tcp = true, udp = true }
  for _, one in ipairs(publish) do
    local proto = one.proto or "tcp"
    none[proto] = false
    words[#words + 1] = proto == "tcp" and "-t" or "-u"
    words[#words + 1] = (one.address and one.address .. "/" or "") .. ("%d:%d"):format(one.port, one.guest)
  end
  -- Not said, every port that is bound inside would be published, and the host's loopback ports would appear inside.
  for option, is_none in pairs { ["-t"] = none.tcp, ["-u"] = none.udp, ["-T"] = true, ["-U"] = true } do
    if is_none then add(words, option, "none") end
  end
end

-- In the foreground it is one process, which writes its pid when the device is there.
function pasta.words(t, fds)
  local words = { t.path, "--foreground", "--stderr", "--quiet", "--config-net", "--no-map-gw", "--no-netns-quit",
    "--ns-ifname", t.name, "--dns-forward", M.NAMESERVER.pasta, "--pid", fds.ready, "--netns", fds.netns }
  if fds.userns then add(words, "--userns", fds.userns) else add(words, "--netns-only") end
  if t.mtu then add(words, "--mtu", tostring(t.mtu)) end
  if t.mac then add(words, "--ns-mac-addr", t.mac) end
  -- It would go on as nobody, who may not enter the namespace.
  if S.geteuid() == 0 then add(words, "--runas", "0:0") end
  port_words(words, t.publish)
  return words
end

function slirp4netns.words(t, fds)
  local words = { t.path, "--configure", "--enable-ipv6", "--disable-host-loopback", "--enable-seccomp",
    "--mtu", tostring(t.mtu or 65520), "--ready-fd", fds.ready:match "%d+$", "--exit-fd", fds.exit:match "%d+$",
    "--netns-type", "path" }
  if not fds.userns then add(words, "--enable-sandbox") end -- it wants to be the namespace's root for that
  if t.mac then add(words, "--macaddress", t.mac) end
  if fds.userns then add(words, "--userns-path", fds.userns) end
  if fds.api then add(words, "--api-socket", fds.api .. SOCKET) end
  return add(words, fds.netns, t.name)
end

-- ---- the helper's process, until it is the helper ----

-- As the namespace's root, who is nobody on the host.
local function enter(userns)
  assert(S.setns(userns, "newuser"))
  S.setgroups {} -- refused where the namespace has none to set
  assert(S.setresgid(0, 0, 0))
  assert(S.setresuid(0, 0, 0))
end

-- Never returns.
local function become(t, words, ends, parent)
  local ok, err = pcall(function()
    S.setsid() -- a Ctrl-C is not for it
    S.umask "077" -- not luge's, which is 0 by now
    local null = assert(S.open("/dev/null", "rdwr, cloexec"))
    for number, fd in pairs { [0] = null, null, ends.said } do assert(S.dup3(fd, number)) end
    S.close_range(3, 0xffffffff, "cloexec")
    for _, fd in pairs(ends.kept) do assert(S.fcntl(fd, "setfd", 0)) end
    if t.enters then enter(t.userns) end
    S.sigprocmask("setmask", "")
    S.sigaction("pipe", "default")
    assert(S.prctl("set_no_new_privs", 1))
    assert(S.prctl("set_pdeathsig", "kill")) -- after the last change of ids, which would forget it
    if S.getppid() ~= parent then S.exit(127) end
    local _, why = S.execve(words[1], words, {})
    error(tostring(why), 0)
  end)
  S.write(2, ok and "" or tostring(err))
  S.exit(127)
end

-- ---- from outside ----

--- Takes what a helper has written, of which the last is kept; false when it has closed its stderr.
function M.drain(helper)
  while true do
    local part, err = S.read(helper.stderr, SAID_MOST)
    if not part then return err.AGAIN or false end
    if part == "" then return false end
    helper.said = (helper.said .. part):sub(-SAID_MOST)
  end
end

--- What a helper wrote last that says something, in one line.
function M.words_of(helper)
  local lines = {}
  M.drain(helper)
  for line in helper.said:gmatch "[^\r\n]+" do
    if not line:find "^Failed to send %d+ bytes to syslog" and line:find "%S" then lines[#lines + 1] = line end
  end
  return table.concat(lines, "; ", math.max(1, #lines - 4))
end

--- Removes the directory of slirp4netns' socket.
function M.remove_socket(directory)
  S.unlink(directory .. SOCKET)
  S.rmdir(directory)
end

--- nl.endhelper(helper) -> true
-- Ends a helper of nl.helper; one that has ended is no error.
function nl.endhelper(helper)
  local pidfd = check.table(helper, "#1").pidfd
  if pidfd ~= nil and type(pidfd) ~= "userdata" then check.fail("'pidfd'", "what nl.helper gave", pidfd) end
  if helper.pidfd then
    S.pidfd_send_signal(helper.pidfd, "kill")
    S.waitid("pidfd", helper.pidfd, "exited")
    helper.pidfd:close()
    helper.stderr:close()
    if helper.exit then helper.exit:close() end
    helper.pidfd = nil
  end
  if helper.api then M.remove_socket(helper.api) end
  return true
end

local function failure(helper, name, text)
  local said = M.words_of(helper)
  nl.endhelper(helper)
  return S.failure(name, ("%s%s"):format(text, said ~= "" and ": " .. said or ""))
end

-- Until it says that the device is there.
local function await(helper, ready, deadline)
  local left = deadline - S.clock_gettime "monotonic"
  local events = left > 0
    and S.poll({ { fd = ready, events = "in" }, { fd = helper.pidfd, events = "in" } }, math.ceil(left * 1000))
  if not events or #events == 0 then return failure(helper, "TIMEDOUT", ("was not ready after %g s"):format(helper.timeout)) end
  local data = S.read(ready, 64)
  if data and data ~= "" then return true end
  S.poll({ { fd = helper.pidfd, events = "in" } }, 1000) -- it closed the pipe: it ends
  return failure(helper, "CHILD", "failed")
end

-- One order for slirp4netns; the connection is closed by the answer.
local function order(helper, deadline, arguments)
  local socket, err = S.connect_at(helper.api .. SOCKET, "stream")
  if not socket then return nil, tostring(err) end
  local answer, text = "", json.encode { execute = "add_hostfwd", arguments = arguments }
  S.send(socket, text, "nosignal")
  S.shutdown(socket, "wr")
  repeat
    local left = math.max(0, math.ceil((deadline - S.clock_gettime "monotonic") * 1000))
    local part = #(S.poll({ { fd = socket, events = "in" } }, left) or {}) > 0 and S.read(socket, 4096) or ""
    answer = answer .. part
  until part == ""
  socket:close()
  local reply = json.decode(answer)
  if type(reply) == "table" and reply["return"] then return true end
  return nil, type(reply) == "table" and type(reply.error) == "table" and tostring(reply.error.desc) or "no answer"
end

function slirp4netns.publish(helper, t, deadline)
  for _, one in ipairs(t.publish) do
    local ok, words = order(helper, deadline, { proto = one.proto or "tcp", host_addr = one.address or "0.0.0.0",
      host_port = one.port, guest_addr = SLIRP_ADDRESS, guest_port = one.guest })
    if not ok then
      return failure(helper, "CHILD", ("cannot publish %s:%d: %s"):format(one.address or "0.0.0.0", one.port, words))
    end
  end
  return true
end

-- ---- arguments ----

local function publish(value, what)
  if type(value) ~= "table" then check.fail(what, "a list of ports", value) end
  local list = {}
  for i, one in ipairs(value) do
    local t = check.fields(one, what, { proto = check.string, address = check.ip, port = check.u16, guest = check.u16 })
    check.need(t, "port", "a port of the host")
    check.need(t, "guest", "a port inside")
    list[i] = { proto = t.proto, address = t.address and t.address.text, port = t.port, guest = t.guest }
  end
  return list
end

local function descriptor(value, what)
  if type(value) == "userdata" then return value end
  return check.fail(what, "a descriptor", value)
end

local function backend(value, what)
  return BACKEND[value] and value or check.fail(what, "\"pasta\" or \"slirp4netns\"", value)
end

local function seconds(value, what)
  return type(value) == "number" and value > 0 and value or check.fail(what, "seconds", value)
end

local FIELDS = { backend = backend, path = check.string, netns = descriptor, userns = descriptor, pid = check.u31,
  name = check.name, mtu = check.u16, mac = function(value, what) return check.mac(value, what) and value end, publish = publish,
  api = check.string, lock = descriptor, timeout = seconds }

local function kept_of(t)
  local kept = { t.netns }
  local fds = { netns = "/proc/self/fd/" .. t.netns:getfd() }
  local function keep(name, fd)
    kept[#kept + 1], fds[name] = fd, "/proc/self/fd/" .. fd:getfd()
  end
  return kept, fds, keep
end

-- Pipes, the program's words, and what it keeps open: { ready =, said =, exit = our ends }, the words, { said =, kept = its ends }.
local function prepare(t)
  local kept, fds, keep = kept_of(t)
  local ours, theirs = {}, { kept = kept }
  local ready, err, errno
  ours.ready, ready, errno = S.pipe "cloexec"
  if not ours.ready then return nil, ready, errno end
  keep("ready", ready)
  ours.said, theirs.said, errno = S.pipe "cloexec"
  if not ours.said then return nil, theirs.said, errno end
  S.fcntl(ours.said, "setfl", "nonblock")
  if t.backend == "slirp4netns" then
    local ends
    ends, ours.exit, errno = S.pipe "cloexec"
    if not ends then return nil, ours.exit, errno end
    keep("exit", ends)
    if t.api then
      -- A directory of its own: the helper may be another user than we, and a path longer than a socket's name.
      local directory
      M.remove_socket(t.api)
      S.mkdir(t.api, "0700")
      directory, err, errno = S.open(t.api, "rdonly, directory, nofollow, cloexec")
      if not directory then return nil, err, errno end
      if t.enters then S.fchown(directory, t.enters, t.enters) end
      keep("api", directory)
    end
  end
  if t.userns and not t.enters then keep("userns", t.userns) end
  S.fchmod(ready, "0666") -- pasta opens it by its name, as another user perhaps
  return ours, BACKEND[t.backend].words(t, fds), theirs
end

local EVERYBODY = 6 -- read and write for others

-- The user as whom the helper becomes the namespace's root before it begins, where that one may open the device: root's helper
-- is nobody outside then, and slirp4netns shuts itself in more tightly.
local function may_enter(t)
  if not t.userns or not t.pid then return nil end
  local map = S.readfile(("/proc/%d/uid_map"):format(t.pid)) or ""
  local host = tonumber(("\n" .. map):match "\n%s*0%s+(%d+)")
  local st = S.stat(DEVICE)
  return (host == S.geteuid() or host and st and st.perm & EVERYBODY == EVERYBODY) and host
end

--- nl.helper{ backend="pasta" or "slirp4netns", path=, netns=fd, userns=fd, pid=, name="eth0", mtu=, mac=,
--- publish={ { proto=, address=, port=, guest= } }, api=directory, lock=fd, timeout=10 } -> helper
-- Starts a program that connects the namespace netns by a device of that name, and waits until it is there. userns: whose
-- namespace it is, which the helper enters; pid: a process in it, as whose root the helper runs where that one may open
-- /dev/net/tun. publish: ports of ours, on all addresses if none is given, that lead to one inside. api: a directory to make
-- for a socket that slirp4netns needs for publish. lock: a file of S.take_lock that the process is noted in. The answer is
-- for nl.endhelper. Errors: CHILD, with what it wrote; TIMEDOUT. Source: pasta(1), slirp4netns(1).
function nl.helper(what)
  local t = check.fields(what, "#1", FIELDS)
  for _, key in ipairs { "backend", "path", "netns", "name" } do check.need(t, key, "its value") end
  t.publish, t.timeout = t.publish or {}, t.timeout or DEADLINE
  if t.backend ~= "slirp4netns" or #t.publish == 0 then t.api = nil end
  t.enters = may_enter(t)
  local deadline = S.clock_gettime "monotonic" + t.timeout
  local helper = { backend = t.backend, said = "", api = t.api, timeout = t.timeout }
  local ours, words, theirs = prepare(t)
  local child, err, errno = nil, words, theirs
  local self = S.getpid()
  if ours then child, err, errno = S.fork() end
  if not child then
    nl.endhelper(helper)
    return nil, err, errno
  end
  if child == 0 then become(t, words, theirs, self) end
  helper.pid, helper.stderr, helper.exit = child, ours.said, ours.exit
  helper.pidfd, err, errno = S.pidfd_open(child)
  theirs.said:close()
  for _, fd in ipairs(theirs.kept) do
    if fd ~= t.netns and fd ~= t.userns then fd:close() end
  end
  if not helper.pidfd then
    S.kill(child, "kill")
    S.waitid("pid", child, "exited")
    nl.endhelper(helper)
    return nil, err, errno
  end
  if t.lock then S.note_process(t.lock, child, "helper") end
  local ok
  ok, err, errno = await(helper, ours.ready, deadline)
  if ok and t.api then ok, err, errno = slirp4netns.publish(helper, t, deadline) end
  ours.ready:close()
  if not ok then return nil, err, errno end
  return helper
end

return M
