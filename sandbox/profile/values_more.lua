-- SPDX-License-Identifier: MIT
-- sandbox.profile.values_more: the scalar types that few profiles use, in the form of sandbox.profile.values.

local capabilities = require "sandbox.profile.capabilities"
local values = require "sandbox.profile.values"

local M = {}
local show, no = values.show, values.no

function M.number(v)
  if type(v) ~= "number" or v ~= v then return no(v, "number") end
  return v
end

-- Numbers of users and groups: 2^32-1 means "unchanged" to the kernel.
function M.id(v)
  local n = values.integer(v)
  if not n or n < 0 or n > 4294967294 then return no(v, "id (a number from 0 to 4294967294)") end
  return n
end

function M.cpu(v)
  local n = values.integer(v)
  if not n or n < 0 or n > 8191 then return no(v, "number of a CPU") end
  return n
end

function M.offset(v)
  if type(v) == "string" and v:byte() == 45 then
    local n = values.duration(v:sub(2))
    if n then return -n end
  elseif type(v) == "number" and v < 0 and v >= -3155760000 then
    return v
  end
  return values.duration(v)
end

function M.device_path(v)
  if type(v) == "string" and v:find "^[%w_-]" then v = "/dev/" .. v end
  local path, message, hint = values.path(v)
  if path and not path:find "^/dev/." then return no(v, 'device (write "kvm" or "/dev/kvm")') end
  return path, message, hint
end

function M.namespace(v)
  if v == true or v == "host" then return v end
  if v == false then return "host" end
  if type(v) == "string" and v:byte() == 47 then return values.hostpath(v) end
  return no(v, 'namespace (write true, "host" or the absolute path of one)')
end

-- Names ------------------------------------------------------------------------------------------------

local function pattern(what, form, most)
  return function(v)
    if type(v) ~= "string" or not v:find(form) or #v > most then return no(v, what) end
    return v
  end
end

M.name = pattern("name (letters, digits, _ . -, 64 at most)", "^[%w][%w_.-]*$", 64)
M.hostname = pattern("host name (letters, digits, . -, 64 at most)", "^%w[%w.-]*$", 64)
M.user_name = pattern("name of a user", "^[%a_][%w_.-]*%$?$", 256)

-- Returns { name or uid, gid or group_name }; a number alone is both user and group.
function M.user(v)
  if math.type(v) == "integer" then v = tostring(v) end
  local user, group = tostring(v):match "^([^:]+):?([^:]*)$"
  if type(v) ~= "string" or not user or (group == "" and v:find(":", 1, true)) then
    return no(v, 'user (write "name", "uid:gid" or { uid = 1000, gid = 1000 })')
  end
  local spec = {}
  if user:find "^%d+$" then
    spec.uid = M.id(tonumber(user))
    if not spec.uid then return no(v, "user (ids go from 0 to 4294967294)") end
    spec.gid = group == "" and spec.uid or nil
  elseif M.user_name(user) then
    spec.name = user
  else
    return no(v, "user")
  end
  if group:find "^%d+$" then
    spec.gid = M.id(tonumber(group))
    if not spec.gid then return no(v, "user (ids go from 0 to 4294967294)") end
  elseif group ~= "" then
    if not M.user_name(group) then return no(v, "user") end
    spec.group_name = group
  end
  return spec
end

local SIGNALS = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP"
  .. " TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS "
function M.signal(v)
  local name = type(v) == "string" and v:upper():gsub("^SIG", "")
  if name and name:find "^%u[%u%d]+$" and SIGNALS:find(name .. " ", 1, true)
    and (" " .. SIGNALS):find(" " .. name .. " ", 1, true) then return name end
  local n = name and tonumber(name:match "^RTMIN%+(%d+)$")
  if n and n <= 30 then return name end
  return no(v, 'signal (write "TERM")')
end

local known_caps
function M.capability(v)
  if not known_caps then
    known_caps = {}
    for i, name in ipairs(capabilities.NAMES) do known_caps[name] = i end
  end
  local name = type(v) == "string" and v:lower():gsub("^cap_", "")
  if known_caps[name] then return name end
  return nil, show(v) .. " is no capability", nil, { name, capabilities.NAMES }
end

function M.capability_preset(v)
  if capabilities.PRESETS[v] then return table.move(capabilities.PRESETS[v], 1, 64, 1, {}) end
  return nil, show(v) .. " is no preset of capabilities", 'write "oci", "all" or a list: { "chown" }'
end

-- The names that libseccomp knows, for whatever machine; without the library every well-formed name is taken.
local resolve, all_calls
function M.syscall(v)
  if type(v) ~= "string" or not v:find "^[%l_][%l%d_]*$" then return no(v, "name of a system call") end
  if resolve == nil then
    local ok, S = pcall(require, "syscall")
    resolve = ok and S.seccomp_resolve or false
    all_calls = ok and S.seccomp_syscalls
  end
  if not resolve or resolve(v) ~= nil then return v end
  local names = all_calls and all_calls()
  return nil, show(v) .. " is no system call", nil, type(names) == "table" and { v, names } or nil
end

local OPERATORS = { ["=="] = true, ["!="] = true, ["<"] = true, ["<="] = true, [">"] = true, [">="] = true,
  ["&"] = true, masked_eq = true }
