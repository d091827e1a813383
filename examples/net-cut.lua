-- SPDX-License-Identifier: MIT
-- Three nodes, one of which is cut off and joined again: what a program does when its network goes. Each node answers who asks
-- it; "ask" asks the other two.
--
--   $ luge up --name nodes-$$ examples/net-cut.lua
--   nodes-…-c
--   nodes-…-b
--   nodes-…-a
--   $ luge exec nodes-$$-a bash -c "$(luge exec nodes-$$-a printenv ASK)"
--   b: here
--   c: here
--   $ luge network cut nodes-$$-c eth0
--   $ luge exec nodes-$$-a bash -c "$(luge exec nodes-$$-a printenv ASK)"
--   b: here
--   c: nobody
--   $ luge network join nodes-$$-c eth0
--   $ until luge exec nodes-$$-a bash -c "$(luge exec nodes-$$-a printenv ASK)" | grep "c: here"; do sleep 0.1; done
--   c: here
--   $ luge down -t 0s nodes-$$
--   nodes-…-a
--   nodes-…-b
--   nodes-…-c

local NODE = [[
  my $listening = IO::Socket::INET->new(LocalPort => 7, Listen => 5, ReuseAddr => 1) or die $!;
  open my $ready, ">&=", 3 or die $!;
  syswrite $ready, "\n";
  while (my $client = $listening->accept) { print $client "here\n"; close $client }
]]

local ASK = [[for node in b c; do
  echo "$node: $(timeout 1 bash -c "exec 3<>/dev/tcp/$node/7; cat <&3" 2>/dev/null || echo nobody)"
done]]

local node = container { command = { "perl", "-MIO::Socket", "-e", NODE }, health = { fd = 3 }, env = { ASK = ASK } }

return group { network = "private", containers = {
  a = container { node, needs = { b = "healthy", c = "healthy" } }, b = container { node, needs = { c = "healthy" } }, c = node,
} }
