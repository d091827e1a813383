-- SPDX-License-Identifier: MIT
-- A profile is a program: -D gives it parameters, `host` tells it facts, functions and loops are Lua's. It can only
-- compute: what it returns is data, and `luge check` and `luge plan` show what would come of it.
--
--   $ luge run -D WHO=you -D TIMES=2 examples/05-parameters.lua
--   hello, you
--   hello, you
--   $ luge run examples/05-parameters.lua
--   hello, nobody
local times = tonumber(param.TIMES or 1)
assert(times and times >= 1, "TIMES is a number of greetings")

local lines = {}
for i = 1, times do lines[i] = "hello, " .. (param.WHO or "nobody") end

return container {
  description = "Greets on " .. host.arch,
  command     = { "printf", "%s\\n", table.unpack(lines) },
}
