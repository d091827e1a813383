-- SPDX-License-Identifier: MIT
-- sandbox.must: kernel calls after whose failure luge can only give up, and say what failed.
--
--   local reader, writer = must("a pipe", S.pipe())
--
-- The failure is raised, an object with words. Whoever made something takes it back on the way
-- (sandbox.container.launch); the cli says the words as it says any failure. Where a caller could do something about
-- it, nil and the error are returned as everywhere.

local S = require "syscall"

local M = {}

--- The exit code where it was luge that failed, and not the command.
M.FAILED = 125

local Failure = { __name = "failure", __tostring = function(self) return self.words end }

--- The words of what must() raised; nil for anything else.
---@return string|nil
function M.words(raised) return getmetatable(raised) == Failure and raised.words or nil end

--- Raises the failure of `what`.
function M.fail(what, err)
  local way_out = err.MFILE and "; luge may open too few: raise ulimit -n" or ""
  error(setmetatable({ words = ("%s: %s%s"):format(what, tostring(err), way_out) }, Failure), 0)
end

local function must(_, what, value, err, ...)
  if value == nil then M.fail(what, err) end
  return value, err, ...
end

-- What a path may not be there for; anything else does not tell whether it is.
local function is_absence(err) return err.NOENT or err.NOTDIR or err.ACCES or err.LOOP or err.NAMETOOLONG end

--- What a look at the host found, or nil where there is nothing that the caller can see; raises when the kernel did not
-- answer, since nothing may be left out of a plan for that. `S.stat(path)` and its like, with what is looked at first.
function M.look(what, value, err, ...)
  if value == nil and not is_absence(err) then M.fail(what, err) end
  return value, err, ...
end

--- The text of a file of the host, or nil where there is none; see M.look.
function M.text(path) return (M.look(path, S.readfile(path))) end

return setmetatable(M, { __call = must })
