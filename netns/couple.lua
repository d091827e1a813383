-- SPDX-License-Identifier: MIT
-- netns.couple: two links become one wire: what comes in by either goes out by the other, whatever it is, as a bridge of two ports
-- would carry it that neither knows addresses nor says anything of its own.

local check = require "netns.check"
local links = require "netns.link"
local nl = require "netns"

local TABLE = "couple"

-- The error where one of them is not there.
local function find_both(one, other, netns)
  for _, name in ipairs { one, other } do
    local index, err, errno = links.index(name, netns)
    if not index then return nil, err, errno end
  end
  return true
end

--- nl.couple(one, other [, netns]) -> true
-- Hands on what comes in by a link to another one, both ways, in a table "couple" of nftables' netdev, until that is deleted. It
-- replaces a table of that name: a namespace has one couple. Errors: NODEV; as of nl.nft.
function nl.couple(one, other, netns)
  check.name(one, "#1")
  check.name(other, "#2")
  if netns then check.netns(netns, "#3") end
  local function chain(from, to)
    return { hook = "ingress", device = from, priority = "raw", policy = "drop", { { "fwd", to } } }
  end
  -- To nl.nft a link that is not there is a fault of the table; here one goes when somebody's namespace at its other end does.
  local ok, done, err, errno = pcall(nl.nft, { family = "netdev", table = TABLE,
    chains = { forth = chain(one, other), back = chain(other, one) } }, netns)
  if ok then return done, err, errno end
  local there
  there, err, errno = find_both(one, other, netns)
  if there then error(done, 0) end
  return nil, err, errno
end
