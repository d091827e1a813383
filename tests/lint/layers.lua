-- SPDX-License-Identifier: MIT
-- The layer check: each folder stands on the ones before it, never the other way. It reads every require and
-- #include. Usage: lua layers.lua FILE…, from the top of the tree.

local ORDER = { runtime = 1, netns = 2, sandbox = 3, profiles = 4, examples = 5, tests = 6 }

-- What stands above and is used all the same: by the registry of modules, by the build's steps that compile the filters and
-- try a start, and the seccomp tiers, which are data.
local EXEMPT = {
  ["runtime/main.c"] = true,
  ["runtime/embed/filters.lua"] = true,
  ["runtime/embed/firewalls.lua"] = true,
  ["runtime/embed/rehearsal.lua"] = true,
  ["sandbox/plan/seccomp_policy.lua"] = { profiles = true },
}

-- Where netns speaks to Lua's C interface.
local NETLINK = { ["netns/netlink.c"] = true, ["netns/message.c"] = true, ["netns/message.h"] = true }

local faults = 0

local function fault(file, line, format, ...)
  faults = faults + 1
  io.stderr:write(file, ":", line, ": ", string.format(format, ...), "\n")
end

local function folder_of(path)
  return path:match "^([^/]+)/"
end

-- Modules are named without "runtime": syscall and luge are its two roots.
local function folder_of_module(name)
  local first = name:match "^[^.]+"
  if first == "syscall" or first == "luge" then return "runtime" end
  return ORDER[first] and first
end

local headers = {}

local function check(file, line, folder)
  local own = folder_of(file)
  local exempt = EXEMPT[file]
  if not folder or not ORDER[own] or exempt == true or (exempt and exempt[folder]) then return end
  if ORDER[folder] > ORDER[own] then
    fault(file, line, "%s stands below %s and must not use it", own, folder)
  end
end

local function check_lua(file, line, text)
  text = text:gsub("%-%-.*", "")
  for name in text:gmatch "require%s*%(?%s*[\"']([%w_.]+)[\"']" do
    check(file, line, folder_of_module(name))
  end
end

local function check_c(file, line, text)
  local name = text:match '^%s*#%s*include%s+"([^"]+)"'
  if name then check(file, line, headers[name:match "[^/]+$"]) end
  local lua = text:match "^%s*#%s*include%s+<(l[ua][ua][^>]*%.h)>"
  local own = folder_of(file)
  if lua and (file:find "^runtime/stage/" or (own == "netns" and not NETLINK[file])) then
    fault(file, line, "%s belongs into the bindings of runtime/ and of netlink", lua)
  end
end

for _, file in ipairs(arg) do
  if file:find "%.h$" and ORDER[folder_of(file)] then headers[file:match "[^/]+$"] = folder_of(file) end
end
for _, file in ipairs(arg) do
  local number = 0
  for text in io.lines(file) do
    number = number + 1
    if number == 1 and text:sub(1, 2) ~= "#!" and not text:find("SPDX-License-Identifier: MIT", 1, true) then
      fault(file, 1, "the first line is no SPDX line")
    end
    local look = file:find "%.lua$" and check_lua or check_c
    look(file, number, text)
  end
end
os.exit(faults == 0)
