-- SPDX-License-Identifier: MIT
-- netns.couple: two links become one wire: what comes in by either goes out by the other, whatever it is, as a bridge of two ports
-- would carry it that neither knows addresses nor says anything of its own.

local check = require "netns.check"
local links = require "netns.link"
local nl = require "netns"

local TABLE = "couple"

--- nl.couple(one, other [, netns]) -> true
-- Hands on what comes in by a link to another one, both ways, in a table "couple" of nftables' netdev, until that is deleted. It
-- replaces a table of that name: a namespace has one couple. Errors: NODEV; as of nl.nft.
function nl.couple(one, other, netns)
  if netns then check.netns(netns, "#3") end
  for _, name in ipairs { check.name(one, "#1"), check.name(other, "#2") } do
    local index, err, errno = links.index(name, netns)
    if not index then return nil, err, errno end
  end
  local function chain(from, to)
    return { hook = "ingress", device = from, priority = "raw", policy = "drop", { { "fwd", to } } }
  end
  return nl.nft({ family = "netdev", table = TABLE, chains = { forth = chain(one, other), back = chain(other, one) } }, netns)
end
