-- SPDX-License-Identifier: MIT
-- netns.firewall_parts: what all tables of a container's firewall are put together from: who is at a link, and rules.
-- A description's links are as netns.firewall_tables.tables takes them.

local check = require "netns.check"

local M = {}

M.FAMILIES = { "ip", "ip6" }
M.LOOPBACK = { ip = "127.0.0.0/8", ip6 = "::1" }

--- The family of an address or network, as nftables calls it.
function M.family_of(address) return address:find(":", 1, true) and "ip6" or "ip" end

-- ---- who is at a link ----

--- The link-local address that an Ethernet address gives (RFC 4291, appendix A), both as bytes.
function M.link_local_bytes(mac)
  local a, b, c, d, e, f = mac:byte(1, 6)
  return string.char(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ~ 2, b, c, 0xff, 0xfe, d, e, f)
end

--- Both as text.
function M.link_local(mac) return check.ip_text("inet6", M.link_local_bytes(check.mac(mac, "'mac'"))) end

--- The addresses of a link's container, by family; what it is on IPv6 without being told is one of them.
function M.addresses_of(link)
  local own = { ip = {}, ip6 = {} }
  for _, address in ipairs(link.addresses) do
    local list = own[M.family_of(address)]
    list[#list + 1] = address
  end
  if own.ip6[1] then own.ip6[#own.ip6 + 1] = M.link_local(link.mac) end
  return own
end

--- All that it may send under.
function M.sources_of(link)
  local all = M.addresses_of(link)
  for _, cidr in ipairs(link.behind or {}) do table.insert(all[M.family_of(cidr)], cidr) end
  return all
end

--- The device that the host's routes know the link by.
function M.device(link) return link.bridge or link.link end

-- ---- rules ----

--- A match for one value is plain, for several a set; nil for none.
function M.any_of(field, list)
  if #list == 0 then return nil end
  return { field, #list == 1 and list[1] or list }
end

--- Rules whose conditions some may lack: the holes of a list closed.
function M.rule(comment, ...)
  local list = table.pack(...)
  local closed = {}
  for i = 1, list.n do
    if list[i] then closed[#closed + 1] = list[i] end
  end
  closed.comment = comment
  return closed
end

--- One that a description's entry asks for; slot: which of those of its chain (netns.firewall_form).
function M.varied(one, slot, entry)
  one.slot, one.of = slot, entry
  return one
end

--- A list, and what is in another one behind it, as a new one.
function M.joined(list, more)
  local copy = table.move(list, 1, #list, 1, {})
  return table.move(more, 1, #more, #copy + 1, copy)
end

return M
