-- SPDX-License-Identifier: MIT
-- sandbox.container.control: the socket at which a container's luge answers other luges: what it is, stop, pause, wait, attach.
--
-- Every container has one, NAME.sock in the state directory, from the moment its name is taken. A message is a JSON
-- object of at most 4 KiB with a version, { v = 1, op = "stop", … }; so is the reply, { v = 1, ok = true, … } or
-- { v = 1, error = "words" }, which may bring descriptors. Only the user who runs luge, and the machine's root, get an
-- answer, and nobody out of a container, whose processes may have the same uid. The monitor's loop never waits for a
-- client: what cannot be sent at once is not sent, and who neither asks nor waits gives way to others.

local S = require "syscall"
local json = require "luge.json"
local must = require "sandbox.must"

local M = {}

M.VERSION = 1

local REQUEST_MAX, REPLY_MAX, FDS_MAX = 4096, 65536, 32
local MOST = 64 -- clients at once

-- ---- who asks ----

local function namespace(pid, kind) return S.readlink(("/proc/%s/ns/%s"):format(pid, kind)) end

-- An ordinary user's own processes in a container have his uid, and root's in one without a user namespace of its own
-- have root's: the namespaces tell them apart.
local function may_ask(socket)
  local peer, own = S.getsockopt(socket, "socket", "peercred"), S.geteuid()
  if not peer or peer.uid ~= own and peer.uid ~= 0 then return false end
  local theirs, err = namespace(peer.pid, "user")
  -- What root's process is in, an ordinary user is not shown.
  if not theirs then return peer.uid == 0 and own ~= 0 and err.ACCES == true end
  return theirs == namespace("self", "user") and namespace(peer.pid, "pid") == namespace("self", "pid")
end

-- ---- the server ----

local Server = {}
Server.__index = Server

function Server:drop(client)
  if not self.clients[client.number] then return end
  self.clients[client.number] = nil
  self.count = self.count - 1
  if client.waits then self.waiting = self.waiting - 1 end
  if client.copy then client.copy:stop() end
  self.watch.handlers[client.number] = nil
  client.socket:close() -- and so out of the loop
end

function Server:send(client, reply, fds)
  reply.v = M.VERSION
  if not S.sendmsg(client.socket, { data = json.encode(reply), fds = fds, flags = "dontwait" }) then self:drop(client) end
end

function Server:refuse(client, ...) self:send(client, { error = (...):format(select(2, ...)) }) end

-- What one can wait for beside the end: true, false where it will not be, nil where it may be yet.
local conditions = {}

function conditions.running(watch) return watch.started and not watch.gone or nil end

function conditions.healthy(watch)
  if watch.run.health_state == "unhealthy" and not watch.run.spec.restart then return false end
  return watch.run.health_state == "healthy" or nil
end

-- Replies where the condition is decided; true then.
local function decide(server, client)
  local holds = conditions[client.condition](server.watch)
  if holds == nil then return false end
  if client.waits then client.waits, server.waiting = nil, server.waiting - 1 end
  server:send(client, { ok = true, holds = holds, health = server.watch.run.health_state })
  client.condition = nil
  return true
end

-- The reply comes when the container has ended and nothing of it is left, or when the condition is decided.
local function wait(server, client, message)
  local condition = message and message.op == "wait" and message.condition
  if condition then
    if not conditions[condition] then return server:refuse(client, "condition: running or healthy expected") end
    if condition == "healthy" and not server.watch.run.spec.health then
      return server:refuse(client, "it has no health that could say so")
    end
    client.condition = condition
    if decide(server, client) then return end
  end
  if not client.waits then
    client.waits = true
    server.waiting = server.waiting + 1
  end
end

local operations = { wait = wait }

function operations.describe(server, client, message)
  if server.watch.absent then return server:refuse(client, "%s", server.watch.absent) end
  local facts, fds = require("sandbox.container.describe").facts(server.watch, message.lasting)
  if not facts then return server:refuse(client, "%s", tostring(fds)) end
  server:send(client, facts, fds)
  for i, fd in ipairs(fds) do
    if fd ~= server.watch.process.pidfd then fds[i]:close() end
  end
end

function operations.stop(server, client, message)
  local grace = message.grace
  if grace ~= nil and (type(grace) ~= "number" or grace < 0 or grace ~= grace or grace > 1e9) then
    return server:refuse(client, "grace: seconds expected")
  end
  server.watch:stop("stopped", grace)
  wait(server, client)
end

