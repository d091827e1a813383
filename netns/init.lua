-- SPDX-License-Identifier: MIT
-- netns: networks by netlink. The binding (netns.netlink) knows messages and attributes; the modules of this folder,
-- one a theme, know what they mean. A container without a network needs `up` alone, which is here: the others are
-- loaded when one of their functions is first asked for.
--
-- Each function works in the network namespace of the caller, or in the one that its last argument, or the field
-- `netns` of a table, names: a descriptor (object), or the pid of a process that is in it. A socket belongs to the
-- namespace it was opened in, so none is kept between calls.

local S = require "syscall"
local nl = require "netns.netlink"

local IFLA, IFF, RTM = S.c.IFLA, S.c.IFF, S.c.RTM

-- struct ifinfomsg: family, type, index, flags, which flags change
local LINK_HEADER = "I1 x I2 i4 I4 I4"

-- Which module has a function; each is given nl to add them to.
local THEMES = {}
for theme, names in pairs {
  link = "link interfaces set rename move delete",
  kinds = "create veth bridge macvlan vlan dummy vxlan port",
  address = "address deladdress addresses",
  route = "route delroute routes",
  rule = "rule delrule rules",
  neighbour = "neighbour delneighbour neighbours",
  tuntap = "tuntap",
  nft = "nft",
  conntrack = "conntracks conntrack_count delconntracks",
  firewall = "firewall ownfirewall delfirewall denyhosts",
  inhabited = "remember",
  sysctl = "hold_sysctl leave_sysctl",
  forwarding = "hold_forwarding leave_forwarding",
  port = "hold_port new_mac mac_of new_host_id",
  tc = "qdisc delqdisc qdiscs class delclass classes filter delfilter filters",
  pool = "subnet link_name",
  bridge = "hold_bridge leave_bridge",
  pod = "hold_pod hold_users leave_pod namespace",
  helper = "helper endhelper",
  cut = "cut mend",
  couple = "couple",
} do
  for name in names:gmatch "%g+" do THEMES[name] = theme end
end

--- The functions that are loaded only when they are asked for, name → module: for those who list all.
nl.themes = THEMES

setmetatable(nl, { __index = function(_, name)
  local theme = THEMES[name]
  if not theme then return nil end
  require("netns." .. theme)
  return rawget(nl, name)
end })

--- nl.open_in(netns [, protocol]) -> socket
-- nl.open, "route" if not given, in a namespace that may be a pid, or nil for our own.
function nl.open_in(netns, protocol)
  if math.type(netns) ~= "integer" then return nl.open(protocol or "route", netns) end
  local pidfd, err, errno = S.pidfd_open(netns)
  if not pidfd then return nil, err, errno end
  local socket
  socket, err, errno = nl.open(protocol or "route", pidfd)
  pidfd:close()
  return socket, err, errno
end

--- nl.request(message [, netns [, how [, protocol]]]) -> list of replies
-- One exchange on a socket of its own; how: "request" (if not given), "dump" or "batch", whose message is a list; protocol:
-- "route" if not given. Errors: as of the socket's method of that name.
function nl.request(message, netns, how, protocol)
  local socket, err, errno = nl.open_in(netns, protocol)
  if not socket then return nil, err, errno end
  local replies, index
  replies, err, errno, index = socket[how or "request"](socket, message)
  if protocol == "netfilter" then socket:leave() else socket:close() end
  return replies, err, errno, index
end

local function set_flags(name, flags, netns)
  if not nl.is_link_name(name) then require("netns.check").name(name, "#1") end
  if netns then require("netns.check").netns(netns, "#2") end
  local message = nl.message(RTM.NEWLINK, nil, LINK_HEADER:pack(0, 0, 0, flags, IFF.UP)):string(IFLA.IFNAME, name)
  local replies, err, errno = nl.request(message, netns)
  if not replies then return nil, err, errno end
  return true
end

--- nl.up(name [, netns]) -> true
-- Sets a link up. Errors: NODEV, PERM (CAP_NET_ADMIN over the network namespace is needed);
-- err.text holds the kernel's extended text where it gives one. Source: rtnetlink(7), RTM_NEWLINK.
function nl.up(name, netns)
  return set_flags(name, IFF.UP, netns)
end

--- nl.down(name [, netns]) -> true
-- Sets a link down, as nl.up.
function nl.down(name, netns)
  return set_flags(name, 0, netns)
end

S.nl = nl

return nl
