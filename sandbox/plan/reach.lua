-- SPDX-License-Identifier: MIT
-- sandbox.plan.reach: host paths through what a container can write.
--
-- A container with a writable bind of /project can put a link in the place of /project/cache; where that is a source too, the
-- next start, a restart included, would show it what the link leads to, with luge's rights. So from the directory on that a
-- container of the profile writes, a path is taken without links.

local S = require "syscall"
local text = require("sandbox.plan.steps").text

local M = {}

local function identity(st) return st and st.type == "directory" and st.dev .. ":" .. st.ino or nil end

--- The paths of the host that a container writes below: of its writable binds and root, and of overlays that are kept.
function M.written_by(spec)
  local list = {}
  local function look(mount, source)
    list[#list + 1] = mount.rw and not mount.overlay and source or nil
    for _, kept in ipairs { mount.overlay or mount.upper or nil } do
      if kept ~= "discard" then list[#list + 1] = kept end
    end
  end
  look(spec.root, spec.root.path)
  for _, mount in ipairs(spec.mounts) do look(mount, mount.source) end
  return list
end

-- The directories that the container writes, or another one of its group: a set, false where there is none.
local function written(c)
  if c.written_directories ~= nil then return c.written_directories end
  local set = {}
  for _, path in ipairs(c.options.written or M.written_by(c.spec)) do
    local id = identity(c.facts:stat(path))
    if id then set[id] = true end
  end
  c.written_directories = next(set) ~= nil and set
  return c.written_directories
end

--- Where a host path enters what a container writes: the directory, and the rest of the path. Nil where it does not.
function M.crossing(c, path)
  local set = written(c)
  if not set then return nil end
  for slash in path:gmatch "()/" do
    local above, rest = path:sub(1, slash - 1), path:sub(slash):match "^/+(.+)$"
    -- Who writes the host's "/" has no use for links.
    local id = slash > 1 and rest and identity(c.facts:stat(above))
    if id and set[id] then return above, rest end
  end
end

--- Of the paths of some files, those that a container of this spec can write, or put another file in the place of.
function M.rewritable(spec, paths)
  local set, found = {}, {}
  local function key(path)
    local st = S.stat(path)
    return st and st.dev .. ":" .. st.ino or ""
  end
  for _, path in ipairs(M.written_by(spec)) do set[key(path)] = true end
  for _, path in ipairs(paths) do
    local fd = S.open(path, "path, cloexec")
    local real = fd and S.readlink("/proc/self/fd/" .. fd:getfd())
    while real and real ~= "" and not set[key(real)] do real = real:match "^(.*)/" end
    if real and real ~= "" then found[#found + 1] = path end
  end
  return found
end

--- The path as an argument of steps in `place`, with the steps before them that it takes.
function M.path(c, place, why, path)
  local above, rest = M.crossing(c, path)
  if not above then return text(path) end
  local dir = c.steps:open(place, why, "above", "open", { text(above), "path, directory, cloexec" })
  local fd = c.steps:open(place, why, "below", "openat2",
    { dir, text(rest), { flags = "path, cloexec", resolve = "beneath, no_symlinks" } })
  return "/proc/self/fd/${" .. fd:sub(2) .. "}"
end

return M
