-- SPDX-License-Identifier: MIT
-- A network laboratory: two hosts and the router between them, wires of which the host has no end. It is made and torn down
-- as one, by an ordinary user too; each finds the others by their names.
--
--   $ luge run examples/net-lab.lua
--   10.1.2.0/24
--   default via 10.1.2.1
--   the server saw 10.1.2.2
--
-- In the background every wire can be cut, and joined again:
--
--   $ luge up --name lab-$$ examples/net-lab.lua
--   lab-…-router
--   lab-…-server
--   lab-…-client
--   $ luge network cut lab-$$-server eth0
--   $ luge exec lab-$$-router cat /sys/class/net/right/operstate
--   down
--   $ luge network join lab-$$-server eth0
--   $ luge exec lab-$$-router cat /sys/class/net/right/operstate
--   up
--   $ luge down -t 0s lab-$$
--   lab-…-client
--   lab-…-router
--   lab-…-server

local SERVER = [[
  my $listening = IO::Socket::INET->new(LocalPort => 7, Listen => 5, ReuseAddr => 1) or die $!;
  open my $ready, ">&=", 3 or die $!;
  syswrite $ready, "\n";
  while (my $client = $listening->accept) { print $client "the server saw " . $client->peerhost . "\n"; close $client }
]]

local CLIENT = [[ip route | sort | sed 's/ dev.*//'; exec 3<>/dev/tcp/server/7; cat <&3]]

-- A wire to the router: network 1 is the server's, 2 the client's.
local function host(number, router_end)
  return { egress = false, interfaces = { link { "router", address = ("10.1.%d.2/24"):format(number), gateway = ("10.1.%d.1"):format(number),
    peer = { name = router_end, address = ("10.1.%d.1/24"):format(number) } } } }
end

return group { main = "client", containers = {
  router = container {
    command = { "sleep", "infinity" },
    network = { interfaces = {} },
    sysctl = { ["net.ipv4.ip_forward"] = 1 },
  },
  server = container {
    command = { "perl", "-MIO::Socket", "-e", SERVER },
    network = host(1, "right"),
    health = { fd = 3 },
  },
  client = container {
    command = { "bash", "-c", CLIENT },
    network = host(2, "left"),
    needs = { server = "healthy" },
  },
} }
