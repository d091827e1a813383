-- SPDX-License-Identifier: MIT
-- Lua 5.3 without globals of our own. What profiles may name is the vocabulary, not the code's.
std = "lua53"
max_line_length = 132
self = false -- methods that need no self are methods all the same
exclude_files = { "build/", "examples/", "profiles/*.lua", "tests/lua/hostile/" }
