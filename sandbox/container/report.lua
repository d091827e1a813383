-- SPDX-License-Identifier: MIT
-- sandbox.container.report: how a container ended, as one JSON file. Written whole or not at all; into what is no file, a
-- device, a FIFO or luge's own output, it is written as it comes.

local S = require "syscall"
local json = require "luge.json"
local must = require "sandbox.must"
local receipt = require "sandbox.container.receipt"

local M = {}

-- ---- where to ----

-- How long a FIFO's reader may stand still, in milliseconds.
local PATIENCE = 10000

-- Luge's own output where a link leads to it, as /dev/stdout does: a file, but one that others write to as well.
local function own_output(there)
  for number = 1, 2 do
    local st = S.fstat(number)
    if st and st.dev == there.dev and st.ino == there.ino then return S.fcntl(number, "dupfd_cloexec", 3) end
  end
end

--- Where a report goes, opened before the container can put something in its place, which may be bound writable: an existing
-- thing that is no file is never replaced but written into, also where a link leads to it. Nil and the error.
function M.open(path)
  local there, link = S.stat(path), S.lstat(path)
  if there and there.type == "directory" then return nil, "it is a directory" end
  local target, err = { path = path }, nil
  if there and there.type ~= "file" then
    target.opened, err = S.open(path, "path, cloexec")
    return target.opened and target, err
  end
  if there and link and link.type == "symlink" then target.output = own_output(there) end
  local directory = path:match("^(.*/)[^/]*$") or "."
  local ok
  if not target.output then ok, err = S.access(directory, "w, x") end
  if ok then target.directory, err = S.open(directory, "path, directory, cloexec") end
  return (target.output or target.directory) and target, err
end

local function write_into(target, text)
  local to = target.output and require("sandbox.container.output").destination(target.output:getfd())
  if not to then
    local fd, err = S.open("/proc/self/fd/" .. target.opened:getfd(), "wronly, nonblock, noctty, cloexec")
    if not fd then return nil, err.NXIO and "nobody reads it" or err end
    to = { fd = fd }
  end
  local ok, why = require("sandbox.container.tell").to(to):write(text, PATIENCE)
  return ok, why or "its reader does not read"
end

-- ---- what it says ----

--- Arranges that the receipt is read when the container is sealed. target: of M.open, or nil where somebody else writes it.
function M.prepare(run, plan, target)
  run.report_target = target
  run.receipt = json.array {}
  run.sealed = function(process, symbols)
    run.receipt = json.array(receipt.read(run, plan, process, symbols))
    for _, row in ipairs(run.receipt) do
      if not row.ok then
        must.fail("the receipt: " .. row.field, ("asked was %s, the kernel says %s"):format(row.asked, tostring(row.got)))
      end
    end
  end
end

local function or_null(value)
  if value == nil then return json.null end
  return value
end

-- What the cgroups counted; the time of the processes that were waited for where none did.
local function figures(outcome)
  local usage, counted = outcome.rusage or {}, outcome.figures or {}
  return { wall_s = or_null(outcome.wall_s), user_s = or_null(counted.user_s or usage.utime),
    sys_s = or_null(counted.sys_s or usage.stime), memory_peak_bytes = or_null(counted.memory_peak_bytes),
    pids_peak = or_null(counted.pids_peak), processes_peak = json.null,
    io_read_bytes = or_null(counted.io_read_bytes), io_write_bytes = or_null(counted.io_write_bytes),
    nr_throttled = or_null(counted.nr_throttled), throttled_s = or_null(counted.throttled_s),
    pressure = or_null(counted.pressure),
    voluntary_switches = or_null(usage.nvcsw), involuntary_switches = or_null(usage.nivcsw) }
end

--- The report of a container, a table for JSON.
function M.document(run, outcome)
  if run.spec and run.spec.hooks.timeout then require("sandbox.container.hooks").rows(run, run.receipt) end
  return { schema = 1, name = run.name, reason = outcome.reason_name or "setup", exit_code = outcome.exit_code,
    signal = or_null(outcome.signal), figures = figures(outcome), events = json.array(outcome.events or {}), receipt = run.receipt,
    message = outcome.message, restarts = run.restarts }
end

-- ---- writing ----

--- The report of a run that never came as far as a container: the words are on stderr.
function M.failed(target, exit_code)
  M.write({ report_target = target, name = json.null, receipt = json.array {} }, { reason_name = "setup", exit_code = exit_code })
end

function M.write(run, outcome) M.put(run.report_target, M.document(run, outcome)) end

--- Writes a document to where a report goes.
function M.put(target, document)
  local text = json.encode(document, { pretty = true }) .. "\n"
  local ok, err
  if target.directory then
    ok, err = S.replacefile(target.directory, target.path:match("[^/]*$"), text)
  else
    ok, err = write_into(target, text)
  end
  if not ok then
    require("sandbox.cli").complain(("--report %s: %s"):format(target.path, tostring(err)),
      "the container's exit code is passed on all the same")
  end
end

return M
