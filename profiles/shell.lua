-- SPDX-License-Identifier: MIT
-- A look around: luge run shell
-- Then: id; mount; ls /; cat /proc/self/status. Nothing that is done there stays.
return container {
  description = "An interactive shell with the host's programs.",
  -- The terminal belongs to another session, which job control (+m) would complain of.
  command = { "/bin/sh", "-i", "+m" },
  env     = { "TERM", "COLORTERM", PS1 = "luge$ " },
}
