-- SPDX-License-Identifier: MIT
-- netns.port: ports of the host that are published, so that nobody else has them, and small things that only a host's
-- side of a network needs.

local S = require "syscall"
local check = require "netns.check"
local nl = require "netns"

local TYPE = { tcp = "stream", udp = "dgram" }

--- nl.hold_port("tcp" or "udp", address, port) -> fd
-- A socket that has the port, and hears nothing: what comes for it is led elsewhere before. Whoever else wants it finds it
-- in use, as this does with one that somebody has. address: "0.0.0.0" and "::" are all of their family. Errors: ADDRINUSE,
-- ADDRNOTAVAIL, ACCES below net.ipv4.ip_unprivileged_port_start.
function nl.hold_port(proto, address, port)
  local kind = TYPE[proto] or check.fail("#1", "\"tcp\" or \"udp\"", proto)
  local family = check.ip(address, "#2").family
  check.u16(port, "#3")
  local fd, err, errno = S.socket(family, kind .. ", cloexec")
  if not fd then return nil, err, errno end
  local ok = true
  if family == "inet6" then ok, err, errno = S.setsockopt(fd, "ipv6", "v6only", 1) end
  if ok then ok, err, errno = S.bind(fd, { family = family, addr = address, port = port }) end
  if ok then return fd end
  fd:close()
  return nil, err, errno
end

--- nl.new_mac() -> "02:xx:xx:xx:xx:xx"
-- An Ethernet address that no maker of hardware gives.
function nl.new_mac()
  local bytes, err, errno = S.getrandom(5)
  if not bytes then return nil, err, errno end
  return ("02:%02x:%02x:%02x:%02x:%02x"):format(bytes:byte(1, 5))
end

-- FNV-1a, of 32 bits, going on from what it has come to.
local function fold(hash, bytes)
  for i = 1, #bytes do hash = (hash ~ bytes:byte(i)) * 0x01000193 & 0xffffffff end
  return hash
end

local OF_FAMILY = { inet = "02:04", inet6 = "02:06" }

--- nl.mac_of(place, address) -> "02:04:xx:xx:xx:xx" or "02:06:xx:xx:xx:xx"
-- The Ethernet address that goes with an address in a place, the name of a bridge: always the same one, so that neighbours who know
-- where the address was send to whoever has it next. In one place no two IPv4 addresses have the same last four bytes.
function nl.mac_of(place, address)
  local ip, seed = check.ip(address, "#2"), fold(0x811c9dc5, check.string(place, "#1"))
  local tail = ip.family == "inet" and seed ~ (">I4"):unpack(ip.bytes) or fold(seed, ip.bytes)
  return ("%s:%02x:%02x:%02x:%02x"):format(OF_FAMILY[ip.family], (">I4"):pack(tail):byte(1, 4))
end

--- nl.new_host_id() -> number
-- The last 64 bits of an IPv6 address that nobody has had before, for nl.subnet: 62 of them are chosen at random.
function nl.new_host_id()
  local bytes, err, errno = S.getrandom(8)
  if not bytes then return nil, err, errno end
  return ("i8"):unpack(bytes) & (1 << 62) - 1 | 1 << 62
end

return {}
