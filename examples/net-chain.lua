-- SPDX-License-Identifier: MIT
-- A chain of routers: client – left – middle – right – server. Each wire but the first is made from its right end; `peer` says
-- what the container at the other end gets by it, its ways to what lies to the right.
--
--   $ luge run examples/net-chain.lua
--   …10.2.4.2/7: Connection refused
--   …fd02:4::2/7: Connection refused

-- The server has no port 7 open, and says so from the other end.
local CLIENT = [[for a in 10.2.4.2 fd02:4::2; do (exec 3<>/dev/tcp/$a/7) 2>&1 | tail -n 1; done]]

-- Wire `number` to the next one on the left; beyond: what the left one gets of it.
local function wire(number, to, beyond)
  local function address(host) return ("10.2.%d.%d"):format(number, host), ("fd02:%d::%d"):format(number, host) end
  local own, own6 = address(2)
  local its, its6 = address(1)
  local peer = { name = "right", address = its .. "/24", address6 = its6 .. "/64" }
  for key, value in pairs(beyond(own, own6)) do peer[key] = value end
  return link { to, name = "left", address = own .. "/24", address6 = own6 .. "/64", gateway = its, gateway6 = its6, peer = peer }
end

local function everything(via, via6) return { gateway = via, gateway6 = via6 } end
local function server_only(via, via6) return { routes = { { "10.2.4.0/24", via }, { "fd02:4::/64", via6 } } } end
local function nothing() return {} end

local function node(...)
  return container { command = { "sleep", "infinity" }, network = { interfaces = { ... }, egress = false },
    sysctl = { ["net.ipv4.ip_forward"] = 1, ["net.ipv6.conf.all.forwarding"] = 1 } }
end

return group { main = "client", containers = {
  left = node(),
  middle = node(wire(2, "left", server_only)),
  right = node(wire(3, "middle", server_only)),
  server = node(wire(4, "right", nothing)),
  client = container {
    command = { "bash", "-c", CLIENT },
    needs = { server = "started" },
    network = { egress = false, interfaces = { link { "left", name = "right", address = "10.2.1.1/24", address6 = "fd02:1::1/64",
      gateway = "10.2.1.2", gateway6 = "fd02:1::2",
      peer = { name = "left", address = "10.2.1.2/24", address6 = "fd02:1::2/64" } } } },
  },
} }
