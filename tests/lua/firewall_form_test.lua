-- SPDX-License-Identifier: MIT
-- The firewalls that the build wrote out are, with a container's own names, addresses and entries in them, the messages that
-- are compiled of its description.

local t = dofile "tests/integration/harness.lua"
local firewall = require "netns.firewall_tables"
local form = require "netns.firewall_form"
local nft = require "netns.nft"

local function compiled(d)
  local parts = {}
  for i, message in ipairs((nft.compile(firewall.anew(d, true)))) do parts[i] = message:tobytes() end
  return table.concat(parts)
end

local function formed(d)
  d = firewall.whole(d)
  return form.bytes(d, firewall.varied(d))
end

-- Numbers without a pattern, the same each time.
local state = 0x3b5a
local function byte(low, high)
  state = state * 1103515245 + 12345 & 0x7fffffff
  return (low or 0) + (state >> 8) % ((high or 255) - (low or 0) + 1)
end

local function address4() return ("%d.%d.%d.%d"):format(byte(11, 100), byte(), byte(), byte()) end
local function address6() return ("%x:%x%02x::%x"):format(0x2000 + byte(), byte(1), byte(), byte(1)) end

local function description(families, link, egress)
  local name = ("lg%02x%02x%02x%02x"):format(byte(), byte(), byte(), byte())
  link.addresses = table.move({ ("10.%d.%d.%d"):format(byte(), byte(), byte()), ("fd00:%x::%x"):format(byte(1), byte(1)) },
    1, families, 1, {})
  link.link, link.mac = name, ("02:%02x:%02x:%02x:%02x:%02x"):format(byte(), byte(), byte(), byte(), byte())
  return { table = "luge-" .. ("n"):rep(byte(1, 24)) .. "-" .. name, links = { link }, publish = {}, egress = egress }
end

local EGRESS = { function() return { open = true } end, function() return {} end, function() return { log = true } end,
  function() return { internet = true } end, function() return { internet = true, log = true } end }
local LINKS = { wire = function() return {} end, nat = function() return { nat = true } end,
  bridge = function() return { bridge = "br" .. byte() } end,
  isolated = function() return { bridge = "br" .. byte(), isolated = true } end }

local function each_shape(f)
  for families = 1, 2 do
    for i, egress in ipairs(EGRESS) do
      for name, link in pairs(LINKS) do f(description(families, link(), egress()), ("%d %d %s"):format(families, i, name)) end
    end
  end
end

local function same(d, what)
  local bytes = formed(d)
  t.ok(bytes, "a form of " .. what)
  t.ok(bytes == compiled(d), what .. " " .. d.table)
end

t.test("a form is what would be compiled", function()
  for _ = 1, 3 do each_shape(same) end
end)

local PROTOCOLS = { "tcp", "udp", "icmp" }

t.test("what may be reached, one address each", function()
  for round = 1, 12 do
    each_shape(function(d, what)
      if d.egress.open then return end
      d.egress.allow = {}
      for i = 1, byte(1, 4) do
        local proto = PROTOCOLS[byte(1, 4)]
        d.egress.allow[i] = { cidr = round % 2 == 0 and address4() .. "/32" or byte() > 127 and address4() or address6(), proto = proto,
          port = proto ~= "icmp" and byte() > 127 and byte(1) * 256 + byte() or nil, why = ("network.egress.allow[%d]"):format(i) }
      end
      same(d, what)
    end)
  end
end)

-- Networks before and after the loopback's.
local SUBNETS = { { "10.1.2.3/30", "fd00:1::2/64" }, { "192.168.9.3/24", "2001:db8::7/48" }, { "172.29.255.255/17", "fd01::1/127" } }

t.test("published ports", function()
  for round = 1, 12 do
    each_shape(function(d, what)
      local link = d.links[1]
      if link.bridge then return end
      link.subnets = SUBNETS[byte(1, 3)]
      for i = 1, byte(1, 4) do
        local n = byte(1, #link.addresses)
        local addresses = n == 1 and { "127.0.0.1", address4() } or { "::1", address6() }
        local any = byte(0, 2) == 0
        d.publish[i] = { proto = PROTOCOLS[byte(1, 2)], address = not any and addresses[byte(1, 2)] or nil, port = byte(1) * 256 + byte(),
          to = link.addresses[n], to_port = round % 2 == 0 and 80 or byte(1), link = 1,
          why = ("network.publish[%d]"):format(i) }
      end
      if byte() > 127 and not d.egress.open then d.egress.allow = { { cidr = address4(), port = 53, why = "network.dns" } } end
      same(d, what)
    end)
  end
end)

t.test("what holds anything else has no form", function()
  local function none(change)
    local d = description(2, { subnets = SUBNETS[1] }, { allow = {} })
    t.ok(formed(d), "before")
    change(d, d.links[1])
    t.equal(formed(d), nil)
  end
  local function publish(change)
    none(function(d, link)
      d.publish[1] = { proto = "tcp", port = 80, to = link.addresses[1], to_port = 80, link = 1, why = "network.publish[1]" }
      t.ok(formed(d), "published")
      change(d.publish[1], link)
    end)
  end
  none(function(d) d.egress.allow[1] = { cidr = "192.0.2.0/24", why = "x" } end)
  none(function(d) d.egress.allow[1] = { cidr = "192.0.2.1", port = 53 } end)
  none(function(d) d.egress.host = { "192.0.2.1" } end)
  none(function(_, link) link.ifb = "lgi00000000" end)
  none(function(_, link) link.behind = { "10.9.0.0/16" } end)
  none(function(_, link) link.near = { "10.9.0.0/16" } end)
  none(function(_, link) link.link = "lg0" end)
  none(function(d, link) d.links[2] = link end)
  none(function(_, link) link.addresses[3] = "10.1.1.1" end)
  none(function(_, link) table.remove(link.addresses, 1) end)
  none(function(_, link) link.addresses[1] = "10.0.0.0/8" end)
  publish(function(p) p.to = "10.99.99.99" end)
  publish(function(p) p.why = nil end)
  publish(function(p) p.aside = true end)
  publish(function(p) p.port = "80-90" end)
  publish(function(_, link) link.subnets = nil end)
  publish(function(_, link) link.subnets = { "10.1.2.3/32" } end)
  publish(function(_, link) link.subnets = { "126.1.2.3/24" } end)
  publish(function(_, link) link.subnets = { "10.1.2.3/24", "10.2.2.3/24" } end)
  publish(function(_, link) link.bridge = "br0" end)
end)
