-- SPDX-License-Identifier: MIT
-- sandbox.container.hook_output: what the scripts of a detached container's hooks print: into its log, as a stream of its own.
--
-- In the foreground they have luge's stderr. A detached container's luge has none that lasts; a pipe that it reads in every
-- loop stands for it. Of a start that fails no log stays: the last of what was printed is then said to the caller.

local S = require "syscall"

local M = {}

M.STREAM = "h" -- of the log

local CHUNK, TAIL = 32768, 65536

local Output = {}
Output.__index = Output

-- The log may not be open yet: its name is taken by the host's steps, of which the scripts are the last.
local function log_of(run)
  if run.log and not run.log.writer then require("sandbox.container.launch").open_log(run) end
  return run.log and run.log.writer
end

--- Takes what is there.
function Output:read()
  while true do
    local data = S.read(self.reader, CHUNK)
    if not data or data == "" then return end
    local log = log_of(self.run)
    if log then log:append(M.STREAM, data) end
    if self.run.detached.stderr then self.said = (self.said .. data):sub(-TAIL) end
  end
end

--- Reads in the loop of `watch`.
function Output:listen(watch) watch:listen(self.reader, function() self:read() end) end

--- What the caller is to hear of a start that failed.
function Output:tail()
  local said = self.said
  self.said = ""
  return said
end

--- Makes the pipe, once for all runs of a container; `writer` is the scripts'.
function M.open(run)
  local reader, writer = S.pipe()
  if not reader then return nil, writer end
  S.fcntl(reader, "setfl", "nonblock")
  return setmetatable({ run = run, reader = reader, writer = writer, said = "" }, Output)
end

return M
