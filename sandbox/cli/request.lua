-- SPDX-License-Identifier: MIT
-- sandbox.cli.request: from the words of `run`, `plan` and `check` to a spec and its plan.

local S = require "syscall"
local cli = require "sandbox.cli"
local facts = require "sandbox.plan.facts"
local must = require "sandbox.must"
local profile = require "sandbox.profile"
local search = require "sandbox.profile.search"

local M = {}

local FAILED = must.FAILED

local function add(list, override)
  list[#list + 1] = override
end

-- "SRC[:DST][:rw]"; a colon in a path is written in the profile.
local function parse_bind(text)
  local parts = {}
  for part in (text .. ":"):gmatch("([^:]*):") do parts[#parts + 1] = part end
  local bind = { type = "bind" }
  if #parts > 1 and (parts[#parts] == "rw" or parts[#parts] == "ro") then
    bind.rw = table.remove(parts) == "rw" or nil
  end
  if #parts > 2 or parts[1] == "" then
    return nil, ("--bind %s: SRC[:DST][:rw] expected"):format(text)
  end
  bind.source, bind.target = parts[1], parts[2]
  return bind
end

--- The variable of an `--env`, "NAME=VALUE" or the NAME of one of luge's own: name and value, or nil and the message.
function M.variable(text)
  local name, value = text:match("^([^=]+)=(.*)$")
  if not name then name, value = text, os.getenv(text) end
  if name == "" or name:sub(1, 1) == "=" then return nil, ("--env %s: NAME[=VALUE] expected"):format(text) end
  if value == nil then return nil, ("--env %s: the variable is not set here"):format(text) end
  return name, value
end

-- Each returns nil or a message.
local adders = {}

function adders.env(list, text)
  local name, value = M.variable(text)
  if not name then return value end
  add(list, { field = "env", value = { [name] = value }, origin = "--env " .. name })
end

function adders.bind(list, text)
  local bind, message = parse_bind(text)
  if not bind then return message end
  add(list, { field = "mounts", append = bind, origin = "--bind " .. text })
end

function adders.set(list, text)
  local field, value = text:match("^([^=]+)=(.*)$")
  if not field or ("." .. field .. "."):find("..", 1, true) then return ("--set %s: FIELD=VALUE expected"):format(text) end
  add(list, { field = field, text = value, origin = "--set " .. field })
end

local FIELDS = { name = "name", workdir = "cwd", user = "user", timeout = "limits.wall" }

-- The options as a last layer over the profile.
local function overrides_of(options, words)
  local list = {}
  for option, field in pairs(FIELDS) do
    if options[option] then add(list, { field = field, value = options[option], origin = "--" .. option }) end
  end
  if options.tty then add(list, { field = "terminal", value = true, origin = "--tty" }) end
  for _, name in ipairs { "env", "bind", "set" } do
    for _, text in ipairs(options[name] or {}) do
      local message = adders[name](list, text)
      if message then return nil, message end
    end
  end
  if #words > 0 then add(list, { field = "command", value = words, origin = "command line" }) end
  return list
end

local function params_of(options)
  local params = {}
  for _, text in ipairs(options.param or {}) do
    local name, value = text:match("^([%a_][%w_]*)=(.*)$")
    if not name then return nil, ("-D %s: NAME=VALUE expected"):format(text) end
    params[name] = value
  end
  return params
end

--- Prints faults of a profile or a plan.
function M.show_faults(faults)
  local color = S.isatty(2) == true and not os.getenv("NO_COLOR")
  io.stderr:write(profile.format(faults, { color = color }))
end

--- Why a container cannot have luge's standard streams: from a directory a path leads to all of the host, past every mount.
-- Nil where it can, or the message and a hint.
function M.streams()
  for number, name in pairs { [0] = "standard input", "standard output", "standard error" } do
    local st = S.fstat(number)
    if st and st.type == "directory" then return name .. " is a directory", "bind { … } shows one to a container" end
  end
end

--- What a container may inherit: a detached one has nobody to read from but who attaches to its terminal, nor one whose
-- profile came that way.
function M.settle_stdin(spec, source, options)
  local typed = options.detach and spec.terminal == true
  if (source.stdin or options.detach) and not typed and spec.stdin == "inherit" then spec.stdin = "null" end
end

--- Loads the profile that `word` names, with the options over it. Returns the spec and the facts, or nil and the
-- exit code after the message was printed. whole: of a group what sandbox.profile.group makes of it, with source.
function M.load(word, options, words, exit_code, whole)
  local host = facts.gather()
  local overrides, message = overrides_of(options, words)
  local params
  if overrides then params, message = params_of(options) end
  if message then return nil, cli.complain(message) end
  local source, container = search.parse(word)
  local spec, faults = profile.load { source = source, container = container, params = params,
    overrides = overrides, facts = host, exit_code = exit_code or FAILED, whole = whole }
  if not spec then
    M.show_faults(faults)
    return nil, exit_code or FAILED
  end
  if spec.type == "group" then spec.source = source else M.settle_stdin(spec, source, options) end
  return spec, host
end

--- The plan of a spec, or nil and the faults: what the host cannot give is a fault of the profile's field.
function M.compile(spec, host, options)
  local plan, faults = require("sandbox.plan").compile(spec, host, { report = options.report ~= nil, detach = options.detach,
    group = options.group, names = options.names, member = options.member, peers = options.peers, shares = options.shares,
    written = options.written, trusted = profile.trusted(spec) })
  if plan then return plan end
  return nil, profile.place(spec, faults)
end

--- The same, or nil and the exit code after the faults were printed.
function M.plan(spec, host, options)
  local plan, faults = M.compile(spec, host, options)
  if plan then return plan end
  M.show_faults(faults)
  return nil, FAILED
end

--- Shows what the host cannot give for a field of a finished spec; returns the exit code.
function M.refuse(spec, field, message, hint)
  M.show_faults(profile.place(spec, { { path = field, message = message, hint = hint } }))
  return FAILED
end

--- The command: the entrypoint, then the profile's command or the words that replaced it.
function M.argv(spec)
  local argv = table.move(spec.entrypoint, 1, #spec.entrypoint, 1, {})
  return table.move(spec.command, 1, #spec.command, #argv + 1, argv)
end

return M
