-- SPDX-License-Identifier: MIT
-- netns.host_addresses: the addresses of the host that a container is not to reach by way of a program there (netns.helper),
-- or of a router; and word of those that it gets later, as by DHCP or, on IPv6, each day.

local S = require "syscall"
local check = require "netns.check"
local nl = require "netns"

local M = {}

local GROUPS = 1 << 4 | 1 << 8 -- RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR

local function is_own_alone(address)
  return check.is_loopback(address.address) or address.family == "inet6" and address.scope == "link"
end

--- Those of the caller's network, each once, but for the loopback's and those that only neighbours know. Errors: of nl.addresses.
function M.list()
  local all, err, errno = nl.addresses()
  if not all then return nil, err, errno end
  local own, seen = {}, {}
  for _, address in ipairs(all) do
    local text = address.address
    if not is_own_alone(address) and not seen[text] then
      seen[text] = true
      own[#own + 1] = text
    end
  end
  return own
end

--- A socket that can be read when one was given or taken away; M.heard empties it. Errors: of S.socket, S.bind.
function M.listen()
  local socket, err, errno = S.socket("netlink", "raw, nonblock", "route")
  if not socket then return nil, err, errno end
  local ok
  ok, err, errno = S.bind(socket, { family = "netlink", groups = GROUPS })
  if not ok then return nil, err, errno end
  return socket
end

--- What it says is not read: it may have lost some (NOBUFS), and the list says all.
function M.heard(socket)
  local data, err
  repeat data, err = S.recv(socket, 4096) until not data and not err.NOBUFS
end

return M
