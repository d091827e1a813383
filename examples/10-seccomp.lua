-- SPDX-License-Identifier: MIT
-- The system calls that a program may make: a tier (default, ci, strict, compute), and words of one's own over it. A
-- rule looks at arguments; denials win and answer EPERM. `luge plan --seccomp` shows what comes of it.
--
--   $ luge run examples/10-seccomp.lua
--   mkdir: cannot create directory ‘/tmp/new’: Operation not permitted
--   KILL is denied
--   other signals go
return container {
  seccomp = {
    base  = "default",
    deny  = { "mkdir", "mkdirat" },
    rules = { rule { "kill", { 1, "==", 9 }, action = "deny" } },    -- argument 1 of kill(2) is the signal
  },
  command = { "sh", "-c", [[mkdir /tmp/new
    sleep 60 &
    kill -KILL $! 2>/dev/null || echo KILL is denied
    kill -CONT $! && echo other signals go
  ]] },
}
