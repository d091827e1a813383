-- SPDX-License-Identifier: MIT
-- sandbox.container.report: how a container ended, as one JSON file. Written whole or not at all.

local S = require "syscall"
local json = require "luge.json"
local receipt = require "sandbox.container.receipt"

local M = {}

local function directory_of(path)
  return S.open(path:match("^(.*/)[^/]*$") or ".", "path, directory, cloexec")
end

--- Arranges that the receipt is read when the container is sealed.
function M.prepare(run, plan, path)
  run.report_path = path
  -- Opened before the container can put a link in its place: it may be bound writable.
  run.report_directory = directory_of(path)
  run.receipt = json.array {}
  run.sealed = function(process, symbols)
    run.receipt = json.array(receipt.read(run, plan, process, symbols))
  end
end

local function or_null(value)
  if value == nil then return json.null end
  return value
end

local function figures(outcome)
  local usage = outcome.rusage or {}
  return { wall_s = or_null(outcome.wall_s), user_s = or_null(usage.utime), sys_s = or_null(usage.stime),
    memory_peak_bytes = json.null, pids_peak = json.null, processes_peak = json.null,
    io_read_bytes = json.null, io_write_bytes = json.null }
end

local function document(run, outcome)
  return { schema = 1, name = run.name, reason = outcome.reason_name or "setup", exit_code = outcome.exit_code,
    signal = or_null(outcome.signal), figures = figures(outcome), events = json.array {}, receipt = run.receipt,
    message = outcome.message }
end

--- The report of a run that never came as far as a container: the words are on stderr.
function M.failed(path, exit_code)
  M.write({ report_path = path, name = json.null, receipt = json.array {} }, { reason_name = "setup", exit_code = exit_code })
end

-- Beside its final name, then renamed there.
local function put(directory, path, text)
  local name = path:match("[^/]*$")
  local temporary = ("%s.%d.new"):format(name, S.getpid())
  local fd, err = S.openat(directory, temporary, "creat, excl, wronly, nofollow, cloexec", "0644")
  if not fd then return nil, err end
  local ok
  ok, err = S.write(fd, text)
  fd:close()
  if ok then ok, err = S.renameat2(directory, temporary, directory, name) end
  if not ok then S.unlinkat(directory, temporary) end
  return ok, err
end

--- Writes the report, whole or not at all.
function M.write(run, outcome)
  local path = run.report_path
  local ok, err = run.report_directory, nil
  if not ok then ok, err = directory_of(path) end
  if ok then ok, err = put(ok, path, json.encode(document(run, outcome), { pretty = true }) .. "\n") end
  if not ok then
    require("sandbox.cli").complain(("--report %s: %s"):format(path, tostring(err)),
      "the container's exit code is passed on all the same")
  end
end

return M
