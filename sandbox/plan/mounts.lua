-- SPDX-License-Identifier: MIT
-- sandbox.plan.mounts: the decided file tree as steps.
--
-- The child attaches everything with the old root still in place (a new proc or sysfs needs one that it can
-- see), then pivots. In a root that luge made itself names are relative to it; in a root that came from
-- somebody else each target is resolved by openat2 inside it and mounted on by descriptor.

local overlay = require "sandbox.plan.overlay"
local reach = require "sandbox.plan.reach"
local source = require "sandbox.plan.source"
local special = require "sandbox.plan.special"
local text = require("sandbox.plan.steps").text

local M = {}

local TRUSTED = { tmpfs = true, dev = true }

local function is_ours(c, mount)
  local cover = mount.cover
  if cover.type == "root" then return cover.kind == "system" or cover.kind == "empty" end
  return TRUSTED[cover.type] and is_ours(c, cover)
end

-- Makes the directories above `path`, each once.
local function make_parents(c, why, path)
  local made = ""
  for name in path:gmatch("/([^/]+)") do
    made = made .. "/" .. name
    if made == path then return end
    if not c.made[made] then
      c.made[made] = true
      c.steps:add("guest", why, "mkdirat", { c.root, text(made:sub(2)), "0755" })
    end
  end
end

-- Where a mount goes, made when missing: { dirfd, name } for move_mount, and a path for mount(2).
local function place(c, mount, kind)
  local target, why = mount.target, mount.why
  if is_ours(c, mount) then
    if not c.made[target] then
      make_parents(c, why, target)
      c.made[target] = true
      if kind == "file" then
        c.steps:add("guest", why, "mknodat", { c.root, text(target:sub(2)), "0644", "file" })
      else
        c.steps:add("guest", why, "mkdirat", { c.root, text(target:sub(2)), "0755" })
      end
    end
    return { fd = c.root, name = text(target:sub(2)), path = text(target:sub(2)), flags = "f_empty_path" }
  end
  local fd = c.steps:open("guest", why, "target", "open_in_root", { c.root, text(target), { create = kind } })
  return { fd = fd, name = "", path = overlay.fd_path(fd), flags = "f_empty_path, t_empty_path" }
end

local function attach(c, mount, fd, kind)
  local at = place(c, mount, kind or "directory")
  c.steps:add("guest", mount.why, "move_mount", { fd, "", at.fd, at.name, at.flags })
end
M.attach = attach

local function mode_text(mode)
  return ("%04o"):format(mode)
end

local emit = {}

function emit.bind(c, mount)
  local st = c.facts:stat(mount.source)
  if mount.overlay and st and st.type ~= "directory" then
    return c:fault(mount.why, ("overlay needs a directory, %s is none"):format(mount.source), "bind it read-only, or with rw")
  end
  if mount.create and not st then
    c.steps:add("host", mount.why, "ensure_directory", { text(mount.source) })
  end
  attach(c, mount, source.open(c, mount), st and st.type ~= "directory" and "file" or "directory")
end

function emit.layers(c, mount)
  for _, dir in ipairs(mount.lower) do
    if c.facts:stat(dir).type ~= "directory" then
      return c:fault(mount.why, dir .. " is no directory", "an overlay is made of directories")
    end
  end
  attach(c, mount, source.open(c, mount))
end

