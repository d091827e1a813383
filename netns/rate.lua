-- SPDX-License-Identifier: MIT
-- netns.rate: "10mbit" and its like. Rates are bits a second in words, as everybody writes them, and bytes a second as
-- numbers, as the kernel counts them.

local M = {}

local BITS = { bit = 1, kbit = 1000, mbit = 1000000, gbit = 1000000000, tbit = 1000000000000 }

--- Bytes a second: "10mbit", "1.5gbit" (powers of 1000, bits), or a number, which is bytes already; nil for anything else.
function M.parse(value)
  local rate
  if type(value) == "number" then
    rate = value
  elseif type(value) == "string" then
    if #value > 32 then return nil end -- a megabyte of digits would be searched from each of them
    local number, unit = value:match "^(%d+%.?%d*)(%l+)$"
    if not BITS[unit] then return nil end
    rate = tonumber(number) * BITS[unit] / 8
  end
  return rate and rate >= 1 and rate < 1 << 53 and math.floor(rate) or nil
end

-- Ethernet's header, with the number of a VLAN.
local HEADER = 18

--- The bytes of the largest packet of a link, with its header. tbf drops what is larger than its burst, but what it can cut into
-- packets of the mtu itself.
function M.packet(mtu) return (mtu or 1500) + HEADER end

--- The same in words.
function M.text(bytes)
  local bits = bytes * 8
  for _, unit in ipairs { "tbit", "gbit", "mbit", "kbit" } do
    if bits % BITS[unit] == 0 and bits > 0 then return ("%d%s"):format(bits // BITS[unit], unit) end
  end
  return ("%dbit"):format(bits)
end

return M
