-- SPDX-License-Identifier: MIT
-- Build a checkout and run its tests, as a server for continuous integration would: no network, nothing of the
-- host but its programs, limits, and a checkout that stays as it is, whatever the tests do to it.
--
--   cd luge && luge run examples/ci.lua           its own source; `make demo` does just that and shows the report
--   luge run -D SOURCE=../other examples/ci.lua -- make test       another checkout, another command
return container {
  profile "ci",                                    -- seccomp tier, limits, the CI variables of the host

  command = { "sh", "-c", "make -j" .. host.cpus .. " && make check" },
  cwd     = "/src",
  mounts  = {
    -- The checkout can be written to. What is written lies in memory and goes with the container.
    bind { param.SOURCE or host.cwd, "/src", overlay = "discard", size = "1G" },
    -- What was built outside is hidden, so that all is built here.
    tmpfs { "/src/build", size = "1G", mode = "0755" },
  },
  -- A user whose session was given no cgroups builds without the limit of memory; the report then says so.
  limits  = { wall = "10m", memory = optional("4G") },
}
