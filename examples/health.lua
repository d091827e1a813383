-- SPDX-License-Identifier: MIT
-- A check is run in the container as luge exec would, under the same protection; who depends on it waits for the state.
--
--   $ luge run -d --name site-$$ examples/health.lua
--   site-…
--   $ luge wait --condition healthy site-$$ && luge exec site-$$ cat /tmp/page
--   hello
--   $ luge exec site-$$ rm /tmp/page
--   $ until luge ps --filter health=unhealthy -q | grep -q site-$$; do sleep 0.1; done
--   $ luge inspect site-$$ | grep '"output"'
--           "output": "cat: /tmp/page: No such file or directory",
--   $ luge rm -f site-$$

return container {
  command = { "sh", "-c", "sleep 0.2; echo hello > /tmp/page; exec sleep 1000" },
  health = { command = { "cat", "/tmp/page" }, interval = "200ms", retries = 2 },
}
