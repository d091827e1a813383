-- SPDX-License-Identifier: MIT
-- sandbox.container.report: how a container ended, as one JSON file. Written whole or not at all.

local S = require "syscall"
local json = require "luge.json"
local must = require "sandbox.must"
local receipt = require "sandbox.container.receipt"

local M = {}

local function directory_of(path)
  return S.open(path:match("^(.*/)[^/]*$") or ".", "path, directory, cloexec")
end

--- Arranges that the receipt is read when the container is sealed. path: of the report's file, or nil where somebody else
-- writes it.
function M.prepare(run, plan, path)
  run.report_path = path
  -- Opened before the container can put a link in its place: it may be bound writable.
  run.report_directory = path and directory_of(path)
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

--- The directory of a report's file, opened.
M.directory_of = directory_of

--- The report of a run that never came as far as a container: the words are on stderr.
function M.failed(path, exit_code)
  M.write({ report_path = path, name = json.null, receipt = json.array {} }, { reason_name = "setup", exit_code = exit_code })
end

--- Writes the report, whole or not at all.
function M.write(run, outcome)
  M.put(run.report_path, run.report_directory, M.document(run, outcome))
end

--- Writes a document to a report's file; directory: opened before, or nil.
function M.put(path, directory, document)
  local ok, err = directory, nil
  if not ok then ok, err = directory_of(path) end
  if ok then
    ok, err = S.replacefile(ok, path:match("[^/]*$"), json.encode(document, { pretty = true }) .. "\n")
  end
  if not ok then
    require("sandbox.cli").complain(("--report %s: %s"):format(path, tostring(err)),
      "the container's exit code is passed on all the same")
  end
end

return M
