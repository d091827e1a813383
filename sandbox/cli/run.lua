-- SPDX-License-Identifier: MIT
-- sandbox.cli.run: `luge run`: a container in the foreground.

local S = require "syscall"
local cli = require "sandbox.cli"
local launch = require "sandbox.container.launch"
local request = require "sandbox.cli.request"
local collect = require "sandbox.container.collect"
local state = require "sandbox.container.state"
require "netns"

local M = {}

local function descriptor(text, option)
  local number = math.tointeger(tonumber(text))
  local wrong
  if not number or number < 0 then
    wrong = "the number of a descriptor expected"
  elseif not S.fcntl(number, "getfd") then
    wrong = "that descriptor is not open"
  end
  if wrong then return nil, ("--%s %s: %s"):format(option, text, wrong) end
  return number
end

local function descriptors(options)
  if not options.detach then
    local message, hint = request.streams()
    if message then return nil, message, hint end
  end
  local keep = { 0, 1, 2 }
  for _, text in ipairs(options["pass-fd"] or {}) do
    local number, message = descriptor(text, "pass-fd")
    if not number then return nil, message end
    keep[#keep + 1] = number
  end
  local status
  if options["status-fd"] then
    local number, message = descriptor(options["status-fd"], "status-fd")
    if not number then return nil, message end
    status = number
  end
  return keep, status
end

-- A name is never looked up in the current directory, which may be what was meant.
local function no_command(word, host)
  local beside = not word:find "[/:]" and word .. ".lua"
  return cli.complain("the profile has no command, and no words were given",
    beside and S.stat(host.cwd .. "/" .. beside) and ("for the file here write ./%s"):format(beside)
      or "luge run PROFILE -- COMMAND, or command = { … } in the profile")
end

-- On a terminal of its own a program finds the terminal's name, also where luge has none to pass on.
local function term(host, spec, plan)
  if spec.env.TERM ~= nil then return nil end
  return (plan.terminal or host.stdin_is_terminal) and host.env.TERM or plan.terminal and "xterm" or nil
end

-- The state directory, and that of the ranges, of ids and of addresses, where the plan takes one.
local function state_directories(host, plan)
  local directory, message = state.directory(host)
  if not directory then return nil, message, "set LUGE_STATE to a directory of yours" end
  collect.some(directory, 32)
  if not plan.takes_ranges then return directory end
  local ranges
  ranges, message = state.ranges(host)
  if not ranges then return nil, message, "one place has the locks on ids and addresses: make the directory above it" end
  if ranges ~= directory then collect.some(ranges, 32) end
  return directory, ranges
end

-- Where the output of a detached container goes, for launch; false for nowhere; nil and the exit code after the message.
local function log_of(spec, host, name, directory)
  if spec.log == "journald" then return { name = name } end
  if not spec.log then return false end
  local place, message, hint = require("sandbox.container.log_place").directory(host)
  if not place then return nil, request.refuse(spec, "log", message, hint) end
  return { place = place, name = name, state = directory, size = spec.log.size, files = spec.log.files }
end

--- A container that is to be launched, by its spec and plan. how: name, or the spec says or gets one; keep and status,
-- descriptors. Nil and the exit code after the message was printed.
function M.prepare(spec, plan, host, options, how)
  local ready = spec.health and spec.health.fd
  for _, number in ipairs(how.keep) do
    if number == ready then
      return nil, request.refuse(spec, "health.fd",
        ("--pass-fd %d: the container has that descriptor for its health"):format(number), "choose another number in one of them")
    end
  end
  local directory, ranges, way_out = state_directories(host, plan)
  if not directory then return nil, cli.complain(ranges, way_out) end
  local name = how.name or spec.name
  local is_own = name ~= "$name"
  if not is_own then name = state.generate_name(spec.profile_name or "luge") end
  -- Whoever takes its lock forgets what is noted in it.
  local free, why = nil, nil
  if is_own then free, why = collect.name(directory, name, true) end
  if free == false then
    return nil, cli.complain(("what a killed luge left under the name '%s' is still there: %s"):format(name, why),
      "luge gc, or another --name")
  end
  if options.replace then
    local ok, message, hint = require("sandbox.container.life").replace(directory, name)
    if not ok then return nil, cli.complain(message, hint) end
  end
  local log, code
  if options.detach then
    log, code = log_of(spec, host, name, directory)
    if log == nil then return nil, code end
  end
  return { spec = spec, steps = plan.steps, constants = plan.constants, cgroup = plan.cgroup, network = plan.network,
    firewall = plan.firewall, own_firewall = plan.own_firewall, keep_crossing = plan.keep_crossing,
    name = name, user = plan.user, user_is_known = plan.user_is_known, state = directory, ranges = ranges,
    argv = request.argv(spec), keep = how.keep, term = term(host, spec, plan), home = plan.home, terminal = plan.terminal,
    report = options.report ~= nil, log = log or nil, replaces = options.replace,
    events = how.status and require("sandbox.container.tell").events(how.status, name) or function() end, status = how.status }
end

-- The container of a command line, ready to be launched, and its plan; nil, nil and the group where it is one; or nil and the
-- exit code after the message was printed.
local function from_words(options, words, keep, status, hint)
  local word = table.remove(words, 1)
  if not word then return nil, cli.complain("which profile?", "luge run default -- COMMAND") end
  if not keep then return nil, cli.complain(status, hint) end
  local spec, host = request.load(word, options, words, nil, true)
  if not spec then return nil, host end
  if spec.type == "group" then return nil, nil, { group = spec, host = host, keep = keep, status = status } end
  if #request.argv(spec) == 0 then return nil, no_command(word, host) end
  local plan, code = request.plan(spec, host, options)
  if not plan then return nil, code end
  local run
  run, code = M.prepare(spec, plan, host, options, { keep = keep, status = status })
  return run, run and plan or code
end

--- From the first step to the last word; before_words is called before there is anything to say. Returns the exit code.
function M.perform(run, before_words)
  local outcome = launch.run(run)
  local tell = package.loaded["sandbox.container.tell"]
  if tell then tell.finish() end
  if before_words then before_words() end
  run.events { event = "ended", reason = outcome.reason_name or "setup", exit_code = outcome.exit_code,
    signal = outcome.signal }
  if outcome.failed or outcome.reason_name ~= "exit" then
    require("sandbox.container.explain").show(run, outcome)
  end
  if run.egress then
    for _, line in ipairs(run.egress.held) do io.stderr:write(line, "\n") end
  end
  for _, text in ipairs(run.output and run.output.errors or {}) do cli.complain(text) end
  for _, text in ipairs(outcome.kept and outcome.kept.failed or {}) do
    cli.complain("keep: " .. text:gsub("[\n\t]", "?")) -- a name may hold anything, and is no line of its own
  end
  for _, text in ipairs(outcome.left) do cli.complain("not taken away: " .. text, "luge gc takes it away") end
  for _, text in ipairs(outcome.hooks or {}) do cli.complain("hooks.stopped: " .. text) end
  if run.report_target then require("sandbox.container.report").write(run, outcome) end
  if run.finished then run.finished(outcome) end
  return outcome.exit_code
end

function M.run(options, words)
  local report = options.report and require "sandbox.container.report"
  local inherited = options.detach and require("sandbox.container.detach").inherited()
  local keep, status, hint = descriptors(options) -- asked for before luge opens its own
  local target, message
  if report then
    -- A report that cannot be written is better known before the work than after it.
    target, message = report.open(options.report)
    if not target then
      return cli.complain(("--report %s: %s"):format(options.report, tostring(message)),
        "name a file in a directory that can be written")
    end
  end
  local run, plan, group = from_words(options, words, keep, status, hint)
  if group then return require("sandbox.cli.group").run(options, group, target) end
  if not run then
    if report then report.failed(target, plan) end
    return plan
  end
  if report then report.prepare(run, plan, target) end
  run.inherited = inherited
  if options.detach then return require("sandbox.container.detach").run_alone(run, M.perform, options) end
  if run.terminal or not (S.isatty(0) or S.isatty(1) or S.isatty(2)) then return M.perform(run) end
  return require("sandbox.container.terminal").lent(M.perform, run)
end

return M
