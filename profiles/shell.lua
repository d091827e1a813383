-- SPDX-License-Identifier: MIT
-- A look around: luge run shell
-- Then: id; mount; ls /; cat /proc/self/status. Nothing that is done there stays.
return container {
  description = "An interactive shell with the host's programs.",
  command = { "/bin/sh", "-i" },
  env     = { "TERM", "COLORTERM", PS1 = "luge$ " },
}
