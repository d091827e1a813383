-- SPDX-License-Identifier: MIT
-- sandbox.container.state: where a running container leaves its name, and names for those without one.

local S = require "syscall"
local must = require "sandbox.must"

local M = {}

-- The names in it decide what luge locks and removes, so that nobody else may have a hand in it: not whoever
-- prepared a predictable path (CVE-2015-1331), not through a symbolic link.
local function private(path, uid, called)
  called = called or "the state directory"
  S.mkdir(path, "0700")
  local st, err = S.lstat(path)
  if not st then return nil, ("%s %s: %s"):format(called, path, tostring(err)) end
  local what
  if st.type ~= "directory" then
    what = "is no directory"
  elseif st.uid ~= uid then
    what = ("belongs to user %d"):format(st.uid)
  elseif st.perm & 18 ~= 0 then
    what = ("can be written by others (mode %04o)"):format(st.perm)
  else
    return path
  end
  return nil, ("%s %s %s"):format(called, path, what)
end

--- The directory `path`, made unless it is there, or nil and words that begin with what it is called.
M.private = private

-- The caller, as a part of a path that everybody on the machine can make: 0 is many in nested user namespaces.
local function caller(facts)
  if facts.initial_userns then return facts.uid end
  for _, e in ipairs(facts.own_ids.uids) do
    if facts.uid >= e.first and facts.uid < e.first + e.count then
      return ("%d.%d"):format(facts.uid, e.above + facts.uid - e.first)
    end
  end
  return facts.uid
end

-- Where nobody chose: a place that does not depend on the environment.
local function fixed(facts)
  if facts.uid == 0 and facts.initial_userns then return private("/run/luge", 0) end
  local user = "/run/user/" .. facts.uid
  local st = S.lstat(user)
  if st and st.uid == facts.uid then return private(user .. "/luge", facts.uid) end
  return private("/tmp/luge-" .. caller(facts), facts.uid)
end

--- The directory of the locks on ranges of ids: one for all of a user's luges, whatever LUGE_STATE each has, or two
-- containers could get the same range.
---@return string|nil path
---@return string|nil why not
M.ranges = fixed

--- The state directory, made unless it is there, and ours alone.
---@return string|nil path
---@return string|nil why not
function M.directory(facts)
  local chosen = facts.env.LUGE_STATE
  if chosen and chosen ~= "" then
    -- A luge in the background leaves the caller's directory.
    return private(chosen:sub(1, 1) == "/" and chosen or facts.cwd .. "/" .. chosen, facts.uid)
  end
  local runtime = facts.env.XDG_RUNTIME_DIR
  local is_machines = facts.uid == 0 and facts.initial_userns
  if not is_machines and runtime and runtime:sub(1, 1) == "/" and S.access(runtime, "w") then
    return private(runtime .. "/luge", facts.uid)
  end
  return fixed(facts)
end

--- A name that nobody has: the profile's and four characters.
function M.generate_name(base) return base .. "-" .. must("a name", S.random_name(4)) end

return M
