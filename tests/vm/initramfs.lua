-- SPDX-License-Identifier: MIT
-- An initramfs from a list of files, as the kernel unpacks it: a cpio archive of the "newc" form
-- (Documentation/driver-api/early-userspace/buffer-format.rst). Written here rather than by cpio(1), so that
-- an ordinary user can put device nodes into it.
--
--   local image = dofile "tests/vm/initramfs.lua".new()
--   image:file("/init", "my/init", "0755")
--   image:programs { "sh", "cat" }       -- from PATH, with the libraries that they need
--   image:write "build/initramfs"
--
-- Everything in it belongs to root. Directories on the way are made.

local S = require "syscall"

local M = {}

local Image = {}
Image.__index = Image

-- What stat(2) calls the types, in the upper bits of a mode.
local TYPE = { directory = 0x4000, character = 0x2000, regular = 0x8000, link = 0xA000 }

--- A new image, with nothing in it.
function M.new()
  return setmetatable({ entries = {}, known = {} }, Image)
end

local function add(image, path, kind, perm, entry)
  if image.known[path] then return end
  image.known[path] = true
  local parent = path:match "^(.+)/[^/]*$"
  if parent then image:directory(parent) end
  entry.path, entry.mode = path, TYPE[kind] | tonumber(perm, 8)
  image.entries[#image.entries + 1] = entry
end

--- perm: octal text, here and below.
function Image:directory(path, perm)
  add(self, path, "directory", perm or "0755", {})
end

--- A file with the text given.
function Image:text(path, text, perm)
  add(self, path, "regular", perm or "0644", { text = text })
end

--- A copy of a file of this machine; its mode too, unless given.
function Image:file(path, source, perm)
  local st = assert(S.stat(source))
  add(self, path, "regular", perm or ("%o"):format(st.mode & 4095), { source = source })
end

function Image:link(path, target)
  add(self, path, "link", "0777", { text = target })
end

function Image:device(path, major, minor, perm)
  add(self, path, "character", perm, { major = major, minor = minor })
end

--- All that lies below a directory, but what skip(path relative to it) says true of.
function Image:tree(path, source, skip, below)
  self:directory(path)
  for _, name in ipairs(assert(S.dir(source))) do
    local here, there = path .. "/" .. name, source .. "/" .. name
    local relative = below and below .. "/" .. name or name
    local kind = assert(S.lstat(there)).type
    if skip and skip(relative) then kind = "left out" end
    if kind == "directory" then self:tree(here, there, skip, relative) end
    if kind == "symlink" then self:link(here, assert(S.readlink(there))) end
    if kind == "file" then self:file(here, there) end
  end
end

-- "/a/b/../c" without its "..": of a path whose directories are no links.
local function plain(path)
  local parts = {}
  for part in path:gmatch "[^/]+" do
    if part == ".." then parts[#parts] = nil elseif part ~= "." then parts[#parts + 1] = part end
  end
  return "/" .. table.concat(parts, "/")
end

--- A path as it is on this machine: the links on the way, and what they lead to.
function Image:host(path)
  local done = ""
  for part, rest in path:gmatch "/([^/]+)()" do
    done = done .. "/" .. part
    local st = assert(S.lstat(done))
    if st.type == "symlink" then
      local target = assert(S.readlink(done))
      self:link(done, target)
      if target:sub(1, 1) ~= "/" then target = done:match "^(.*)/" .. "/" .. target end
      return self:host(plain(target .. path:sub(rest)))
    elseif st.type == "directory" then
      self:directory(done, ("%o"):format(st.mode & 4095))
    else
      self:file(done, done)
    end
  end
end

local function find_program(name)
  for dir in (os.getenv "PATH" .. ":/usr/sbin:/sbin"):gmatch "[^:]+" do
    local path = dir .. "/" .. name
    if S.access(path, "x") then return path end
  end
end

--- The shared libraries that programs of this machine need, and the loader.
function Image:libraries(paths)
  local words = {}
  for i, path in ipairs(paths) do words[i] = "'" .. path:gsub("'", "'\\''") .. "'" end
  local pipe = assert(io.popen("ldd " .. table.concat(words, " ") .. " 2>/dev/null"))
  for line in pipe:lines() do
    assert(not line:find "=> not found", line)
    local path = line:match "=> (/%S+) %(0x" or line:match "^%s+(/%S+) %(0x"
    if path then self:host(path) end
  end
  pipe:close() -- its code says that some are static, or scripts
end

--- Programs by their names, each with its libraries. Returns the names that this machine lacks.
function Image:programs(names)
  local found, missing = {}, {}
  for _, name in ipairs(names) do
    local path = find_program(name)
    if path then
      self:host(path)
      found[#found + 1] = path
    else
      missing[#missing + 1] = name
    end
  end
  self:libraries(found)
  return missing
end

-- ---- the archive ----

local function padded(text)
  return text .. ("\0"):rep(-#text % 4)
end

local HEADER = "070701" .. ("%08X"):rep(13)
local ROOT_UID, ROOT_GID, LINKS, MTIME, DEV, CHECKSUM = 0, 0, 1, 0, 0, 0

local function write_entry(out, ino, entry)
  local data = entry.text or entry.source and assert(S.readfile(entry.source)) or ""
  local name = entry.path:gsub("^/", "")
  out:write(padded(HEADER:format(ino, entry.mode, ROOT_UID, ROOT_GID, LINKS, MTIME, #data, DEV, DEV,
    entry.major or 0, entry.minor or 0, #name + 1, CHECKSUM) .. name .. "\0"))
  out:write(data, ("\0"):rep(-#data % 4))
end

--- Writes the archive, uncompressed: the kernel is done with it sooner.
function Image:write(path)
  local out = assert(io.open(path, "w"))
  for ino, entry in ipairs(self.entries) do write_entry(out, ino, entry) end
  write_entry(out, 0, { path = "TRAILER!!!", mode = 0 })
  assert(out:close())
end

return M
