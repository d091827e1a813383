-- SPDX-License-Identifier: MIT
-- Traffic for the tests: a client that runs inside containers, servers and pings beside them.
--
--   luge lua traffic.lua tcp|udp ADDRESS PORT [SECONDS [OWN_PORT]]
--                                                  sends "hello", prints the answer ("HELLO"), or "refused", "timeout" …
--   luge lua traffic.lua serve ADDRESS PORT        answers in capitals, TCP and UDP, until it is ended; prints "ready"
--
-- As a module: local traffic = dofile "tests/integration/traffic.lua"; what arg is decides.

local S = require "syscall"

local M = {}

local WAIT = 5 -- seconds until nobody answers any more; nothing that ends well comes near it

--- "inet" or "inet6".
function M.family_of(address) return address:find(":", 1, true) and "inet6" or "inet" end

local function readable(fd, seconds)
  local events = S.poll({ { fd = fd, events = "in" } }, math.floor(seconds * 1000))
  return events and #events > 0
end

local function say(err)
  if err.CONNREFUSED then return "refused" end
  if err.NETUNREACH or err.HOSTUNREACH or err.ACCES then return "unreachable" end -- ACCES: prohibited, of ICMPv6
  if err.TIMEDOUT or err.AGAIN then return "timeout" end
  return tostring(err)
end

--- One "hello" and its answer; own: the port that it is sent from.
function M.ask(proto, address, port, seconds, own)
  local fd = assert(S.socket(M.family_of(address), proto == "tcp" and "stream" or "dgram"))
  fd:setsockopt("socket", "sndtimeo", seconds or WAIT)
  if own then assert(fd:bind { family = M.family_of(address), port = own }) end
  local ok, err = fd:connect { family = M.family_of(address), addr = address, port = port }
  if ok then ok, err = fd:send "hello" end
  local answer
  if ok and readable(fd, seconds or WAIT) then
    answer, err = fd:recv(100)
  elseif ok then
    answer = "timeout"
  end
  fd:close()
  return answer or say(err)
end

--- The sockets of a server; M.serve answers on them.
function M.listen(address, port)
  local where = { family = M.family_of(address), addr = address, port = port }
  local tcp, udp = assert(S.socket(where.family, "stream")), assert(S.socket(where.family, "dgram"))
  tcp:setsockopt("socket", "reuseaddr", 1)
  assert(tcp:bind(where))
  assert(tcp:listen())
  assert(udp:bind(where))
  return { tcp = tcp, udp = udp }
end

function M.serve(server)
  while true do
    if readable(server.tcp, 0.01) then
      local client = server.tcp:accept4()
      if client then
        client:send((client:recv(100) or ""):upper())
        client:close()
      end
    end
    if readable(server.udp, 0.01) then
      local data, from = server.udp:recvfrom(100)
      if data then server.udp:sendto(data:upper(), nil, from) end
    end
  end
end

--- A server in a forked copy: its pid, to be killed.
function M.start_server(address, port)
  local server = M.listen(address, port)
  local pid = assert(S.fork())
  if pid == 0 then
    S.prctl("set_pdeathsig", "kill")
    pcall(M.serve, server)
    S.exit(1)
  end
  server.tcp:close()
  server.udp:close()
  return pid
end

function M.stop_server(pid)
  S.kill(pid, "kill")
  S.waitid("pid", pid, "exited")
end

--- The sum that the headers of IP, ICMP and others have of themselves.
function M.checksum(data)
  local sum = 0
  for at = 1, #data - 1, 2 do sum = sum + (">I2"):unpack(data, at) end
  if #data % 2 == 1 then sum = sum + (data:byte(#data) << 8) end
  while sum > 0xffff do sum = (sum & 0xffff) + (sum >> 16) end
  return ~sum & 0xffff
end

--- Whether an ICMP echo comes back; size: bytes of it.
function M.ping(address, seconds, size)
  local family = M.family_of(address)
  local fd = assert(S.socket(family, "raw", family == "inet" and "icmp" or "icmpv6"))
  local id, data = S.getpid() & 0xffff, ("x"):rep(size or 8)
  local kind = family == "inet" and 8 or 128
  local packet = (">BBI2I2I2"):pack(kind, 0, 0, id, 1) .. data
  packet = (">BBI2I2I2"):pack(kind, 0, family == "inet" and M.checksum(packet) or 0, id, 1) .. data
  local answered = false
  if fd:sendto(packet, nil, { family = family, addr = address, port = 0 }) then
    local expected = (">BB"):pack(family == "inet" and 0 or 129, 0)
    for _ = 1, 20 do
      if not readable(fd, seconds or WAIT) then break end
      local reply = fd:recv(2000) or ""
      local at = family == "inet" and (reply:byte(1) & 15) * 4 or 0
      if reply:sub(at + 1, at + 2) == expected and reply:sub(at + 5, at + 6) == (">I2"):pack(id) then
        answered = true
        break
      end
    end
  end
  fd:close()
  return answered
end

if arg and arg[0] and arg[0]:find "traffic%.lua$" then
  if arg[1] == "serve" then
    local server = M.listen(arg[2], tonumber(arg[3]))
    print "ready"
    io.stdout:flush()
    M.serve(server)
  elseif arg[1] == "ping" then
    print(M.ping(arg[2]) and "answered" or "silence")
  else
    print(M.ask(arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4]), tonumber(arg[5])))
  end
end

return M
