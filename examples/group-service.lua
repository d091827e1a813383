-- SPDX-License-Identifier: MIT
-- A service and its client, as a test needs a database: the service says by a newline on descriptor 3 that it listens, the
-- client starts then, and its exit code is the group's. They meet at a socket in a directory that both have.
--
--   $ export DIR=$(mktemp -d)
--   $ luge run -D DIR=$DIR examples/group-service.lua 2>&1 | sort
--   service | a client came
--   the service says: hello
--
-- In the background the group stays, each container under its own name; a check may be a command as well.
--
--   $ luge up -D DIR=$DIR --name shop-$$ examples/group-service.lua
--   shop-…-service
--   shop-…-client
--   $ luge wait shop-$$-client && luge logs shop-$$-client
--   the service says: hello
--   $ luge ps --group shop-$$
--   NAME … GROUP … PROFILE … STATUS … PID  COMMAND
--   shop-…-service … running (healthy), for …
--   $ luge down shop-$$
--   shop-…-client
--   shop-…-service
--   $ rm -r $DIR

local shared = container { mounts = { bind { param.DIR or "/tmp/luge-example", "/run/shop", rw = true } } }

local SERVICE = [[
  $| = 1;
  unlink "/run/shop/socket";
  my $listening = IO::Socket::UNIX->new(Local => "/run/shop/socket", Listen => 5) or die $!;
  open my $ready, ">&=", 3 or die $!;
  print $ready "\n";
  close $ready;
  while (my $client = $listening->accept) { print "a client came\n"; print $client "hello\n"; close $client }
]]
local CLIENT = [[print "the service says: ", IO::Socket::UNIX->new(Peer => "/run/shop/socket")->getline]]

return group {
  main = "client",
  containers = {
    service = container { shared, command = { "perl", "-MIO::Socket::UNIX", "-e", SERVICE }, health = { fd = 3 }, restart = "failure" },
    client = container { shared, command = { "perl", "-MIO::Socket::UNIX", "-e", CLIENT }, needs = { service = "healthy" } },
  },
}
