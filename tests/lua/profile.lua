-- SPDX-License-Identifier: MIT
-- What the tests of profiles share: one set of facts, profiles from text, and faults as short lines.

local profile = require "sandbox.profile"

local M = {}

M.facts = {
  cwd = "/home/ann/work", home = "/home/ann", user = "ann", uid = 1000, gid = 1000, arch = "x86_64", cpus = 2,
  memory = 2147483648, kernel = "6.18.0",
  env = { LANG = "de_DE.UTF-8", CI_COMMIT_ID = "abc", CI_TOKEN = "secret", HOME = "/home/ann" },
}

-- The same with some facts changed.
function M.facts_with(changes)
  local facts = {}
  for key, value in pairs(M.facts) do facts[key] = value end
  for key, value in pairs(changes) do facts[key] = value end
  return facts
end

-- options: overrides, facts, params, container, whole. The spec, or nil and the faults.
function M.load(text, options)
  options = options or {}
  return profile.load {
    source = { text = text, label = options.label or "t.lua", directory = "/home/ann/work" },
    overrides = options.overrides, params = options.params, container = options.container, whole = options.whole,
    facts = options.facts or M.facts,
  }
end

-- The spec of `container { BODY }`; a fault is an error of the test.
function M.spec(body, options)
  local spec, faults = M.load("return container {\n" .. body .. "\n}", options)
  if not spec then error(profile.format(faults), 2) end
  return spec
end

-- "path: message (did you mean 'x'?) [hint]" of each fault of `container { BODY }`, in the order shown.
function M.faults(body, options)
  local spec, faults = M.load("return container {\n" .. body .. "\n}", options)
  if spec then return {} end
  profile.format(faults)
  local lines = {}
  for i, fault in ipairs(faults) do
    lines[i] = (fault.path and fault.path ~= "" and fault.path .. ": " or "") .. fault.message
      .. (fault.near and " (did you mean '" .. fault.near .. "'?)" or "") .. (fault.hint and " [" .. fault.hint
        .. "]" or "")
  end
  return lines
end

return M
