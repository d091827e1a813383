-- SPDX-License-Identifier: MIT
-- The firewalls that the build wrote out are, with a container's own names and addresses in them, the messages that are
-- compiled of its description.

local t = dofile "tests/integration/harness.lua"
local firewall = require "netns.firewall"
local form = require "netns.firewall_form"
local nft = require "netns.nft"

local function compiled(d)
  local parts = {}
  for i, message in ipairs((nft.compile(firewall.anew(d, true)))) do parts[i] = message:tobytes() end
  return table.concat(parts)
end

local next_byte = 0x3b
local function byte()
  next_byte = (next_byte * 5 + 0x3d) & 0xff
  return next_byte
end

local function description(families, link, egress)
  egress.allow, egress.host = egress.allow or {}, egress.host or {}
  local name = ("lg%02x%02x%02x%02x"):format(byte(), byte(), byte(), byte())
  local addresses = { ("10.%d.%d.%d"):format(byte(), byte(), byte()), ("fd00:%x::%x"):format(byte() + 1, byte() + 1) }
  link.link, link.addresses = name, table.move(addresses, 1, families, 1, {})
  link.mac = ("02:%02x:%02x:%02x:%02x:%02x"):format(byte(), byte(), byte(), byte(), byte())
  return { table = "luge-" .. ("n"):rep(byte() % 24 + 1) .. "-" .. name, links = { link }, publish = {}, egress = egress }
end

local EGRESS = { function() return { open = true } end, function() return {} end, function() return { log = true } end,
  function() return { internet = true } end, function() return { internet = true, log = true } end }

t.test("a form is what would be compiled", function()
  for families = 1, 2 do
    for _, egress in ipairs(EGRESS) do
      for _, link in ipairs { "wire", "nat", "bridge" } do
        for _ = 1, 4 do
          local d = description(families, { nat = link == "nat" or nil, bridge = link == "bridge" and "br" .. byte() or nil },
            egress())
          local bytes = form.bytes(d)
          t.ok(bytes, link)
          t.ok(bytes == compiled(d), link .. " " .. d.table)
        end
      end
    end
  end
end)

t.test("what holds anything else has no form", function()
  local function none(change, link)
    local d = description(2, link or {}, {})
    t.ok(form.bytes(d), "before")
    change(d)
    t.equal(form.bytes(d), nil)
  end
  none(function(d) d.publish[1] = { proto = "tcp", port = 80, to = d.links[1].addresses[1], to_port = 80, link = 1 } end)
  none(function(d) d.egress.allow[1] = { cidr = "192.0.2.0/24" } end)
  none(function(d) d.egress.host[1] = "192.0.2.1" end)
  none(function(d) d.links[1].ifb = "lgi00000000" end)
  none(function(d) d.links[1].behind = { "10.9.0.0/16" } end)
  none(function(d) d.links[1].link = "lg0" end)
  none(function(d) d.links[2] = d.links[1] end)
  none(function(d) d.links[1].addresses[3] = "10.1.1.1" end)
  none(function(d) table.remove(d.links[1].addresses, 1) end)
  none(function(d) d.links[1].addresses[1] = "10.0.0.0/8" end)
end)
