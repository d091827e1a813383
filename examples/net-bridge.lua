-- SPDX-License-Identifier: MIT
-- Containers on a bridge of the host, which the first of them makes and the last takes away. Isolated ones reach what is
-- not isolated, and not each other; "refused" is an answer, after silence bash gives up.
--
--   $ luge run -d --name net-one examples/net-bridge.lua -- sleep 1000
--   net-one
--   $ luge run -D N=3 examples/net-bridge.lua
--   …Connection refused
--   …Connection refused
--   $ luge rm -f net-one
return container {
  command = { "bash", "-c", "for at in 10.55.0.2 fd55::2; do (exec 3<>/dev/tcp/$at/9) 2>&1 | tail -n 1; done" },
  network = { interfaces = {
    bridge { "lab", address = "10.55.0." .. (param.N or 2) .. "/24", address6 = "fd55::" .. (param.N or 2) .. "/64",
      isolated = param.N ~= nil },
  } },
}
