-- SPDX-License-Identifier: MIT
-- sandbox.profile.values_network: the types of the schema that networks have, in the form of sandbox.profile.values: addresses,
-- networks, ports, names of links, rates.

local values = require "sandbox.profile.values"

local M = {}
local show, no = values.show, values.no

local function addresses() return require "netns.check" end

local LENGTH = { inet = 4, inet6 = 6 }

local function is_ip(v, family)
  local ip = addresses().parse_ip(v)
  return ip and (not family or ip.family == family) and v or nil
end

function M.ip(v)
  local value = is_ip(v)
  if not value then return no(v, "address (write 192.0.2.1 or fd00::1)") end
  return value
end

local function cidr(family, example)
  return function(v)
    local ip = addresses().parse_cidr(v)
    if not ip or ip.family ~= family then
      return no(v, ("IPv%d address with a width (write \"%s\")"):format(LENGTH[family], example))
    elseif not v:find("/", 1, true) then
      return nil, show(v) .. " does not say how wide its network is",
        ("write \"%s/%d\""):format(v, family == "inet" and 24 or 64)
    end
    return v
  end
end
M.cidr4, M.cidr6 = cidr("inet", "10.0.5.2/24"), cidr("inet6", "fd00:5::2/64")

local function auto_or(parse)
  return function(v)
    if v == "auto" then return v end
    local value, message, hint = M[parse](v)
    return value, message, hint or 'or write "auto", or false for none'
  end
end
M.address4, M.address6 = auto_or "cidr4", auto_or "cidr6"

function M.ip4(v)
  local value = is_ip(v, "inet")
  if not value then return no(v, "IPv4 address") end
  return value
end
function M.ip6(v)
  local value = is_ip(v, "inet6")
  if not value then return no(v, "IPv6 address") end
  return value
end
M.gateway4, M.gateway6 = auto_or "ip4", auto_or "ip6"

local function subnet(family, most)
  return function(v)
    local ip = addresses().parse_cidr(v)
    if not ip or ip.family ~= family or not v:find("/", 1, true) or ip.prefix > most or ip.prefix < 8 then
      return no(v, ("network of IPv%d, 8 to %d bits wide"):format(LENGTH[family], most))
    end
    local network = require("netns.pool").network_of(v)
    if addresses().parse_cidr(network).bytes ~= ip.bytes then
      return nil, show(v) .. " is an address in a network, not the network's own", ("write %q"):format(network)
    end
    return v
  end
end
M.subnet4, M.subnet6 = subnet("inet", 30), subnet("inet6", 64)

function M.destination(v)
  if v == "default" or v == "default6" then return v end
  local value = addresses().parse_cidr(v) and v
  if not value then return no(v, 'network (write 10.6.0.0/16, fd00:6::/64 or "default")') end
  return value
end

function M.mac(v)
  if type(v) ~= "string" or not (v .. ":"):find("^" .. ("%x%x:"):rep(6) .. "$") then
    return no(v, "Ethernet address (write 02:00:00:00:00:07)")
  elseif tonumber(v:sub(2, 2), 16) & 1 ~= 0 then
    return nil, show(v) .. " is the address of a group", "its second digit must be even"
  elseif not v:find "[^0:]" then
    return nil, show(v) .. " is nobody's address"
  end
  return v:lower()
end

-- The kernel has settings of these names for all links, and so no link of them; lo is always another one.
local TAKEN = { all = true, default = true, lo = true }

local function free_name(take)
  return function(v)
    if TAKEN[v] then return nil, ("%q is no name that a link can be given"):format(v) end
    return take(v)
  end
end

-- The symbols of the plan are made of it.
M.interface_name = free_name(values.pattern("name of an interface (letters, digits, _ and ., 15 at most)", "^%a[%w_.]*$", 15))
M.link_name = free_name(values.pattern("name of a link (letters, digits, _ . -, 15 at most)", "^[%w_][%w_.-]*$", 15))

M.host_alias = values.pattern("name for /etc/hosts", "^[%w_][%w_.-]*$", 253)

function M.join(v, layer)
  if type(v) == "string" and v:find("/", 1, true) then return values.hostpath(v, layer) end
  return values.name(v)
end

--- "10.0.0.0/8", or one address.
function M.network(v)
  local value = addresses().parse_cidr(v) and v
  if not value then return no(v, "network (write 192.0.2.0/24, 2001:db8::/32, or one address)") end
  return value
end

local function port_number(v)
  local n = math.tointeger(tonumber(v))
  return n and n >= 1 and n <= 65535 and n or nil
end

function M.port(v)
  local value = port_number(v)
  if not value then return no(v, "port (1 to 65535)") end
  return value
end

function M.port_range(v)
  if port_number(v) then return port_number(v) end
  local from, to = tostring(v):match "^(%d+)%-(%d+)$"
  from, to = port_number(from), port_number(to)
  if not from or not to or from > to then return no(v, 'port (write 443 or "8000-8999")') end
  return ("%d-%d"):format(from, to)
end

-- Where nobody can listen: a message and a hint, or nil.
local function no_address_of_host(v, ip)
  local first, second = ip.bytes:byte(1, 2)
  if ip.family == "inet6" and ip.bytes:sub(1, 12) == ("\0"):rep(10) .. "\255\255" then
    return show(v) .. " is an address of IPv4, written as one of IPv6",
      ("write its address as \"%d.%d.%d.%d\""):format(ip.bytes:byte(13, 16))
  elseif ip.family == "inet6" and first == 0xfe and second & 0xc0 == 0x80 then
    return show(v) .. " is link-local: another one on each link",
      "write another address of the host (ip -6 address show scope global)"
  elseif first == 255 or ip.family == "inet" and first >= 224 and first < 240 then
    return show(v) .. " is everybody's on a link, or a group's, not one of the host's", "write an address of the host (ip address)"
  end
end

--- { address =, port = }, the address nil for all of them.
function M.host_port(v)
  local port = port_number(v)
  if port then return { port = port } end
  local address, text = tostring(v):match "^%[([%x:.]+)%]:(%d+)$"
  if not address then address, text = tostring(v):match "^([%d.]+):(%d+)$" end
  port = port_number(text)
  local ip = port and addresses().parse_ip(address)
  if not ip then return no(v, 'port of the host (write 8080, "127.0.0.1:8080" or "[::1]:8080")') end
  local message, hint = no_address_of_host(v, ip)
  if message then return nil, message, hint end
  local is_all = not ip.bytes:find "[^%z]"
  return { address = not is_all and addresses().ip_text(ip.family, ip.bytes) or nil, port = port, family = ip.family }
end

--- Bytes a second.
function M.rate(v)
  if type(v) == "number" then return no(v, "rate", 'write its unit: "10mbit"') end
  local value = require "netns.rate".parse(v)
  if not value then return no(v, 'rate (write "10mbit": bits in a second; kbit, mbit, gbit)') end
  return value
end

return M
