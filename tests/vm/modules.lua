-- SPDX-License-Identifier: MIT
-- The files of kernel modules, each after what it depends on: the order to load them in. A kernel's package has no
-- modules.dep (depmod makes it where the package is installed), but each file names its needs in .modinfo.
--
--   dofile "tests/vm/modules.lua"("/lib/modules/6.1.0-56-cloud-amd64", { "overlay" })  -> { path… }

local S = require "syscall"

-- NAME → path; the kernel takes "-" and "_" in names for the same.
local function index(dir, found)
  for _, name in ipairs(assert(S.dir(dir))) do
    local path = dir .. "/" .. name
    if name:find "%.ko$" then
      found[name:sub(1, -4):gsub("-", "_")] = path
    elseif S.lstat(path).type == "directory" then
      index(path, found)
    end
  end
  return found
end

return function(dir, names)
  local files = index(dir .. "/kernel", {})
  local builtin = S.readfile(dir .. "/modules.builtin") or ""
  local order, seen = {}, {}
  local function want(name)
    name = name:gsub("-", "_")
    if seen[name] then return end
    seen[name] = true
    local path = files[name]
    if not path then
      assert(builtin:gsub("-", "_"):find("/" .. name .. ".ko", 1, true), "the kernel has no module " .. name)
      return
    end
    for need in assert(S.readfile(path)):match("%zdepends=([^%z]*)"):gmatch "[^,]+" do want(need) end
    order[#order + 1] = path
  end
  for _, name in ipairs(names) do want(name) end
  return order
end
