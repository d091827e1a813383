-- SPDX-License-Identifier: MIT
-- A program that nobody trusts, as a filter: text comes in, text goes out, and there is little else it can do. The
-- parent is a profile that comes with luge: `strict` has no sockets, small limits and a user other than root.
--
--   $ echo some text | luge run examples/15-filter.lua
--   SOME TEXT
--   $ luge run examples/15-filter.lua < /dev/null; echo no text, no output
--   no text, no output
return container {
  profile "strict",
  entrypoint = { "tr", "a-z", "A-Z" },
}