function operations.kill(server, client, message)
  local signal = type(message.signal) == "string" and require("sandbox.profile.values").signal(message.signal)
  if not signal then return server:refuse(client, "signal: the name of a signal expected") end
  -- It would stop PID 1, which is luge's, and no process of the command.
  if signal == "STOP" and server.watch.run.spec.init then
    return server:refuse(client, "STOP reaches no process behind luge's PID 1: pause stops all of them")
  end
  local words = server.watch:signal(signal)
  if words then return server:refuse(client, "%s", words) end
  server:send(client, { ok = true })
end

-- The kernel freezes in its own time: the client asks again until it is done.
local function freeze(wanted)
  return function(server, client)
    local done, err = server.watch:freeze(wanted)
    if done == nil then return server:refuse(client, "%s", rawget(err, "text") or tostring(err)) end
    server:send(client, { ok = true, done = done })
  end
end

function operations.network(server, client, message)
  local wanted = ({ cut = true, join = false })[message.act]
  if wanted == nil or type(message.interface) ~= "string" then
    return server:refuse(client, "act: cut or join, and an interface expected")
  end
  if server.watch.absent or server.watch.gone then return server:refuse(client, "%s", server.watch.absent or "it has ended") end
  local ok, text = require("sandbox.container.network").set_cut(server.watch.run, message.interface, wanted)
  if not ok then return server:refuse(client, "%s", text) end
  server:send(client, { ok = true })
end

operations.pause, operations.resume = freeze(true), freeze(false)

function operations.reload(server, client)
  local run = server.watch.run
  if not run.firewall or server.watch.absent then return server:send(client, { ok = true }) end
  local known = require("sandbox.plan.steps").resolve(run.firewall, run.symbols)
  local called, done, err = pcall(require("netns").firewall, known)
  if called and done then called, done, err = pcall(require("netns.forwarding").reload) end
  if not called or not done then return server:refuse(client, "%s", tostring(not called and done or err)) end
  server:send(client, { ok = true })
end

-- Who is attached hears of the end as who waits for it does.
function operations.attach(server, client)
  if client.copy then return server:refuse(client, "this connection is attached already") end
  local reply, fds = require("sandbox.container.copies").open(server.watch, client.socket)
  if not reply then return server:refuse(client, "%s", fds) end
  wait(server, client)
  client.copy = reply.copy
  reply.copy = nil
  server:send(client, reply, fds)
  for _, fd in ipairs(client.copy and client.copy.readers or {}) do fd:close() end
end

function Server:answer(client, data, flags)
  for _, flag in ipairs(flags) do
    if flag == "trunc" then return self:refuse(client, "a message of more than %d bytes", REQUEST_MAX) end
  end
  local message = json.decode(data)
  if type(message) ~= "table" then return self:refuse(client, "a JSON object expected") end
  if message.v ~= M.VERSION then
    return self:refuse(client, "version %d of the protocol is spoken here: the container was started by another luge",
      M.VERSION)
  end
  local operation = type(message.op) == "string" and operations[message.op]
  if not operation then return self:refuse(client, "no such operation") end
  operation(self, client, message)
end

function Server:readable(client)
  local message, err = S.recvmsg(client.socket, { size = REQUEST_MAX, max_fds = 0, flags = "dontwait" })
  if message and message.data ~= "" then
    client.last = self.turn
    self:answer(client, message.data, message.flags)
  elseif message or not err.AGAIN then
    self:drop(client)
  end
end

-- Makes room for one more: who waits stays, who asked longest ago goes.
function Server:make_room()
  local oldest
  for _, client in pairs(self.clients) do
    if not client.waits and (not oldest or client.last < oldest.last) then oldest = client end
  end
  if oldest then self:drop(oldest) end
  return oldest ~= nil
end

function Server:admit(socket)
  self.turn = self.turn + 1
  local client = { socket = socket, number = socket:getfd(), last = self.turn }
  local full = self.count >= MOST and not self:make_room()
  if full or not may_ask(socket) then
    local text = full and ("%d others wait for this container's end already"):format(MOST)
      or "only the user who started the container, outside of containers, is answered"
    S.sendmsg(socket, { data = json.encode { v = M.VERSION, error = text }, flags = "dontwait" })
    S.recv(socket, REQUEST_MAX, "dontwait") -- closed with something unread, the peer would be told of that alone
    socket:close()
    return
  end
  self.clients[client.number], self.count = client, self.count + 1
  if not self.watch:try_listen(socket, function() self:readable(client) end) then return self:drop(client) end
  self:readable(client) -- before the next one may ask for its place
end

local function server_of(watch)
  local run = watch.run
  if not run.server then
    run.server = setmetatable({ watch = watch, clients = {}, count = 0, waiting = 0, turn = 0 }, Server)
  end
  return run.server
end

--- The listening socket is ready: takes one client into the loop of `watch`.
function M.accept(watch)
  local socket = S.accept4(watch.run.symbols.control, "nonblock")
  if socket then server_of(watch):admit(socket) end
