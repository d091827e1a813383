-- SPDX-License-Identifier: MIT
-- luge lua tests/lua/evaluate.lua FILE [CODE]: evaluates one profile as luge would; the faults go to stderr.
-- Ends with 0 and "good", or with 1; with CODE when the cage ended the process. Nothing here has a time limit.

local load = require "sandbox.profile.load"
local S = require "syscall"

local path, code = ...
local directory, name = path:match "^(.*)/([^/]*)$"
S.chdir(directory)
local raw, faults = load.evaluate {
  source = { path = name },
  constructors = { "container", "group", "bind", "tmpfs" },
  facts = { cwd = S.getcwd(), uid = S.geteuid(), home = "/root", env = { HOME = "/root" } },
  exit_code = tonumber(code or 125),
}
if raw then
  print "good"
  return
end
for _, fault in ipairs(faults) do
  io.stderr:write(fault.file and fault.file .. ":" or "", fault.line and fault.line .. ": " or " ", fault.message, "\n")
end
os.exit(1)
