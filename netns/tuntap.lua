-- SPDX-License-Identifier: MIT
-- netns.tuntap: links whose other end is a descriptor. Source: the kernel's Documentation/networking/tuntap.rst.

local S = require "syscall"
local check = require "netns.check"
local nl = require "netns"

local REQUEST = "c16 I2 c22" -- struct ifreq: name, flags; the rest of the union

local MODES = { tun = S.c.TUN.TUN, tap = S.c.TUN.TAP }

local function mode(value, what)
  return MODES[value] or check.fail(what, "\"tun\" or \"tap\"", value)
end

local FIELDS = { name = check.name, mode = mode, packet_info = check.boolean, multi_queue = check.boolean,
  vnet_header = check.boolean, persist = check.boolean, owner = check.u32, group = check.u32, netns = check.netns }

-- The device belongs to the namespace of whoever opens it.
local function open_device(netns)
  if not netns then return S.open("/dev/net/tun", "rdwr, cloexec") end
  local own, err, errno = S.open("/proc/self/ns/net", "rdonly, cloexec")
  if not own then return nil, err, errno end
  local there, fd = netns, nil
  if math.type(netns) == "integer" then there, err, errno = S.pidfd_open(netns) end
  local entered
  if there then entered, err, errno = S.setns(there, "newnet") end
  if entered then
    fd, err, errno = S.open("/dev/net/tun", "rdwr, cloexec")
    assert(S.setns(own, "newnet")) -- else we would go on in the wrong network
  end
  own:close()
  return fd, err, errno
end

--- nl.tuntap{ name=, mode="tun" or "tap", packet_info=, multi_queue=, vnet_header=, persist=, owner=uid, group=gid, netns= }
--- -> fd, name
-- A link whose frames ("tap") or packets ("tun") are read from and written to the descriptor; it goes with the descriptor
-- unless persist. name may hold %d, for the kernel to number. Without packet_info nothing stands before a packet. Errors:
-- NOENT or ACCES (/dev/net/tun), PERM, BUSY.
function nl.tuntap(what)
  local t = check.fields(what, "#1", FIELDS)
  check.need(t, "mode", "\"tun\" or \"tap\"")
  local fd, err, errno = open_device(t.netns)
  if not fd then return nil, err, errno end
  local flags = t.mode | (t.packet_info and 0 or S.c.TUN.NO_PI) | (t.multi_queue and S.c.TUN.MULTI_QUEUE or 0)
    | (t.vnet_header and S.c.TUN.VNET_HDR or 0)
  local ok, answer
  ok, answer, errno = S.ioctl(fd, "tunsetiff", REQUEST:pack(t.name or "", flags, ""))
  if not ok then return nil, answer, errno end
  for _, pair in ipairs { { "tunsetowner", t.owner }, { "tunsetgroup", t.group }, { "tunsetpersist", t.persist and 1 } } do
    if pair[2] then
      ok, err, errno = S.ioctl(fd, pair[1], pair[2])
      if not ok then return nil, err, errno end
    end
  end
  return fd, (("z"):unpack(answer))
end
