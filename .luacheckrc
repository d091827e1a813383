-- SPDX-License-Identifier: MIT
-- Lua 5.3 without globals of our own. Profiles name a vocabulary that `luge check` knows better.
std = "lua53"
max_line_length = 132
self = false -- methods that need no self are methods all the same
exclude_files = { "build/", "examples/", "profiles/*.lua", "tests/lua/hostile/" }

-- A test's profile stands in one line where that reads better.
files["tests/"] = { max_line_length = 170 }
