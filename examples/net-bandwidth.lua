-- SPDX-License-Identifier: MIT
-- What a container receives and sends, in bits a second, held back where it has no power. `burst` may pass at once after a rest.
--
--   $ luge run --report /tmp/net-bandwidth.json examples/net-bandwidth.lua
--   $ grep -A1 network.bandwidth /tmp/net-bandwidth.json; rm /tmp/net-bandwidth.json
--   …"field": "network.bandwidth.down",
--   …"got": "1250000",
--   --
--   …"field": "network.bandwidth.up",
--   …"got": "250000",
return container {
  command = { "true" },
  network = {
    interfaces = { veth { } },
    bandwidth = { down = "10mbit", up = "2mbit", burst = "64K" },
  },
}