-- { number, operator, value } or { number, "masked_eq", mask, value }; returned as { n, op, value, mask }.
function M.comparison(v)
  if type(v) ~= "table" then return no(v, 'comparison (write { 0, "==", "AF_UNIX" })') end
  local n, op, value, mask = v[1] or v.n, v[2] or v.op, v[3] or v.value, v.mask
  if op == "masked_eq" and v[4] then value, mask = v[4], v[3] end
  local function good(x)
    return math.type(x) == "integer" or type(x) == "string" and x:find "^%u[%u%d_]*$"
  end
  if math.type(n) ~= "integer" or n < 0 or n > 5 then return nil, show(n) .. " is no argument's number (0 to 5)" end
  if not OPERATORS[op] then return nil, show(op) .. ' is no operator (write == != < <= > >= & or "masked_eq")' end
  if not good(value) or (op == "masked_eq") ~= (mask ~= nil) or mask ~= nil and not good(mask) then
    return nil, 'a comparison is { number, operator, value } or { number, "masked_eq", mask, value }'
  end
  return { n, op, value, mask }
end

-- Lists in one value -------------------------------------------------------------------------------------

function M.cpus(v)
  if math.type(v) == "integer" then v = tostring(v) end
  local cpus = {}
  for part in (type(v) == "string" and v or ""):gmatch "[^,]*" do
    local from, to = part:match "^(%d+)%-?(%d*)$"
    from, to = tonumber(from), tonumber(to ~= "" and to or from)
    if not from or from > to or to > 8191 or #cpus + to - from > 8191 then cpus = {} break end
    for cpu = from, to do cpus[#cpus + 1] = cpu end
  end
  if #cpus == 0 then return no(v, 'list of CPUs (write "0-3" or { 0, 1 })') end
  return cpus
end

local FLAGS = { exec = true, noexec = true, suid = true, nosuid = true, dev = true, nodev = true, ro = true,
  noatime = true }
-- Given as "noexec, ro" or { "noexec", "ro" }; nosuid and nodev hold unless suid and dev are said.
function M.mount_flags(v)
  if type(v) == "table" then
    for i = 1, #v do
      if type(v[i]) ~= "string" then return no(v[i], "mount flag here") end
    end
    v = table.concat(v, ",")
  end
  if type(v) ~= "string" then return no(v, "list of mount flags") end
  local set, out = {}, {}
  for flag in v:gmatch "[^,%s]+" do
    if not FLAGS[flag] then return nil, show(flag) .. " is no mount flag here", nil, { flag, FLAGS } end
    set[flag] = true
  end
  for _, flag in ipairs { "ro", "noatime", "noexec" } do
    if set[flag] then out[#out + 1] = flag end
  end
  if not set.suid then out[#out + 1] = "nosuid" end
  if not set.dev then out[#out + 1] = "nodev" end
  return table.concat(out, ",")
end

function M.id_range(v)
  local from, to, count
  if type(v) == "table" then
    from, to, count = v[1] or v.inside, v[2] or v.outside, v[3] or v.count
  end
  if not (M.id(from) and M.id(to) and math.type(count) == "integer") or count < 1
    or from + count > 4294967295 or to + count > 4294967295 then
    return nil, "a range is { inside, outside, count }", "for example { 0, 100000, 65536 }"
  end
  return { from, to, count }
end

function M.sysctl_name(v)
  if type(v) ~= "string" or not v:find "^[%w_]+%.[%w_.-]+$" then
    return no(v, 'kernel parameter (write ["kernel.shmmax"])')
  end
  return v
end

function M.sysctl(v)
  if type(v) == "boolean" then return no(v, "value of a kernel parameter", "write 1 or 0") end
  return values.word(v)
end

--- A path in a cgroup hierarchy, from its mount on.
function M.cgroup_path(v)
  if type(v) ~= "string" or not v:find "^/[%w_.@:\\/-]*$" or ("/" .. v .. "/"):find("/../", 1, true) then
    return no(v, 'cgroup (write a path from the top of the hierarchy, like "/ci")')
  end
  v = v:gsub("/+", "/"):gsub("(.)/$", "%1")
  return v
end

-- Networks ---------------------------------------------------------------------------------------------

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
M.interface_name = free_name(pattern("name of an interface (letters, digits, _ and ., 15 at most)", "^%a[%w_.]*$", 15))
M.link_name = free_name(pattern("name of a link (letters, digits, _ . -, 15 at most)", "^[%w_][%w_.-]*$", 15))

M.host_alias = pattern("name for /etc/hosts", "^[%w_][%w_.-]*$", 253)

function M.join(v, layer)
  if type(v) == "string" and v:find("/", 1, true) then return values.hostpath(v, layer) end
  return M.name(v)
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

--- { address =, port = }, the address nil for all of them.
function M.host_port(v)
  local port = port_number(v)
  if port then return { port = port } end
  local address, text = tostring(v):match "^%[([%x:.]+)%]:(%d+)$"
  if not address then address, text = tostring(v):match "^([%d.]+):(%d+)$" end
  port = port_number(text)
  local ip = port and addresses().parse_ip(address)
  if not ip then return no(v, 'port of the host (write 8080, "127.0.0.1:8080" or "[::1]:8080")') end
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
