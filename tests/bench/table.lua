-- SPDX-License-Identifier: MIT
-- One table of what hyperfine measured: table.lua DIRECTORY ROUNDS COMMANDS

local json = require "luge.json"

local dir, rounds, commands = arg[1], tonumber(arg[2]), arg[3]

local LABELS = {
  floor = "bare floor", matched = "matched floor", luge = "luge, default profile",
  ["luge-plain"] = "luge, asked for what bwrap and crun do", ["luge-exec"] = "luge exec, into a container that runs",
  ["crun-exec"] = "crun exec, into a container that runs", ["luge-version"] = "luge version (no container)",
}

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local function median(values)
  table.sort(values)
  local n = #values
  return n % 2 == 1 and values[n // 2 + 1] or (values[n // 2] + values[n // 2 + 1]) / 2
end

local function times_of(name)
  local all = {}
  for round = 1, rounds do
    local result = assert(json.decode(read(string.format("%s/%s.%d.json", dir, name, round)))).results[1]
    table.move(result.times, 1, #result.times, #all + 1, all)
  end
  return all
end

local names, medians, lowest = {}, {}, {}
for line in io.lines(commands) do
  local name = line:match "^[^\t]+"
  local times = times_of(name)
  names[#names + 1] = name
  medians[name] = median(times) * 1000
  lowest[name] = times[1] * 1000
end

local function ratio(name, base)
  return medians[base] and medians[name] and string.format("%8.2f", medians[name] / medians[base]) or "       -"
end

local row = "%-42s %8s %8s %8s %8s %8s %8s"
print(row:format("", "median", "lowest", "/ bare", "/matched", "/ bwrap", "/ crun"))
for _, name in ipairs(names) do
  print(string.format("%-42s %6.2fms %6.2fms %s %s %s %s", LABELS[name] or name, medians[name], lowest[name],
    ratio(name, "floor"), ratio(name, "matched"), ratio(name, "bwrap"), ratio(name, "crun")))
end

-- What was promised, and what this run says.
local goals = {
  { "luge", "matched", 1.3 }, { "luge-plain", "bwrap", 0.9 }, { "luge-plain", "crun", 0.6 },
}
print()
for _, goal in ipairs(goals) do
  local name, base, limit = table.unpack(goal)
  if medians[name] and medians[base] then
    local got = medians[name] / medians[base]
    print(string.format("%-52s %.2f (goal: <= %.2f) %s", (LABELS[name] or name) .. " / " .. (LABELS[base] or base), got,
      limit, got <= limit and "reached" or "missed"))
  end
end
