-- SPDX-License-Identifier: MIT
-- sandbox.plan.seccomp: from the profile's `seccomp` field to the filters that the stage loads.
--
-- Two filters, of which the kernel takes the stricter answer: "allow" is an allow-list whose default is ENOSYS,
-- "deny" allows everything but argument values. libseccomp silently drops the refusal of a value of a call that
-- the same filter allows. A shipped tier without the user's rules was compiled when luge was built.

local embedded = require "luge.embedded"

local M = {}

M.TIERS = { "default", "ci", "strict", "compute" }

-- Kept capabilities for which the tiers are compiled at build time: none, and those of the preset "oci".
M.COMPILED_CAPS = { {}, { "mknod", "sys_chroot" } }

-- The name of the embedded file of one filter, as it is made by the build.
local function file_name(base, kept, which)
  return "seccomp/" .. table.concat({ base, table.unpack(kept) }, "+") .. "." .. which
end

M.file_name = file_name

local function is_plain(spec)
  return spec.base and not (spec.allow and spec.allow[1]) and not (spec.deny and spec.deny[1])
    and not (spec.rules and spec.rules[1])
end

-- The capabilities of caps that change a tier, sorted. The list here must say what the tiers' data says:
-- the tests compare them. It is repeated so that a run need not load the data.
local RELEVANT = {
  bpf = true, dac_read_search = true, mknod = true, perfmon = true, sys_admin = true, sys_boot = true,
  sys_chroot = true, sys_module = true, sys_nice = true, sys_pacct = true, sys_ptrace = true, sys_rawio = true,
  sys_time = true, sys_tty_config = true, syslog = true,
}

M.RELEVANT = RELEVANT

-- Tiers for which they matter; the others stay as they are whatever is kept.
local HEEDS = { default = true, ci = true }

M.HEEDS = HEEDS

local function relevant(base, caps)
  local kept = {}
  if not HEEDS[base] then return kept end
  for _, cap in ipairs(caps or {}) do
    if RELEVANT[cap] then kept[#kept + 1] = cap end
  end
  table.sort(kept)
  return kept
end

--- The filters of a container, in the order in which they must be loaded.
---@param spec table|false  the `seccomp` field of a spec, or the name of a tier
---@param options? { caps: string[]?, setid_guard: boolean? }  caps: the bounding set that the container keeps;
---  setid_guard: a writable idmapped mount shows files of the host's root
---@return { name: string, bpf: string }[]
function M.filters(spec, options)
  if not spec then return {} end
  if type(spec) == "string" then spec = { base = spec } end
  options = options or {}
  local kept = relevant(spec.base, options.caps)
  if is_plain(spec) then
    local deny = embedded(file_name(spec.base, kept, options.setid_guard and "deny-setid" or "deny"))
    local allow = embedded(file_name(spec.base, kept, "allow"))
    if deny and allow then return { { name = "deny", bpf = deny }, { name = "allow", bpf = allow } } end
  end
  local policy = require("sandbox.plan.seccomp_policy").build(spec, kept, options.setid_guard)
  return require("sandbox.plan.seccomp_compile").filters(policy)
end

--- What is wrong with a `seccomp` field of a spec: all of it.
---@return { keys: (string|integer)[], path: string, message: string, hint: string? }[]
function M.check(spec)
  if not spec then return {} end
  return require("sandbox.plan.seccomp_check").check(spec)
end

--- The filters in words, for `luge plan --seccomp`.
---@return string[]
function M.describe(spec, options)
  if not spec then return { "no seccomp filter" } end
  if type(spec) == "string" then spec = { base = spec } end
  options = options or {}
  local kept = relevant(spec.base, options.caps)
  local policy = require("sandbox.plan.seccomp_policy").build(spec, kept, options.setid_guard)
  return require("sandbox.plan.seccomp_describe").lines(spec, policy)
end

return M
