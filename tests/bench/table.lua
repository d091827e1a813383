-- SPDX-License-Identifier: MIT
-- One table of what hyperfine measured: table.lua DIRECTORY ROUNDS COMMANDS [net]

local json = require "luge.json"

local dir, rounds, commands, is_net = arg[1], tonumber(arg[2]), arg[3], arg[4] == "net"

local LABELS = {
  floor = "bare floor", matched = "matched floor", luge = "luge, default profile",
  ["luge-plain"] = "luge, asked for what bwrap and crun do", ["luge-exec"] = "luge exec, into a container that runs",
  ["crun-exec"] = "crun exec, into a container that runs", ["luge-version"] = "luge version (no container)",
  ["net-luge"] = "luge, a veth with NAT", ["net-luge-plain"] = "luge, the same, asked for what runc does", ["net-luge-none"] = "luge, the same without a network",
  ["net-podman"] = "podman, its bridge", ["net-runc"] = "runc, a hook of ip commands",
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

-- The columns: a heading, and what is compared with.
local BASES = is_net and { { "/ podman", "net-podman" }, { "/ runc", "net-runc" } }
  or { { "/ bare", "floor" }, { "/matched", "matched" }, { "/ bwrap", "bwrap" }, { "/ crun", "crun" } }

local heading = { ("%-42s %8s %8s"):format("", "median", "lowest") }
for _, base in ipairs(BASES) do heading[#heading + 1] = ("%8s"):format(base[1]) end
print(table.concat(heading, " "))
for _, name in ipairs(names) do
  local line = { ("%-42s %6.2fms %6.2fms"):format(LABELS[name] or name, medians[name], lowest[name]) }
  for _, base in ipairs(BASES) do line[#line + 1] = ratio(name, base[2]) end
  print(table.concat(line, " "))
end

-- What was promised, and what this run says.
local goals = {
  { "luge", "matched", 1.3 }, { "luge-plain", "bwrap", 0.9 }, { "luge-plain", "crun", 0.6 },
  { "net-luge", "net-podman", 0.5 }, { "net-luge-plain", "net-runc", 0.5 },
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
