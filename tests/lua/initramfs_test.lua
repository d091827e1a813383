-- SPDX-License-Identifier: MIT
-- The initramfs that tests/vm makes, read back entry by entry as the kernel does.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"
local initramfs = dofile "tests/vm/initramfs.lua"

-- NAME → { mode=, data=, major=, minor= }, and the names in order.
local function read(path)
  local text, at, entries, names = t.read(path), 1, {}, {}
  while true do
    local fields, where = {}, at + 6
    t.equal(text:sub(at, at + 5), "070701")
    for i = 1, 13 do
      fields[i] = tonumber(text:sub(where, where + 7), 16)
      where = where + 8
    end
    local size, name_size = fields[7], fields[12]
    local name = text:sub(where, where + name_size - 2)
    local data = where + name_size + (1 - where - name_size) % 4
    if name == "TRAILER!!!" then return entries, names end
    entries[name] = { mode = fields[2], uid = fields[3], data = text:sub(data, data + size - 1), major = fields[10],
      minor = fields[11] }
    names[#names + 1] = name
    at = data + size + -size % 4
  end
end

t.test("an image holds what was put into it", function()
  local dir, image = t.dir(), initramfs.new()
  t.must(S.mkdir(dir .. "/tree", "0755"))
  t.write(dir .. "/tree/odd", "12345", "0640")
  t.must(S.symlink("odd", dir .. "/tree/link"))
  t.write(dir .. "/tree/left", "out")
  image:device("/dev/console", 5, 1, "0600")
  image:text("/etc/a/b", "text")
  image:tree("/copy", dir .. "/tree", function(path) return path == "left" end)
  image:file("/init", dir .. "/tree/odd", "0755")
  image:write(dir .. "/image")
  local entries, names = read(dir .. "/image")
  t.equal(names, { "dev", "dev/console", "etc", "etc/a", "etc/a/b", "copy", "copy/link", "copy/odd", "init" })
  t.equal(entries["dev/console"], { mode = 0x2180, uid = 0, data = "", major = 5, minor = 1 })
  t.equal(entries["etc/a"].mode, 0x41ED)
  t.equal(entries["etc/a/b"].data, "text")
  t.equal(entries["copy/odd"], { mode = 0x81A0, uid = 0, data = "12345", major = 0, minor = 0 })
  t.equal(entries["copy/link"].data, "odd")
  t.equal(entries.init.mode, 0x81ED)
end)

t.test("a program comes with its links, its loader and its libraries", function()
  local dir, image = t.dir(), initramfs.new()
  t.equal(image:programs { "sh", "no-such-program" }, { "no-such-program" })
  image:write(dir .. "/image")
  local entries = read(dir .. "/image")
  local shell, is_there = t.read "/bin/sh", false
  for _, entry in pairs(entries) do is_there = is_there or entry.data == shell end
  t.ok(is_there, "no shell")
  local found = {}
  for name in pairs(entries) do found[name:match "[^/]+$":match "^(%w+)%.so%.[%d.]+$" or ""] = true end
  t.ok(found.libc, "no libraries")
end)
