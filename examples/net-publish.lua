-- SPDX-License-Identifier: MIT
-- Ports of the host that lead into the container: one of the loopback, one of all addresses. They are the container's as
-- long as it runs: nobody else can have them. On the loopback the answer comes back through the container's own wire.
--
--   $ luge run -d --name net-publish examples/net-publish.lua
--   net-publish
--   $ until bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080; cat <&3' 2>/dev/null; do sleep 0.1; done
--   hello
--   $ bash -c 'exec 3<>/dev/tcp/::1/9090; cat <&3'
--   hello
--   $ luge rm -f net-publish
return container {
  command = { "perl", "-MIO::Socket::IP", "-e", [[
    $s = IO::Socket::IP->new(LocalHost => "::", LocalPort => 80, Listen => 5, ReuseAddr => 1, V6Only => 0) or die $!;
    while ($c = $s->accept) { print $c "hello\n"; close $c }]] },
  network = {
    interfaces = { veth { } },
    publish = { { "127.0.0.1:8080", 80 }, { 9090, 80, proto = "tcp" } },
  },
}
