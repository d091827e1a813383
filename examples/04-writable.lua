-- SPDX-License-Identifier: MIT
-- A directory of the host that the container changes. Inside, it belongs to the container's user; the files made in
-- it belong, outside, to whom the directory belongs.
--
--   $ out=$(mktemp -d); luge run -D OUT=$out examples/04-writable.lua
--   in the container: 0
--   $ cat $out/result; test -O $out/result && echo and it is mine; rm -r $out
--   made in a container
--   and it is mine
return container {
  mounts  = { bind { param.OUT or host.cwd .. "/out", "/out", rw = true, create = true } },
  command = { "sh", "-c", "echo made in a container > /out/result; stat -c 'in the container: %u' /out/result" },
}
