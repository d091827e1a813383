-- SPDX-License-Identifier: MIT
-- sandbox.profile.values: one function for each scalar type of the schema. It gets what a profile says and the
-- layer that says it, and returns what luge works with, or nil, a message and perhaps a hint.

local schema = require "sandbox.profile.schema"

local M = {}

-- A value as an error message shows it: strings quoted, without control characters, and not endless.
function M.show(v)
  if type(v) == "table" then return v.type and "a " .. tostring(v.type) or "a table" end
  if type(v) == "function" then return "a function" end
  if type(v) ~= "string" then return tostring(v) end
  if #v > 60 then v = v:sub(1, 57) .. "..." end
  return '"' .. v:gsub('[%c"\\]', { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n" }):gsub("%c", "?") .. '"'
end
local show = M.show

local function no(v, what, hint)
  return nil, show(v) .. " is no " .. what, hint
end

function M.any(v) return v end

function M.boolean(v)
  if type(v) ~= "boolean" then return no(v, "boolean (write true or false)") end
  return v
end

-- Any text without a zero byte, which no string of the kernel can hold.
function M.text(v)
  if type(v) ~= "string" then return no(v, "text") end
  if v:find("\0", 1, true) then return nil, show(v) .. " holds a zero byte" end
  return v
end

-- A word of a command or an environment: numbers are taken, as ("-j" .. 4) and 4 mean the same there.
function M.word(v)
  if math.type(v) == "integer" then return tostring(v) end
  if type(v) == "number" then return ("%.14g"):format(v) end
  if type(v) == "boolean" then return no(v, "text", 'write "1" or "true"') end
  return M.text(v)
end

function M.integer(v)
  local n = math.type(v) == "integer" and v or math.type(v) == "float" and math.tointeger(v)
  if not n then return no(v, "whole number") end
  return n
end

function M.number(v)
  if type(v) ~= "number" or v ~= v then return no(v, "number") end
  return v
end

-- Numbers of users and groups: 2^32-1 means "unchanged" to the kernel.
function M.id(v)
  local n = M.integer(v)
  if not n or n < 0 or n > 4294967294 then return no(v, "id (a number from 0 to 4294967294)") end
  return n
end

function M.cpu(v)
  local n = M.integer(v)
  if not n or n < 0 or n > 8191 then return no(v, "number of a CPU") end
  return n
end

local SIZES = { [""] = 1, K = 1 << 10, M = 1 << 20, G = 1 << 30, T = 1 << 40, P = 1 << 50 }
function M.size(v)
  local n = v
  if type(v) == "string" then
    local digits, unit = v:match "^(%d+%.?%d*)([KMGTP]?)$"
    n = digits and (tonumber(digits) + 0.0) * SIZES[unit]
  end
  if type(n) ~= "number" or not (n >= 0 and n < 2^63) then return no(v,
    "size (write 2G, 512M or a number of bytes)") end
  return math.floor(n)
end

local SECONDS = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }
function M.duration(v)
  local n = v
  if type(v) == "string" then
    local digits, unit = v:match "^(%d+%.?%d*)(%a+)$"
    n = digits and SECONDS[unit] and tonumber(digits) * SECONDS[unit]
  end
  -- Longer than a century is a slip, and overflows what timers take.
  if type(n) ~= "number" or not (n >= 0 and n <= 3155760000) then
    return no(v, "duration (write 500ms, 30s, 10m, 2h or a number of seconds)")
  end
  return math.tointeger(n) or n
end

function M.offset(v)
  if type(v) == "string" and v:byte() == 45 then
    local n = M.duration(v:sub(2))
    if n then return -n end
  elseif type(v) == "number" and v < 0 and v >= -3155760000 then
    return v
  end
  return M.duration(v)
end

local function rlimit(of)
  return function(v)
    if v == "unlimited" then return v end
    local n, message, hint = M[of](v)
    if n and n < 0 then return no(v, "limit") end
    return n, message, hint
  end
end
M.rlimit_size, M.rlimit_count = rlimit "size", rlimit "integer"

function M.mode(v)
  if type(v) == "number" then
    return nil, show(v) .. ' is no mode: write it as a string ("0755"), Lua has no octal numbers'
  end
  if type(v) ~= "string" or not v:find "^[0-7][0-7][0-7][0-7]?$" then return no(v, 'mode (write "0755")') end
  return tonumber(v, 8)
end

-- Paths --------------------------------------------------------------------------------------------------

-- Without empty, "." and (when they are to go) ".." parts; the path is absolute.
local function tidy(path)
  if not path:find("/[/.]") and path:byte(-1) ~= 47 then return path end
  local parts = {}
  for part in path:gmatch "[^/]+" do
    if part == ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return "/" .. table.concat(parts, "/")
end

function M.path(v)
  if type(v) ~= "string" or v == "" then return no(v, 'path (write "/src")') end
  if v:byte() ~= 47 then
    return nil, show(v) .. " is not absolute", "paths in the container start with /: write " .. show("/" .. v)
  end
  if v:find("\0", 1, true) or #v > 4095 then return no(v, "path") end
  if (v .. "/"):find("/../", 1, true) then
    return nil, show(v) .. ' goes through ".."', "write the path in the container that it means"
  end
  return tidy(v)
end

-- ".." is taken by the letter, as a shell's cd does, so that the profile means the same everywhere.
function M.hostpath(v, layer)
  if type(v) ~= "string" or v == "" then return no(v, "path of the host") end
  if v:find("\0", 1, true) or #v > 4095 then return no(v, "path") end
  local first = v:byte()
  if first == 126 and v:find "^~/?" then
    return nil, show(v) .. " is not expanded", 'write host.home .. "' .. v:sub(2) .. '"'
  end
  if first ~= 47 then v = layer.dir .. "/" .. v end
  return tidy(v)
end

function M.device_path(v)
  if type(v) == "string" and v:find "^[%w_-]" then v = "/dev/" .. v end
  local path, message, hint = M.path(v)
  if path and not path:find "^/dev/." then return no(v, 'device (write "kvm" or "/dev/kvm")') end
  return path, message, hint
end

function M.namespace(v)
  if v == true or v == "host" then return v end
  if v == false then return "host" end
  if type(v) == "string" and v:byte() == 47 then return M.hostpath(v) end
  return no(v, 'namespace (write true, "host" or the absolute path of one)')
end

-- Names --------------------------------------------------------------------------------------------------

local function pattern(what, form, most)
  return function(v)
    if type(v) ~= "string" or not v:find(form) or #v > most then return no(v, what) end
    return v
  end
end
M.name = pattern("name (letters, digits, _ . -, 64 at most)", "^[%w][%w_.-]*$", 64)
M.hostname = pattern("host name (letters, digits, . -, 64 at most)", "^%w[%w.-]*$", 64)
M.user_name = pattern("name of a user", "^[%a_][%w_.-]*%$?$", 256)
M.env_name = pattern("name of a variable", "^[^=%z*]+$", 4096)

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
    for i, name in ipairs(schema.capabilities) do known_caps[name] = i end
  end
  local name = type(v) == "string" and v:lower():gsub("^cap_", "")
  if known_caps[name] then return name end
  return nil, show(v) .. " is no capability", nil, { name, schema.capabilities }
end

function M.capability_preset(v)
  if schema.capability_presets[v] then return table.move(schema.capability_presets[v], 1, 64, 1, {}) end
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
    if not from or from > to or to > 8191 then cpus = {} break end
    for cpu = from, to do cpus[#cpus + 1] = cpu end
  end
  if #cpus == 0 then return no(v, 'list of CPUs (write "0-3" or { 0, 1 })') end
  return cpus
end

local FLAGS = { exec = true, noexec = true, suid = true, nosuid = true, dev = true, nodev = true, ro = true,
  noatime = true }
-- Given as "noexec, ro" or { "noexec", "ro" }; nosuid and nodev hold unless suid and dev are said.
function M.mount_flags(v)
  if type(v) == "table" then v = table.concat(v, ",") end
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
  return M.word(v)
end

function M.io(v) return v end

return M
