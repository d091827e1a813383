-- SPDX-License-Identifier: MIT
-- sandbox.container.receipt_inside: the rows of the receipt that are about the container's own view: its user's ids, and the
-- kernel's settings in its namespaces.

local S = require "syscall"
local Steps = require "sandbox.plan.steps"

local M = {}

-- ---- who the command is ----

local function inside(map, id)
  local known = require("sandbox.container.processes").id_inside(map, id)
  return known and ("%d"):format(known) or id .. " of the host"
end

-- The one id that is the real, the effective, the saved and the file system's; nil where they differ.
local function single(status, name)
  local real, effective, saved, fs = status:match("\n" .. name .. ":%s+(%d+)%s+(%d+)%s+(%d+)%s+(%d+)\n")
  return real == effective and real == saved and real == fs and tonumber(real) or nil
end

local function ids_of(pid)
  local status = S.readfile(("/proc/%d/status"):format(pid)) or ""
  local uid_map, gid_map = S.readfile(("/proc/%d/uid_map"):format(pid)), S.readfile(("/proc/%d/gid_map"):format(pid))
  local uid, gid, groups = single(status, "Uid"), single(status, "Gid"), {}
  if not (uid_map and gid_map and uid and gid) then return nil end
  for group in status:match("\nGroups:[ \t]*([^\n]*)"):gmatch "%d+" do groups[#groups + 1] = inside(gid_map, tonumber(group)) end
  return { uid = inside(uid_map, uid), gid = inside(gid_map, gid), groups = groups }
end

local function text_of(ids, with_groups)
  local groups = {}
  for i, group in ipairs(ids.groups or {}) do groups[i] = tostring(group) end
  table.sort(groups)
  return ("%s:%s"):format(ids.uid, ids.gid) .. (with_groups and #groups > 0 and ", groups " .. table.concat(groups, " ") or "")
end

local function sets_groups(plan)
  for _, step in ipairs(plan.steps) do
    if step.where == "seal" and step.op == "setgroups" then return true end
  end
end

-- A name that only the container's files know luge does not look up: the ids are shown, and no root is taken for another.
local function user(row, plan, pid)
  local got, with_groups = ids_of(pid), sets_groups(plan)
  if not plan.user_is_known then
    return row("user", "as the container's own files say", got and text_of(got, with_groups) or "unreadable", got)
  end
  local asked = text_of({ uid = plan.user.uid, gid = plan.user.gid, groups = plan.user.groups }, with_groups)
  local text = got and text_of(got, with_groups)
  -- Whoever may not set groups has those of the caller still.
  local kept = got and not with_groups and #got.groups > 0 and (", and %d of the caller's groups"):format(#got.groups) or ""
  row("user", asked, (text or "unreadable") .. kept, text == asked)
end

-- ---- sysctl ----

-- What the files hold for a process in these namespaces of another; they belong to who reads them. Nil for what cannot be read.
local function read_there(pid, namespaces, paths)
  local reader, writer = S.pipe "cloexec"
  local child = reader and S.fork()
  if child == 0 then
    local pidfd = S.pidfd_open(pid)
    if pidfd and S.setns(pidfd, namespaces) then
      for i, path in ipairs(paths) do
        S.write(writer, ("%d %s\n"):format(i, (S.readfile(path) or ""):gsub("%s+", " ")))
      end
    end
    S.exit(0)
  end
  if not child then return {} end
  writer:close()
  local text, found = S.read_all(reader) or "", {}
  reader:close()
  S.waitid("pid", child, "exited")
  for i, value in text:gmatch "(%d+) ([^\n]*) \n" do found[tonumber(i)] = value end
  return found
end

local KINDS = { { "user", "newuser" }, { "net", "newnet" }, { "ipc", "newipc" }, { "uts", "newuts" } }

local function sysctls(row, plan, symbols, pid)
  local settings, paths, namespaces = {}, {}, {}
  for _, step in ipairs(plan.steps) do
    if step.why:find "^sysctl" and step.op == "writefile" then
      local args = Steps.resolve(step.args, symbols)
      settings[#settings + 1], paths[#paths + 1] = { step = step, value = args[2] }, args[1]
    end
  end
  if #settings == 0 then return end
  for _, kind in ipairs(KINDS) do
    local at = "/proc/%s/ns/" .. kind[1]
    if S.readlink(at:format "self") ~= S.readlink(at:format(pid)) then namespaces[#namespaces + 1] = kind[2] end
  end
  local found = read_there(pid, namespaces, paths)
  for i, setting in ipairs(settings) do
    local optional = setting.step.optional
    row(setting.step.why, setting.value .. (optional and " (by default)" or ""), found[i] or "unreadable",
      found[i] == setting.value:gsub("%s+", " ") or optional)
  end
end

--- Reads them. row(field, asked, got, ok) takes each.
function M.read(row, plan, symbols, pid)
  user(row, plan, pid)
  sysctls(row, plan, symbols, pid)
end

return M
