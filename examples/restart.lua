-- SPDX-License-Identifier: MIT
-- A command that fails is started again, in a new container each time, here three times at most; what the profile binds is
-- all that one run leaves to the next.
--
--   $ export DIR=$(mktemp -d)
--   $ luge run -D DIR=$DIR --name flaky-$$ examples/restart.lua
--   try 1
--   luge: flaky-… ended with exit code 1: started again in 0.1s (1 of 3)
--   try 2
--   luge: flaky-… ended with exit code 1: started again in 0.2s (2 of 3)
--   try 3
--   $ rm -r $DIR

return container {
  command = { "sh", "-c", "echo >> /state/tries; n=$(wc -l < /state/tries); echo try $n; test $n = 3" },
  mounts = { bind { param.DIR or "/tmp/luge-example", "/state", rw = true } },
  restart = { on = "failure", max = 3, delay = "100ms" },
}
