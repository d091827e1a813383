-- SPDX-License-Identifier: MIT
-- filters.lua: a build step. luge-bootstrap DIR compiles the shipped seccomp tiers and usual firewalls (firewalls.lua)
-- into DIR and prints the NAME=PATH words with which embed takes them in. It stands where luge has its command line.

local M = {}

local function write(dir, name, bytes, file_name)
  local path = dir .. "/" .. (file_name or name:match "[^/]+$")
  local file = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  assert(file:close())
  print(("%s=%s"):format(name, path))
end

function M.main(argv)
  local dir = assert(argv[1], "luge-bootstrap DIR")
  local seccomp = require "sandbox.plan.seccomp"
  for _, tier in ipairs(seccomp.TIERS) do
    for _, caps in ipairs(seccomp.COMPILED_CAPS) do
      if #caps == 0 or seccomp.HEEDS[tier] then
        for _, filter in ipairs(seccomp.filters(tier, { caps = caps })) do
          write(dir, "file:" .. seccomp.file_name(tier, caps, filter.name), filter.bpf)
        end
        local guarded = seccomp.filters(tier, { caps = caps, setid_guard = true })
        write(dir, "file:" .. seccomp.file_name(tier, caps, "deny-setid"), guarded[1].bpf)
      end
    end
  end
  for _, module in ipairs(require("firewalls").modules()) do write(dir, module[1], module[2], module[1] .. ".lua") end
  return 0
end

return M
