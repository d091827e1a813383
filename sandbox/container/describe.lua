-- SPDX-License-Identifier: MIT
-- sandbox.container.describe: what a running container is, for other luges: `exec` takes its protection from here.
--
-- The facts can be large (an environment, two filters), so they go as a file in memory beside the reply; what is
-- binary in them is { bytes = { "hexadecimal" } }. The descriptors that go with it are the pidfd of PID 1 and the
-- cgroups' directories.

local S = require "syscall"
local Steps = require "sandbox.plan.steps"
local json = require "luge.json"

local M = {}

-- The filters are thousands of bytes, and the monitor's time is the container's: a block at once.
local BLOCK = 128

local function to_hex(text)
  local parts = {}
  for i = 1, #text, BLOCK do
    local last = math.min(i + BLOCK - 1, #text)
    parts[#parts + 1] = ("%02x"):rep(last - i + 1):format(text:byte(i, last))
  end
  return table.concat(parts)
end

local byte_of = setmetatable({}, { __index = function(known, pair)
  local byte = string.char(tonumber(pair, 16))
  known[pair] = byte
  return byte
end })

-- Data of luge's as data of JSON's: functions and descriptors have no meaning elsewhere.
local function plain(value, depth)
  local kind = type(value)
  if kind == "string" then
    if utf8.len(value) and not value:find("[%z\1-\8\14-\31]") then return value end
    return { bytes = { to_hex(value) } }
  elseif kind == "number" then
    return (value ~= value or value == math.huge or value == -math.huge) and tostring(value) or value
  elseif kind == "boolean" then
    return value
  elseif kind ~= "table" or depth > 40 then
    return nil
  end
  local copy, is_list = {}, true
  for key in pairs(value) do is_list = is_list and math.type(key) == "integer" end
  for key, item in pairs(value) do copy[is_list and key or tostring(key)] = plain(item, depth + 1) end
  return is_list and #copy > 0 and json.array(copy) or copy
end

--- Data of luge's as its reply has them.
function M.plain(value) return plain(value, 0) end

--- The other way: strings again where there were strings.
function M.restore(value)
  if type(value) ~= "table" then return value end
  local hex = type(value.bytes) == "table" and value.bytes[1]
  if type(hex) == "string" and next(value, next(value)) == nil then
    return (hex:gsub("%x%x", byte_of))
  end
  for key, item in pairs(value) do value[key] = M.restore(item) end
  return value
end

local function state_of(watch)
  if watch.gone then return "ended" end
  if watch.stopping then return "stopping" end
  return watch.paused and "paused" or watch.started and "running" or "starting"
end

-- Each directory once: { path =, version =, controllers = {}, ino = }, in an order that is always the same.
local function cgroups_of(run)
  local by_path, list = {}, {}
  for controller, dir in pairs(require("sandbox.container.cgroup").of(run, run.symbols).dirs) do
    local known = by_path[dir.path]
    if not known then
      known = { path = dir.path, version = dir.version, controllers = {} }
      by_path[dir.path], list[#list + 1] = known, known
    end
    table.insert(known.controllers, controller)
  end
  table.sort(list, function(a, b) return a.path < b.path end)
  for _, entry in ipairs(list) do table.sort(entry.controllers) end
  return list
end

local function sealing(run)
  local guest = require "sandbox.container.guest"
  local known, user = guest.expected(run, run.symbols)
  return guest.sealing(run, known), user, known.environment
end

-- What luge does to the child from outside for its limits, but for the cgroups; "${child}" is left for whoever joins.
local TO_CHILD = { setpriority = true, sched_setscheduler = true, prlimit = true, writefile = true }

local function attaching(run)
  local symbols = setmetatable({ child = "${child}" }, { __index = run.symbols })
  local list = {}
  for _, step in ipairs(run.steps) do
    if step.where == "attach" and step.why:find("^limits%.") and TO_CHILD[step.op]
      and not tostring(step.args[1]):find("/cgroup.procs", 1, true) then
      list[#list + 1] = { op = step.op, args = Steps.resolve(step.args, symbols), optional = step.optional, why = step.why }
    end
  end
  return list
end

-- What its firewall lets in, and what it has stopped so far; `luge network reload` puts the rest back.
local function firewall_of(run)
  if not run.firewall then return nil end
  local known = Steps.resolve(run.firewall, run.symbols)
  local result = require("sandbox.container.egress").counters(run)
  result.table, result.published = known.table, {}
  for i, entry in ipairs(known.publish) do
    result.published[i] = { proto = entry.proto, host = entry.address, port = entry.port, guest = entry.to,
      guest_port = entry.to_port }
  end
  return result
end

-- Whether it was born in a user namespace that others are in as well.
local function is_shared(run)
  for _, step in ipairs(run.steps) do
    if step.op == "clone_within" then return true end
  end
  return false
end

--- What `inspect` shows and `exec` needs.
function M.container(watch)
  local run = watch.run
  run.found_user = watch.process.found_user
  local steps, user, environment = sealing(run)
  return { schema = 1, name = run.name, profile = run.spec.profile_name, argv = run.argv, state = state_of(watch),
    detached = run.detached ~= nil, pid = watch.process.pid, luge = watch.luge, started = watch.started,
    log = run.log and { path = run.log.writer.path, written_bytes = run.log.writer.written, lost_bytes = run.log.writer.lost },
    restarts = run.restarts, health = watch.health and watch.health:facts(), group = run.group,
    network = require("sandbox.container.network").describe(run), firewall = firewall_of(run),
    hostname = run.symbols.hostname, user = user, environment = environment, cgroups = cgroups_of(run), spec = run.spec,
    shared = is_shared(run),
    seal = steps, attach = attaching(run) }
end

local function write_facts(file, watch)
  local text = json.encode(plain(M.container(watch), 0))
  return S.write(file, text) == #text
end

-- The facts as a file that nobody can write again. A child writes them: of the megabytes that this takes for a moment
-- the monitor's own heap would never be rid.
local function facts_file(watch)
  local file, err = S.memfd_create("luge-facts", "allow_sealing")
  if not file then return nil, err end
  local pid
  pid, err = S.fork()
  if not pid then return nil, err end
  if pid == 0 then
    local ok, written = pcall(write_facts, file, watch)
    S.exit(ok and written and 0 or 1)
  end
  local status
  status, err = S.waitid("pid", pid, "exited")
  if not status then return nil, err end
  if status.status ~= 0 then return nil, "its luge could not write down what it is" end
  local ok
  ok, err = S.fcntl(file, "add_seals", "seal, shrink, grow, write")
  return ok and file, err
end

-- What an `exec` asks for stays as it is while the container runs, and is written down once. Opened anew, as each reader
-- reads from where it has come to.
local function lasting_file(watch)
  local err
  if not watch.lasting then
    watch.lasting, err = facts_file(watch)
    if not watch.lasting then return nil, err end
  end
  return S.open("/proc/self/fd/" .. watch.lasting:getfd(), "rdonly, cloexec")
end

--- The reply to "describe" and its descriptors: the facts, the pidfd, a directory for each of facts.cgroups. lasting: the
-- facts may be of another moment, but for the state, which the reply has too.
---@return table|nil reply
---@return table fds or the error
function M.facts(watch, lasting)
  local write = lasting and watch.started and lasting_file or facts_file
  local file, err = write(watch)
  if not file then return nil, err end
  local fds = { file, watch.process.pidfd }
  for _, entry in ipairs(cgroups_of(watch.run)) do
    local fd
    fd, err = S.open(entry.path, "path, directory, cloexec")
    if not fd then return nil, err.NOENT and "it has ended meanwhile" or err end
    fds[#fds + 1] = fd
  end
  return { ok = true, state = state_of(watch) }, fds
end

--- The same as JSON has them, binary words encoded.
function M.read_raw(fds)
  S.lseek(fds[1], 0, "set")
  local text, err = S.read_all(fds[1])
  if not text then return nil, tostring(err) end
  return json.decode(text)
end

--- The facts that came with a reply to "describe": { name =, profile =, argv =, state = "starting", "running", "paused",
-- "stopping" or "ended", pid = PID 1 as the host counts, luge = its luge's pid, started = seconds of the epoch,
-- user = { uid =, gid =, groups =, name =, home = }, environment = {}, cgroups = { { path =, version =, controllers = } … },
-- spec =, seal = the sealing steps, { op =, args =, optional =, why = } each, attach = those of limits that luge takes
-- from outside }. fds: facts, pidfd, cgroups' directories.
function M.read(fds)
  local facts, message = M.read_raw(fds)
  return facts and M.restore(facts), message
end

return M
