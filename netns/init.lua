-- SPDX-License-Identifier: MIT
-- netns: networks by netlink. The binding (netns.netlink) knows messages and attributes; here
-- stands what they mean. Each function works in the network namespace of the caller: a socket
-- belongs to the namespace it was opened in, so none is kept between calls.

local S = require "syscall"
local nl = require "netns.netlink"

local IFLA, IFF, RTM = S.c.IFLA, S.c.IFF, S.c.RTM

-- struct ifinfomsg: family, type, index, flags, which flags change
local LINK_HEADER = "I1 x I2 i4 I4 I4"
local LINK_HEADER_SIZE = string.packsize(LINK_HEADER)
local NAME_MAX = 15 -- IFNAMSIZ without its NUL

local function check_name(name, level)
  if type(name) ~= "string" then
    error("bad argument #1 (the name of a link expected, got " .. type(name) .. ")", level + 1)
  end
  if #name == 0 or #name > NAME_MAX or name:find("[/%s%z]") then
    error(("bad argument #1 ('%s' is no name of a link: 1 to %d characters, no / or space)")
      :format(name, NAME_MAX), level + 1)
  end
end

-- One request on a socket of its own: the list of replies, or nil, err, errno.
local function request(message)
  local socket, err, errno = nl.open("route")
  if not socket then return nil, err, errno end
  local replies
  replies, err, errno = socket:request(message)
  socket:close()
  return replies, err, errno
end

local function set_flags(name, flags, mask)
  local message = nl.message(RTM.NEWLINK, nil, LINK_HEADER:pack(0, 0, 0, flags, mask))
    :string(IFLA.IFNAME, name)
  local replies, err, errno = request(message)
  if not replies then return nil, err, errno end
  return true
end

--- nl.up(name) -> true
-- Sets a link up. Errors: NODEV, PERM (CAP_NET_ADMIN over the network namespace is needed);
-- err.text holds the kernel's extended text where it gives one. Source: rtnetlink(7), RTM_NEWLINK.
function nl.up(name)
  check_name(name, 2)
  return set_flags(name, IFF.UP, IFF.UP)
end

--- nl.down(name) -> true
-- Sets a link down, as nl.up.
function nl.down(name)
  check_name(name, 2)
  return set_flags(name, 0, IFF.UP)
end

--- nl.link(name) -> {index=, name=, mtu=, up=boolean, flags=}
-- A link as the kernel describes it. Errors: NODEV. Source: rtnetlink(7), RTM_GETLINK.
function nl.link(name)
  check_name(name, 2)
  local message = nl.message(RTM.GETLINK, nil, LINK_HEADER:pack(0, 0, 0, 0, 0))
    :string(IFLA.IFNAME, name)
  local replies, err, errno = request(message)
  if not replies then return nil, err, errno end
  local _, _, index, flags = LINK_HEADER:unpack(replies[1].data)
  local _, by_type = nl.attributes(replies[1].data, LINK_HEADER_SIZE)
  return {
    index = index,
    name = ("z"):unpack(by_type[IFLA.IFNAME]),
    mtu = ("I4"):unpack(by_type[IFLA.MTU]),
    up = flags & IFF.UP ~= 0,
    flags = flags,
  }
end

-- What a container without a network of its own never needs.
local LATER = { nft = "netns.nft", tc = "netns.tc" }

setmetatable(nl, { __index = function(_, name)
  if not LATER[name] then return nil end
  nl[name] = require(LATER[name])
  return nl[name]
end })

S.nl = nl

return nl
