-- SPDX-License-Identifier: MIT
-- Directories laid over each other, the first lowest: what a later one has hides what lies below. Writes go to the
-- upper layer, here one that is forgotten. `root = layers { … }` does the same for the root.
--
--   $ luge run examples/08-layers.lua
--   motd: the patched version
--   passwd: root:x:0:0::/root:/bin/sh
--   written: for now
return container {
  mounts  = { layers { "07-root", "08-patch", target = "/srv", upper = "discard" } },
  cwd     = "/srv/etc",
  command = { "sh", "-c", "echo for now > written; for f in *; do echo $f: $(cat $f); done" },
}
