-- SPDX-License-Identifier: MIT
-- A database and its client in a network of their own: each is known by its name, the host and other groups are not there,
-- and nothing leads outside. An ordinary user has it as well.
--
--   $ luge run examples/net-private.lua
--   apples 3
--   pears 5
--   no way out

-- Keys and values, a line each: "set KEY VALUE", "get KEY".
local DATABASE = [[
  my (%of, $listening);
  $listening = IO::Socket::INET->new(LocalPort => 5432, Listen => 5, ReuseAddr => 1) or die $!;
  open my $ready, ">&=", 3 or die $!;
  syswrite $ready, "\n";
  while (my $client = $listening->accept) {
    while (<$client>) {
      if (/^set (\w+) (\w+)/) { $of{$1} = $2 } elsif (/^get (\w+)/) { syswrite $client, "$1 $of{$1}\n" }
    }
  }
]]

local CLIENT = [[
  exec 3<>/dev/tcp/db/5432
  echo set apples 3 >&3; echo set pears 5 >&3
  for key in apples pears; do echo get $key >&3; read -r answer <&3; echo $answer; done
  (exec 4<>/dev/tcp/192.0.2.1/80) 2>/dev/null || echo no way out
]]

return group { main = "client", network = "private", containers = {
  db = container { command = { "perl", "-MIO::Socket", "-e", DATABASE }, health = { fd = 3 } },
  client = container { command = { "bash", "-c", CLIENT }, needs = { db = "healthy" } },
} }
