-- SPDX-License-Identifier: MIT
-- sandbox.plan.devices: which devices the container's processes may open or make, where a cgroup has to say it.
--
-- What is not in its /dev cannot be opened: every other mount is nodev, and without CAP_MKNOD over the machine no node
-- can be made. So the usual container pays for no program or list. One is needed where a device may only be read or
-- only be written, and where the container could make nodes: with CAP_MKNOD and no user namespace of its own.

local list = require "sandbox.plan.list"

local M = {}

-- Always there: terminals, /dev/ptmx, the nodes that every container has are in spec.devices.
local ALWAYS = { { "char", 5, 2, "rw" }, { "char", 136, nil, "rw" } }

-- A mount in which device files work: they are not in the list of devices.
local function open_mount(c)
  for _, mount in ipairs(c.spec.mounts) do
    if mount.dev then return mount.target end
  end
end

--- Which field asks that a cgroup says it: "devices", whose access nothing else could hold, or "capabilities", where it
-- is one protection more; nil when none does.
function M.asks(c)
  for _, device in ipairs(c.spec.devices) do
    if device.access ~= "rw" then
      local mount = open_mount(c)
      if mount then
        c:fault("devices", ('access = "%s" would close the devices of %s, which has dev = true'):format(device.access, mount),
          "name those devices in devices, and leave dev out")
      end
      return "devices"
    end
  end
  if not c.ids.userns and not open_mount(c) and list.has(c.spec.capabilities.bounding, "mknod") then
    return "capabilities"
  end
end

--- What may be done: { kind, major, minor or nil for all, access } each.
function M.rules(c)
  local rules = table.move(ALWAYS, 1, #ALWAYS, 1, {})
  local makes = list.has(c.spec.capabilities.bounding, "mknod") and "m" or ""
  for _, device in ipairs(c.spec.devices) do
    local st = c.facts:stat(device.path)
    if st and (st.type == "char" or st.type == "block") then
      rules[#rules + 1] = { st.type, st.rdev.major, st.rdev.minor, device.access .. makes }
    end
  end
  return rules
end

--- A rule as a line of version 1's devices.allow: "c 1:3 rw".
function M.line(rule)
  return ("%s %d:%s %s"):format(rule[1]:sub(1, 1), rule[2], rule[3] or "*", rule[4])
end

-- struct bpf_cgroup_dev_ctx: access << 16 | type, major, minor.
local TYPE = { block = 1, char = 2 }
local ACCESS = { m = 1, r = 2, w = 4 }

local LOAD, AND, RSH, JNE, MOV, EXIT = 0x61, 0x54, 0x74, 0x55, 0xb4, 0x95 -- ldxw; 32-bit and, shift, move; 64-bit jump

-- One struct bpf_insn.
local function insn(code, dst, src, off, imm) return ("<BBi2i4"):pack(code, src << 4 | dst, off, imm) end

--- The same rules as a program of the type cgroup_device: 1 where a rule has all that is asked for, else 0.
function M.program(rules)
  local r0, r1, r2, r3, r4, r5 = 0, 1, 2, 3, 4, 5
  local out = {
    insn(LOAD, r2, r1, 0, 0), insn(AND, r2, 0, 0, 0xffff), -- type
    insn(LOAD, r3, r1, 0, 0), insn(RSH, r3, 0, 0, 16), -- access
    insn(LOAD, r4, r1, 4, 0), insn(LOAD, r5, r1, 8, 0), -- major, minor
  }
  for _, rule in ipairs(rules) do
    local denied = 7
    for letter in rule[4]:gmatch "." do denied = denied & ~ACCESS[letter] end
    -- Each test that fails jumps to the next rule.
    local tests = { { r2, TYPE[rule[1]] }, { r4, rule[2] } }
    if rule[3] then tests[#tests + 1] = { r5, rule[3] } end
    local rest = #tests + (denied ~= 0 and 3 or 0) + 2
    for _, test in ipairs(tests) do
      rest = rest - 1
      out[#out + 1] = insn(JNE, test[1], 0, rest, test[2])
    end
    if denied ~= 0 then
      out[#out + 1] = insn(0xbc, r1, r3, 0, 0) -- 32-bit move of a register
      out[#out + 1] = insn(AND, r1, 0, 0, denied)
      out[#out + 1] = insn(JNE, r1, 0, 2, 0)
    end
    out[#out + 1] = insn(MOV, r0, 0, 0, 1)
    out[#out + 1] = insn(EXIT, 0, 0, 0, 0)
  end
  out[#out + 1] = insn(MOV, r0, 0, 0, 0)
  out[#out + 1] = insn(EXIT, 0, 0, 0, 0)
  return table.concat(out)
end

return M