-- What the profile puts into one that is read-only comes first, so it is sealed at the end, as the root is.
local function read_only_tmpfs(c, mount, options)
  local fd = c.steps:open("guest", mount.why, "tmpfs", "new_mount",
    { { type = "tmpfs", options = options, attrs = (mount.flags:gsub("^ro,?", "")) } })
  attach(c, mount, fd)
  c.seal_readonly[#c.seal_readonly + 1] = { fd, mount.why }
end

function emit.tmpfs(c, mount)
  local mode, owned = mode_text(mount.mode), mount.owner and c.ids.userns and c.user.uid ~= 0
  if c.spec.limits.disk then
    local fd = require("sandbox.plan.disk").tmpfs(c, mount, { mode = mode, flags = mount.flags or "nosuid, nodev",
      uid = owned and c.user.uid, gid = owned and c.user.gid })
    if fd then return attach(c, mount, fd) end
  end
  local options, data = { { "mode", mode } }, {}
  if mount.size then options[#options + 1] = { "size", mount.size } end
  if mount.inodes then options[#options + 1] = { "nr_inodes", mount.inodes } end
  if owned then table.move({ { "uid", c.user.uid }, { "gid", c.user.gid } }, 1, 2, #options + 1, options) end
  if mount.flags and mount.flags:find "^ro%f[%W]" then return read_only_tmpfs(c, mount, options) end
  local at = place(c, mount, "directory")
  for i, option in ipairs(options) do data[i] = ("%s=%s"):format(option[1], option[2]) end
  c.steps:add("guest", mount.why, "mount", { { source = "tmpfs", target = at.path, type = "tmpfs",
    flags = mount.flags or "nosuid, nodev", data = table.concat(data, ",") } })
end

function emit.devpts(c, mount)
  local at = place(c, mount, "directory")
  c.steps:add("guest", mount.why, "mount", { { source = "devpts", target = at.path, type = "devpts",
    flags = "nosuid, noexec", data = special.devpts_options(c) } })
end

function emit.mqueue(c, mount)
  local at = place(c, mount, "directory")
  c.steps:add("guest", mount.why, "mount", { { source = "mqueue", target = at.path, type = "mqueue",
    flags = "nosuid, nodev, noexec" } })
end

function emit.cgroup(c, mount)
  local at = place(c, mount, "directory")
  c.steps:add("guest", mount.why, "mount", { { source = "cgroup2", target = at.path, type = "cgroup2",
    flags = "nosuid, nodev, noexec, rdonly" } })
end

function emit.proc(c, mount) special.proc(c, mount, attach) end

function emit.sysfs(c, mount) special.sysfs(c, mount, attach) end

function emit.dev(c, mount) special.dev(c, mount, attach) end

function emit.dir(c, mount)
  local at = place(c, mount, "directory")
  if mount.mode and not mount.found then c.steps:add("guest", mount.why, "chmod", { at.path, mode_text(mount.mode) }) end
end

-- A file is written in place where the tree below is thrown away with the container.
local function put(c, mount, content, mode, owner)
  local chowns = owner and c.user.uid ~= 0 and c.ids:host_uid(0)
  if mount.cover.rw then
    local fd = c.spec.limits.disk
      and require("sandbox.plan.disk").directory(c, mount.why, { mode = "0755", flags = "nosuid, nodev" })
      or c.steps:open("guest", mount.why, "file", "new_mount",
        { { type = "tmpfs", options = { { "mode", "0755" } }, attrs = "nosuid, nodev" } })
    c.steps:add("guest", mount.why, "put_file", { fd, "/file", content, { mode = mode } })
    if chowns then c.steps:add("guest", mount.why, "chown_in_root", { fd, "/file", c.user.uid, c.user.gid }) end
    overlay.hang(c, fd, mount.why)
    local copy = c.steps:open("guest", mount.why, "file", "open_tree", { fd, "file", "clone, cloexec" })
    return attach(c, mount, copy, "file")
  end
  c.steps:add("guest", mount.why, "put_file",
    { c.root, text(mount.target), content, { mode = mode, replace = not is_ours(c, mount) } })
  if chowns then
    c.steps:add("guest", mount.why, "chown_in_root", { c.root, text(mount.target), c.user.uid, c.user.gid })
  end
end

function emit.file(c, mount)
  put(c, mount, mount.has_symbols and mount.text or { literal = mount.text }, mode_text(mount.mode), not mount.standard)
end

function emit.copy(c, mount)
  c.steps:add("guest", mount.why, "copy_file", { text(mount.source), c.root, text(mount.target) })
end

function emit.symlink(c, mount)
  c.steps:add("guest", mount.why, "put_symlink", { c.root, text(mount.target), { literal = mount.to } })
end

local SECRET_MOST = 1 << 20

-- The value is read at start and is only ever a symbol in the plan.
function emit.secret(c, mount)
  c.secrets = (c.secrets or 0) + 1
  local symbol = "$secret" .. c.secrets
  if mount.env then
    c.steps:add("host", mount.why, "getenv", { text(mount.env) }, { save = symbol })
  else
    local path = reach.path(c, "host", mount.why, mount.file)
    c.steps:add("host", mount.why, "read_bounded", { path, SECRET_MOST, "pipe" }, { save = symbol })
  end
  put(c, mount, symbol, mode_text(mount.mode), true)
end

local KERNEL_TREES = { proc = "/proc", sysfs = "/sys" }

-- What a mask hides, as far as the host shows it.
local function hidden(c, mount)
  local cover = mount.cover
  local inside = mount.target:sub(cover.target == "/" and 1 or #cover.target + 1)
  if KERNEL_TREES[cover.type] then return c.facts:stat(KERNEL_TREES[cover.type] .. inside) end
  local sources = cover.lower or { cover.source }
  for i = #sources, 1, -1 do
    local st = c.facts:stat_in_root(sources[i], inside)
    if st then return st end
  end
end

local function is_device(c, mount)
  if mount.cover.type ~= "dev" then return false end
  for _, device in ipairs(c.spec.devices) do
    if device.path == mount.target then return true end
  end
end

function emit.mask(c, mount)
  if is_device(c, mount) then
    return c:fault(mount.why, mount.target .. " is one of the container's devices",
      ("leave that out instead: devices = { remove %q }"):format(mount.target:sub(#"/dev/" + 1)))
  end
  local st = hidden(c, mount)
  if mount.over_file or st and st.type ~= "directory" then
    return attach(c, mount, special.null(c, mount.why), "file")
  end
  attach(c, mount, special.nothing(c, mount.why))
end

local function emit_root(c)
  local tree, steps = c.tree, c.steps
  if tree.source or tree.lower then
    tree.exec, tree.suid = true, not c.spec.no_new_privs
    c.root = source.open(c, tree, true)
  else
    local options = { { "mode", "0755" } }
    if tree.size then options[2] = { "size", tree.size } end
    c.root = steps:open("guest", "root", "root", "new_mount",
      { { type = "tmpfs", options = options, attrs = "nosuid, nodev" } })
    c.seal_readonly[#c.seal_readonly + 1] = { c.root, "root" }
  end
  if c.disk then require("sandbox.plan.disk").keep(c) end
  overlay.release(c)
  steps:add("guest", "root", "move_mount", { c.root, "", "fdcwd", "/", "f_empty_path" })
  steps:add("guest", "root", "fchdir", { c.root })
end

-- How luge names a current directory that has no path (facts.cwd): no mount can be made of it.
local NOWHERE = "^/proc/self/cwd"

-- The host's path that a mount needs, and that is not there.
local function missing_source(c, mount)
  for _, path in ipairs(mount.type == "bind" and { mount.source } or mount.type == "layers" and mount.lower or {}) do
    if path:find(NOWHERE) or not (mount.create or c.facts:stat(path)) then return path end
  end
end

local function fault_missing(c, mount, path)
  local message, hint
  if path:find(NOWHERE) then
    message = "source %s: the current directory was removed, or lies outside of luge's root"
    hint = "go to another, or write a path that begins with /"
  elseif c.facts:closed(path) then
    message = "source %s cannot be reached: Permission denied"
    hint = ("a directory on the way is closed to this user: open it, take another path, or write optional(%s { … })")
      :format(mount.type)
  else
    message = "source %s does not exist"
    hint = ("create it, %s optional(%s { … })"):format(mount.type == "bind" and "write create = true, or" or "or write", mount.type)
  end
  c:fault(mount.why, message:format(path), hint)
end

--- All mounts, in path order.
function M.plan(c)
  c.made, c.seal_readonly = {}, {}
  c.source_place = c.facts.privileged and "attach" or "guest"
  c.steps:add("guest", "namespaces.mount", "mount", { { target = "/", flags = "rec, private" } })
  emit_root(c)
  for _, mount in ipairs(c.mounts) do
    local missing = missing_source(c, mount)
    if not missing then
      emit[mount.type](c, mount)
    elseif not mount.optional then
      fault_missing(c, mount, missing)
    end
  end
  if c.spec.limits.disk then require("sandbox.plan.disk").finish(c) end
end

--- The old root goes; what was only a view becomes read-only.
function M.pivot(c)
  local steps = c.steps
  overlay.release(c)
  steps:add("guest", "root", "fchdir", { c.root })
  steps:add("guest", "root", "pivot_root", { ".", "." })
  steps:add("guest", "root", "umount2", { ".", "detach" })
  steps:add("guest", "root", "chdir", { "/" })
  -- A tree that luge opened outside is still a peer of the host's: what is mounted on the host later would appear in
  -- it, writable and with set-user-id programs.
  steps:add("guest", "namespaces.mount", "mount", { { target = "/", flags = "rec, private" } })
  steps:add("guest", "root", "expect_bare_root", {})
  for _, sealed in ipairs(c.seal_readonly) do
    steps:add("guest", sealed[2], "mount_setattr", { sealed[1], "", "empty_path", { attr_set = "rdonly" } })
  end
end

return M
