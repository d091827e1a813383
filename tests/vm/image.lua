-- SPDX-License-Identifier: MIT
-- The initramfs of `make vm`: luge, this tree with the tests, what contents.lua lists, and init.lua as /init.
-- Usage: luge lua tests/vm/image.lua MODULES SUITE OUT, from the top of the tree: the kernel's directory of modules,
-- the list of what is to be run, the archive; BUILD as for tests/run.

local S = require "syscall"
local initramfs = dofile "tests/vm/initramfs.lua"
local modules_of = dofile "tests/vm/modules.lua"
local contents = dofile "tests/vm/contents.lua"

local MODULES, SUITE, OUT = arg[1], arg[2], arg[3]
local BUILD = os.getenv "BUILD" or "build"
local TREE = "/luge"

-- Paths within the tree that stay behind.
local function skipped(path)
  return path == BUILD or path == "build" or path == ".git"
end

local image = initramfs.new()
image:device("/dev/console", 5, 1, "0600") -- the kernel opens it for /init
for _, name in ipairs { "proc", "sys", "run", "mnt", "root", "home" } do image:directory("/" .. name) end
image:directory("/tmp", "1777")
image:directory("/var/tmp", "1777")
image:file("/init", "tests/vm/init.lua", "0755")
image:file("/boot/luge", BUILD .. "/luge", "0755")

image:tree(TREE, ".", skipped)
for _, name in ipairs { "luge", "tests/guest" } do image:file(TREE .. "/build/" .. name, BUILD .. "/" .. name) end
image:libraries { BUILD .. "/luge" }
image:file(TREE .. "/build/suite", SUITE)

local missing = image:programs(contents.programs)
if #missing > 0 then error("this machine lacks " .. table.concat(missing, ", ")) end
for _, path in ipairs(contents.files) do
  if path:find "/$" then
    path = path:sub(1, -2)
    if S.stat(path) then image:tree(path, path) end
  elseif S.stat(path) then
    image:host(path)
  end
end

local order = {}
for i, path in ipairs(modules_of(MODULES, contents.modules)) do
  order[i] = "/boot/modules/" .. path:match "[^/]+$"
  image:file(order[i], path)
end
image:text("/boot/modules/order", table.concat(order, "\n") .. "\n")
image:write(OUT)