end

--- Something has changed that a client may wait for.
function M.changed(watch)
  local server = watch.run.server
  for _, client in pairs(server.clients) do
    if client.condition then decide(server, client) end
  end
end

--- The container is started again, or waits for that: its clients go on in the loop of `watch`.
function M.move(watch, outcome)
  local server = watch.run.server
  server.watch = watch
  for _, client in pairs(server.clients) do
    if client.copy and outcome then
      -- What it is attached to is gone; the next run has streams and a terminal of its own.
      server:send(client, { ok = true, ended = true, again = true, exit_code = outcome.exit_code or must.FAILED,
        lost = client.copy.lost })
      server:drop(client)
    elseif not watch:try_listen(client.socket, function() server:readable(client) end) then
      server:drop(client)
    end
  end
end

--- The container has ended and nothing of it is left: tells those who wait, and those who came meanwhile.
function M.ended(run, outcome)
  local listening = run.symbols.control
  local late = listening and S.accept4(listening, "nonblock")
  if not run.watch or not late and not run.server then return end
  local server = server_of(run.watch)
  while late do
    server:admit(late)
    late = S.accept4(listening, "nonblock")
  end
  for _, client in pairs(server.clients) do
    if client.waits or S.recv(client.socket, REQUEST_MAX, "dontwait") then
      server:send(client, { ok = true, ended = true, exit_code = outcome.exit_code, reason = outcome.reason_name or "setup",
        signal = outcome.signal, message = client.copy and require("sandbox.container.explain").message(run, outcome),
        lost = client.copy and client.copy.lost })
    end
  end
end

-- ---- the client ----

--- The next reply on a socket of M.send, which stays open; see M.request.
function M.hear(socket, seconds)
  local ready, err = S.poll({ { fd = socket, events = "in" } }, seconds < math.huge and math.ceil(seconds * 1000) or -1)
  if not ready then return nil, tostring(err) end
  if #ready == 0 then return nil, ("no answer within %g s"):format(seconds) end
  local message
  message, err = S.recvmsg(socket, { size = REPLY_MAX, max_fds = FDS_MAX })
  if not message then return nil, tostring(err), err.CONNRESET and "gone" or nil end
  if message.data == "" then return nil, "it ended without an answer", "gone" end
  local reply = json.decode(message.data)
  if type(reply) ~= "table" or reply.v ~= M.VERSION then
    return nil, ("it was started by another luge: version %d of the protocol is spoken here"):format(M.VERSION)
  end
  if reply.error then return nil, tostring(reply.error), "refused" end
  return reply, message.fds
end

--- Connects to the luge of a container. Returns the socket, or nil, words and "absent" where nobody listens.
function M.connect(directory, name)
  local socket, err = S.connect_at(("%s/%s.sock"):format(directory, name))
  if not socket then
    if err.NOENT or err.CONNREFUSED then return nil, "it has ended, or only begins to start", "absent" end
    return nil, rawget(err, "text") or tostring(err)
  end
  -- Those of whoever listens; nobody else's word is taken.
  local peer = S.getsockopt(socket, "socket", "peercred")
  if peer and peer.uid == S.geteuid() then return socket, peer.pid end
  socket:close()
  return nil, ("%s.sock belongs to user %d"):format(name, peer and peer.uid or -1), "refused"
end

--- Sends one more message on a socket of M.send.
function M.say(socket, message)
  message.v = M.VERSION
  return S.sendmsg(socket, { data = json.encode(message) })
end

--- Sends a message to the luge of a container; M.receive then takes the reply. Returns the socket, or nil, words and
-- the kind of M.request.
function M.send(directory, name, message)
  local socket, text, kind = M.connect(directory, name)
  if not socket then return nil, text, kind end
  local sent, err = M.say(socket, message)
  -- Who is refused finds the words before the end.
  if sent or err.PIPE then return socket end
  socket:close()
  return nil, tostring(err), err.CONNRESET and "gone" or nil
end

--- The reply on a socket of M.send, which is closed; see M.request.
function M.receive(socket, seconds)
  local reply, fds, kind = M.hear(socket, seconds)
  socket:close()
  return reply, fds, kind
end

--- Sends a message to the luge of a container and waits for the reply, at most `seconds` (math.huge: without end).
---@return table|nil reply  or nil
---@return table|string fds that came with it, or words: why not
---@return string|nil kind  "absent" (nobody listens there), "gone" (it ended meanwhile), "refused" (its own words)
function M.request(directory, name, message, seconds)
  local socket, text, kind = M.send(directory, name, message)
  if not socket then return nil, text, kind end
  return M.receive(socket, seconds)
end

return M
