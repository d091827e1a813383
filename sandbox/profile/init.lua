-- SPDX-License-Identifier: MIT
-- sandbox.profile: from a profile's source to a spec: complete, checked, the same on the same facts.

local schema = require "sandbox.profile.schema"
local merge = require "sandbox.profile.merge"
local finish = require "sandbox.profile.finish"

local M = {}

-- What profile.origin needs to know of a spec, kept beside it so that the spec stays plain data.
local provenance = setmetatable({}, { __mode = "k" })

-- "ci" of "/etc/luge/profiles/ci.lua": what generated names start with.
local function base_name(label, container)
  local name = label:match "([^/:]*)%.lua$" or label:match "([^/:]*)$"
  name = name:gsub("[^%w_.-]", "-"):gsub("^[^%w]+", "")
  return (name == "" and "profile" or name):sub(1, 40) .. (container and "-" .. container or "")
end

-- Merges and finishes one container. how: base, extra = whether the request's overrides are its, network = of its group.
-- Returns the spec, or what there is of it, its faults, and what the place of a value is found by.
local function build_one(raw, origins, info, request, how)
  local facts = request.facts
  local faults = {}
  local places = setmetatable({}, { __mode = "k" })
  local extra = {}
  for _, override in ipairs(how.extra and request.overrides or {}) do
    local layer, fault = require "sandbox.profile.overrides".layer(override, places, request)
    if layer then extra[#extra + 1] = layer else faults[#faults + 1] = fault end
  end
  local source = { raw = raw, origins = origins, places = places, text = info.text, dir = info.directory }
  local merged = merge.merge(source, extra, faults)
  local known = { origins = merged.origins, places = places, layers = merged.layers, trusted = info.trusted,
    files = info.files }
  if #faults > 0 then return merged.value, faults, known end
  local function complain(keys, message, hint)
    local errors = require "sandbox.profile.errors"
    if #faults >= errors.MOST_FAULTS then return end
    local layer = require "sandbox.profile.origin".layer_of(known, keys) or merged.layers[#merged.layers]
    faults[#faults + 1] = { path = errors.path_text(keys), keys = keys, at = keys,
      raw = { [0] = layer.raw },
      layer = layer, message = message, hint = hint, part = "value" }
  end
  if how.network then require "sandbox.profile.group_network".join(merged.value, how.network, how.member) end
  local spec = finish.finish(merged, how.base, facts, complain)
  if next(spec.needs) and not how.member then
    complain({ "needs" }, "names containers of a group, and this is none", "return group { containers = { … } }, or leave it out")
  end
  if #faults == 0 and facts.debug then spec = finish.freeze(spec) end
  provenance[spec] = known
  return spec, faults, known
end

-- Checks, merges and finishes what load.evaluate gives. Returns the spec, or nil and all faults; of a whole group, where
-- the request takes one, what sandbox.profile.group says.
function M.build(value, origins, info, request)
  local raw, network = value, nil
  if value.type ~= "container" or request.container then
    local group = require "sandbox.profile.group"
    if value.type == "group" and not request.container and request.whole then
      return group.build(value, origins, base_name(info.main), function(member, how)
        how.base = base_name(info.main, how.member)
        return build_one(member, origins, info, request, how)
      end, request, info.text)
    end
    local why
    raw, why, network = group.pick(value, origins, request.container, info.text)
    if not raw then return nil, why end
  end
  local spec, faults = build_one(raw, origins, info, request,
    { base = base_name(info.main, request.container), extra = true, network = network, member = request.container })
  if #faults > 0 then return nil, faults end
  return spec
end

-- request: { source = { path = } or { name = } or { stdin = true } or { text =, label = }, container = name in a group,
-- params = {}, overrides = { { field =, text = or value = or append =, origin = "--timeout" } }, facts =,
-- whole = whether a group of containers is meant where the profile is one }
-- Returns the spec, or nil and the faults (M.format makes text of them).
function M.load(request)
  local load = require "sandbox.profile.load"
  local value, origins, info = load.evaluate { source = request.source, params = request.params,
    facts = request.facts, constructors = schema.constructors(),
    exit_code = request.exit_code }
  if not value then return nil, origins end
  return M.build(value, origins, info, request)
end

-- What faults say, for a terminal: options { color = boolean }.
function M.format(faults, options)
  return require "sandbox.profile.errors".format(faults, options)
end

-- Where a field of a spec was written: "ci.lua:14", "--timeout", or "default".
function M.origin(spec, path)
  return require "sandbox.profile.origin".origin(provenance[spec], spec, path)
end

-- Whose files root takes for a spec: a set of uids.
function M.trusted(spec)
  return provenance[spec] and provenance[spec].trusted or { [0] = true }
end

-- The files that a spec was made of, as paths of the host; what is luge's own or came on stdin has none.
function M.files(spec)
  local paths = {}
  for _, file in ipairs(provenance[spec].files) do paths[#paths + 1] = file.path end
  return paths
end

-- Faults that a later stage found in a finished spec, { path, message, hint }, get their place for M.format.
function M.place(spec, faults)
  return require "sandbox.profile.origin".place(provenance[spec], spec, faults)
end

return M
