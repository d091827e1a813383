-- SPDX-License-Identifier: MIT
-- sandbox.cli.ps: `luge ps`: the containers that run; with -a those too that have ended and left a record.

local S = require "syscall"
local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"
local json = require "luge.json"
local list = require "sandbox.container.list"

local M = {}

-- ---- which ----

local FILTERS = { name = true, state = true, profile = true, detached = true, group = true, health = true }

-- Field → the values of which one must be it; nil after the message was printed.
local function filters_of(options)
  local wanted = {}
  for _, text in ipairs(options.filter or {}) do
    local field, value = text:match("^(%w+)=(.+)$")
    local wrong = not FILTERS[field] and "name, state, profile, group, health or detached=VALUE expected"
      or field == "state" and not containers.STATES[value] and "the states are running, paused, restarting, ended, lost and unknown"
      or field == "detached" and value ~= "true" and value ~= "false" and "true or false expected"
    if wrong then
      cli.complain(("--filter %s: %s"):format(text, wrong), "luge ps -a --filter state=ended --filter profile=ci")
      return nil
    end
    wanted[field] = wanted[field] or {}
    wanted[field][value] = true
  end
  return wanted
end

local function passes(container, wanted, options)
  if not options.all and not wanted.state and not containers.RUNS[container.state] and not container.may_run then return false end
  if options.group and not container.group then return false end
  for field, values in pairs(wanted) do
    if not values[tostring(container[field] or false)] then return false end
  end
  return true
end

-- ---- shown ----

local function since(time)
  local seconds = math.max(0, math.floor(S.clock_gettime "realtime" - time))
  if seconds < 120 then return seconds .. "s" end
  if seconds < 7200 then return seconds // 60 .. "m" end
  return seconds < 172800 and seconds // 3600 .. "h" or seconds // 86400 .. "d"
end

local function status(container)
  if containers.RUNS[container.state] then
    local health = container.health and (" (%s)"):format(container.health) or ""
    local again = (container.restarts or 0) > 0 and (", restarted %d×"):format(container.restarts) or ""
    local cut = container.cut and container.cut[1] and (", %s cut"):format(table.concat(container.cut, " ")) or ""
    return ("%s%s%s, for %s%s"):format(container.state, health, cut, since(container.created), again)
  end
  if container.state ~= "ended" then return container.state end
  return ("ended (%d%s) %s ago"):format(container.exit_code or -1,
    container.reason and container.reason ~= "exit" and ", " .. container.reason or "", since(container.ended or 0))
end

local COMMAND_WIDTH = 40

local function command(container)
  local text = cli.printable(table.concat(container.argv, " ")):gsub("[\n\t]", " ")
  if utf8.len(text) and utf8.len(text) > COMMAND_WIDTH then
    text = text:sub(1, utf8.offset(text, COMMAND_WIDTH) - 1) .. "…"
  end
  return text
end

local COLUMNS = {
  { "NAME", function(c) return c.name end, left = true },
  { "PROFILE", function(c) return cli.printable(c.profile or "-") end, left = true },
  { "STATUS", status, left = true },
  { "PID", function(c) return containers.RUNS[c.state] and c.pid or "-" end },
  { "COMMAND", command, left = true },
}

local GROUP = { "GROUP", function(c) return c.group or "-" end, left = true }

local FIELDS = { "name", "profile", "state", "detached", "argv", "created", "pid", "luge", "ended", "exit_code", "signal",
  "reason", "message", "restarts", "health", "group", "cut" }

--- A container as JSON, in the schema of `luge ps --json`.
function M.row(container)
  local row = {}
  for _, field in ipairs(FIELDS) do
    local value = container[field]
    row[field] = value == nil and json.null or value
  end
  row.argv = json.array(container.argv)
  if container.cut then row.cut = json.array(container.cut) end
  -- The numbers of processes that are gone may be others' by now.
  if not containers.RUNS[container.state] then row.pid, row.luge = json.null, json.null end
  return row
end

local function with_group()
  local columns = table.move(COLUMNS, 1, #COLUMNS, 2, { COLUMNS[1] })
  columns[2] = GROUP
  return columns
end

local function show(found, options)
  if options.quiet then
    for _, container in ipairs(found) do io.write(container.name, "\n") end
  elseif options.json then
    local rows = {}
    for i, container in ipairs(found) do rows[i] = M.row(container) end
    io.write(json.encode({ schema = 1, containers = json.array(rows) }, { pretty = true }), "\n")
  else
    io.write(require("sandbox.cli.columns").text(options.group and with_group() or COLUMNS, found))
  end
end

function M.run(options, words)
  if words[1] and not options.group then return cli.complain(words[1] .. ": one word too many", "luge ps --group " .. words[1]) end
  local directory = containers.directory()
  local wanted = directory and filters_of(options)
  if not wanted then return containers.FAILED end
  for _, name in ipairs(words) do
    wanted.group = wanted.group or {}
    wanted.group[name] = true
  end
  local found = {}
  for _, container in ipairs(list.all(directory)) do
    if passes(container, wanted, options) then found[#found + 1] = container end
  end
  show(found, options)
  for _, container in ipairs(found) do
    if container.state == "unknown" then cli.complain(("%s: %s"):format(container.name, container.message)) end
  end
  return 0
end

return M
