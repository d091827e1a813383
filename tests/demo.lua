-- SPDX-License-Identifier: MIT
-- The demo: luge's own source tree is built and checked in a container (examples/ci.lua), then the report is shown.
-- Usage: luge lua tests/demo.lua LUGE [PROFILE], from the top of the tree.

local S = require "syscall"
local json = require "luge.json"

local luge, profile = arg[1] or "build/luge", arg[2] or "examples/ci.lua"

local function say(...)
  print(string.format(...))
  io.stdout:flush()
end

local function environment()
  local list = {}
  for _, name in ipairs { "PATH", "HOME", "USER", "LOGNAME", "LANG", "TERM", "NO_COLOR", "XDG_RUNTIME_DIR", "TMPDIR" } do
    local value = os.getenv(name)
    if value then list[#list + 1] = name .. "=" .. value end
  end
  return list
end

-- Runs luge with our own input and output; returns its exit code.
local function run(words)
  say("$ %s", table.concat(words, " "))
  local pid = assert(S.fork())
  if pid == 0 then
    S.execve(luge, words, environment())
    S.exit(127)
  end
  local _, status = assert(S.wait4(pid))
  return status.code == "exited" and status.status or 128 + status.status
end

local function read_report(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read "a"
  file:close()
  os.remove(path)
  return assert(json.decode(text))
end

local function words_of(value)
  if value == json.null or value == nil then return "-" end
  if type(value) ~= "table" then return tostring(value) end
  if #value > 0 and type(value[1]) ~= "table" then
    local parts = {}
    for i, v in ipairs(value) do parts[i] = tostring(v) end
    return table.concat(parts, " ")
  end
  return json.encode(value)
end

local function short(text, width)
  return #text > width and text:sub(1, width - 1) .. "…" or text
end

-- Figures that the kernel did not give are null.
local function show_figures(figures)
  local names = {}
  for name, value in pairs(figures or {}) do
    if value ~= json.null then names[#names + 1] = name end
  end
  table.sort(names)
  for i, name in ipairs(names) do
    local value = figures[name]
    names[i] = name .. " " .. (math.type(value) == "float" and string.format("%.2f", value) or tostring(value))
  end
  say("figures: %s", table.concat(names, ", "))
end

local function show_receipt(receipt)
  say("\n%-28s %-34s %-34s %s", "protection", "asked", "what the kernel says", "")
  for _, row in ipairs(receipt or {}) do
    say("%-28s %-34s %-34s %s", short(row.field, 28), short(words_of(row.asked), 34), short(words_of(row.got), 34),
      row.ok == true and "ok" or row.ok == false and "NOT AS ASKED" or "-")
  end
end

local path = string.format("%s/luge-demo-%d.json", os.getenv "TMPDIR" or "/tmp", S.getpid())
local code = run { luge, "run", "--report", path, profile }
local report = read_report(path)
if report then
  say("\n%s: %s, exit code %s", report.name, report.reason, tostring(report.exit_code))
  show_figures(report.figures)
  show_receipt(report.receipt)
end
say("\n%s", code == 0 and "The demo succeeded." or "The demo failed: luge ended with " .. code .. ".")
os.exit(code)
