-- SPDX-License-Identifier: MIT
-- sandbox.cli.group: a group of containers from the command line: their plans with all faults at once, their names, and
-- `luge run GROUP.lua`.

local cli = require "sandbox.cli"
local must = require "sandbox.must"
local profile = require "sandbox.profile"
local request = require "sandbox.cli.request"

local M = {}

local FAILED = must.FAILED

-- ---- plans ----

-- What only a run by itself can have, or what is missing, as a fault.
local function fault_of(spec)
  if spec.terminal == true then
    return { path = "terminal", message = "a container of a group has no terminal", hint = "run it by itself: FILE.lua:NAME" }
  elseif #request.argv(spec) == 0 then
    return { path = "command", message = "the container has no command", hint = "command = { … }" }
  end
end

--- The plans of all containers of a group, by name; or nil and the exit code after the faults of all were printed.
function M.plans(group, host, options)
  local plans, faults = {}, {}
  rawset(host, "on_terminal", false)
  options.names, options.shares = {}, group.shares
  options.written = {}
  for _, name in ipairs(group.order) do
    options.names[name] = M.name_of(group, name)
    local list = require("sandbox.plan.reach").written_by(group.members[name].spec)
    table.move(list, 1, #list, #options.written + 1, options.written)
  end
  for _, name in ipairs(group.order) do
    local spec = group.members[name].spec
    options.member, options.peers = name, group.members[name].peers
    local fault = fault_of(spec)
    local wrong
    if fault then
      wrong = profile.place(spec, { fault })
      -- What nobody wrote is missing in the container itself.
      local layers = group.members[name].known.layers
      local layer = layers[#layers]
      if not fault.layer then fault.layer, fault.at, fault.raw = layer, {}, { [0] = layer.raw } end
    else
      plans[name], wrong = request.compile(spec, host, options)
    end
    for _, one in ipairs(plans[name] and {} or wrong) do
      one.path = ("%s: %s"):format(name, one.path)
      faults[#faults + 1] = one
    end
  end
  if #faults == 0 then return plans end
  request.show_faults(faults)
  return nil, FAILED
end

-- The options of `run` that a group as a whole has no use for: the exit code after the message, or nil.
local function refuse_options(options)
  for option, hint in pairs { detach = "luge up FILE.lua starts a group in the background", tty = "run it by itself: FILE.lua:NAME",
    rm = "luge down FILE.lua takes away what luge up started" } do
    if options[option] then return cli.complain(("--%s: not for a group"):format(option), hint) end
  end
end

--- What a container of a group is called.
function M.name_of(group, name)
  local own = group.members[name].spec.name
  return own ~= "$name" and own or group.name .. "-" .. name
end

-- Two containers of one name would meet at the lock, one of them started.
local function check_names(group)
  local by_name = {}
  for _, name in ipairs(group.order) do
    local full = M.name_of(group, name)
    if by_name[full] then
      return cli.complain(("%s and %s have both the name '%s'"):format(by_name[full], name, full), "leave name out of them")
    end
    by_name[full] = name
  end
end

--- The name of the group from the command line, or its own; nil and the exit code after the message.
function M.settle_name(group, options, make)
  if options.name then
    local ok, message = require("sandbox.profile.values").name(options.name)
    if not ok then return nil, cli.complain("--name: " .. message) end
    group.name = options.name
  elseif make then
    group.name = require("sandbox.container.state").generate_name(group.name)
  end
  local code = check_names(group)
  if code then return nil, code end
  return group.name
end

-- ---- luge run GROUP.lua ----

local function prepare(group, found, plans, options)
  local run = require "sandbox.cli.run"
  local runs = {}
  for _, name in ipairs(group.order) do
    local spec = group.members[name].spec
    request.settle_stdin(spec, group.source, { detach = name ~= group.main })
    local one, code = run.prepare(spec, plans[name], found.host, options, { name = M.name_of(group, name), status = found.status,
      keep = name == group.main and found.keep or { 0, 1, 2 } })
    if not one then return nil, code end
    if options.report then require("sandbox.container.report").prepare(one, plans[name]) end
    runs[name] = one
  end
  return runs
end

local function failed(target, code)
  if target then require("sandbox.container.report").failed(target, code) end
  return code
end

--- Runs a group in the foreground. found: { group =, host =, keep =, status = } of sandbox.cli.run; target: of its report, or nil.
function M.run(options, found, target)
  local group = found.group
  local wrong = refuse_options(options)
  if wrong then return failed(target, wrong) end
  local name, code = M.settle_name(group, options, true)
  if not name then return failed(target, code) end
  options.group = name
  local plans, runs
  plans, code = M.plans(group, found.host, options)
  if plans then runs, code = prepare(group, found, plans, options) end
  if not runs then return failed(target, code) end
  local ended
  code, ended = require("sandbox.container.terminal").lent(require("sandbox.container.group").run, group, runs,
    require("sandbox.cli.run").perform, target ~= nil)
  if target then
    require("sandbox.container.report").put(target, require("sandbox.container.group").document(ended, code))
  end
  return code
end

return M
