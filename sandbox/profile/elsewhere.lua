-- SPDX-License-Identifier: MIT
-- sandbox.profile.elsewhere: fields and units as other programs write them (compose files, podman, systemd), or that belong
-- to another record of the profile, and what is written here. Loaded only when one is not known.

local M = {}

-- What is written instead, by the record that was written in. A field with "=" or a blank is a hint, others are names.
local NAMES = {
  container = {
    image = "luge has no images: root = \"DIR\" is a root directory (luge help root)", rootfs = "root", cmd = "command",
    args = "command",
    exec = "command", shell = "command = { \"sh\", \"-c\", \"…\" }", run = "command", environment = "env", env_file = "env",
    workdir = "cwd", working_dir = "cwd", dir = "cwd", directory = "cwd", volumes = "mounts", volume = "mounts", binds = "mounts",
    mount = "mounts", cap_add = "capabilities", cap_drop = "capabilities: none is kept unless named", caps = "capabilities",
    privileged = "name what it needs: capabilities, devices, seccomp", depends_on = "needs", requires = "needs", after = "needs",
    healthcheck = "health", tty = "terminal", stdin_open = "stdin", labels = "annotations", sysctls = "sysctl",
    ulimits = "limits",
    resources = "limits", rlimits = "limits", read_only = "leave it out: the root is read-only",
    readonly = "leave it out: the root is read-only",
    networks = "network", network_mode = "network", net = "network", expose = "leave it out: neighbours reach every port",
    ports = "network = { interfaces = { veth { } }, publish = { { 8080, 80 } } }", security_opt = "seccomp", userns = "id_map",
    userns_mode = "id_map", uidmap = "id_map", uid = "user", gid = "user", groups = "user", group_add = "user",
    stop_signal = "stop.signal", stop_grace_period = "stop.grace", timeout = "limits.wall", mem_limit = "limits.memory",
    shm_size = "limits.disk", tmp = "mounts", secrets = "mounts = { secret { … } }", configs = "mounts = { file { … } }",
    logging = "log", pid = "namespaces", ipc = "namespaces", artifacts = "keep.artifacts", container_name = "name",
    host = "hostname",
    services = "a file with several containers returns group { containers = { … } }", extra_hosts = "network.hosts",
    containers = "a file with several containers returns group { containers = { … } }", retries = "restart.max",
  },
  group = { services = "containers", networks = "network", jobs = "containers", entry = "main" },
  limits = {
    nofile = "open_files", files = "open_files", nproc = "processes", fsize = "file_size", time = "wall", timeout = "wall",
    mem = "memory",
    cpu = "cpus", cpu_shares = "cpu_weight", cpu_quota = "cpus", cpuset_cpus = "cpuset", ram = "memory", memory_swap = "swap",
    memlock = "locked_memory", oom_score_adj = "oom_score", disk_size = "disk", storage = "disk", pids_limit = "pids",
    tasks = "pids",
    threads = "pids", memory_max = "memory", tmp = "disk",
  },
  bind = {
    src = "source", dst = "target", dest = "target", destination = "target", path = "source", from = "source", to = "target",
    ro = "leave it out: a bind is read-only unless rw = true", readonly = "leave it out: a bind is read-only unless rw = true",
    read_only = "leave it out: a bind is read-only unless rw = true", write = "rw", writable = "rw",
    options = "rw, exec, suid, dev",
  },
  veth = { ip = "address", ipv4 = "address", ipv6 = "address6", masquerade = "nat" },
  bridge = { ip = "address", ipv4 = "address", ipv6 = "address6", masquerade = "nat" },
  network = { ports = "publish", ip = "interfaces = { veth { address = \"10.0.5.2/24\" } }",
    bridge = "interfaces = { bridge { } }",
    nat = "interfaces = { veth { nat = true } }", allow = "egress.allow", internet = "egress.internet", nameservers = "dns",
    firewall = "egress" },
  publish = { container = "guest", target = "guest", port = "guest", published = "host", protocol = "proto" },
  health = { test = "command", cmd = "command", period = "interval" },
  stop = { timeout = "grace", time = "grace" },
  restart = { policy = "on", retries = "max", max_retries = "max", count = "max" },
  log = { driver = "log = \"journald\"", max_size = "size", max_file = "files" },
}

-- The record that a field of the type may hold, or nil.
local function inside(type_)
  if type(type_) ~= "table" then return nil end
  return type_.kind == "record" and type_ or type_.kind == "either" and type_.table
    or type_.kind == "typed" and type_.table and type_.takes.record(type_.table) or nil
end

-- Where the schema has a field of that name, if in one place only, below the record: "limits.memory".
local function below(schema, record, name)
  local found
  for i = 1, #record do
    local inner = inside(record[i][2])
    if inner and schema.field(inner, name) then
      if found then return nil end
      found = record[i][1] .. "." .. name
    end
  end
  return found
end

-- "for example limits = { memory = "2G" }", of the field at a path below the record; nil where there is none.
local function example(schema, record, path)
  local first, rest = path:match "^([^.]+)%.?(.*)$"
  local f = schema.field(record, first)
  if not f then return nil end
  if rest == "" then return f.example and f[1] .. " = " .. f.example end
  local inner = inside(f[2])
  local text = inner and example(schema, inner, rest)
  return text and ("%s = { %s }"):format(f[1], text)
end

--- For a field that the record lacks: the name that was meant, or nil; and a hint, or nil.
function M.field(schema, record, name)
  if type(name) ~= "string" then return nil end
  local known = NAMES[record.name]
  local text = known and known[name:lower()] or below(schema, record, name)
  if text then
    if not text:find "^[%w_.]+$" then return nil, text:find("{", 1, true) and not text:find "^a " and "write " .. text or text end
    local shown = example(schema, record, text)
    return text, shown and "for example " .. shown
  end
  if record == schema.container and schema.kinds[name] and schema.kinds[name].example then
    return nil, ("%s { … } is an entry of a list: luge help %s"):format(name, name)
  end
end

--- The names of M.field for a record, to find the nearest of.
function M.names(record)
  local names = {}
  for name in pairs(NAMES[record.name] or {}) do names[#names + 1] = name end
  return names
end

-- Texts that other programs take where a profile has a table or another word, by the name of the record or field: patterns
-- and forms.
local TEXTS = {
  mount = { { "^([^:]+):(/[^:]*)$", 'bind { "%1", "%2" }' }, { "^([^:]+):(/[^:]*):rw$", 'bind { "%1", "%2", rw = true }' },
    { "^([^:]+):(/[^:]*):", 'bind { "%1", "%2" }' }, { "^(/[^:]*)$", 'bind { "%1" }' } },
  network = { { "^bridge", "network = { interfaces = { bridge { } } }" },
    { "^nat$", "network = { interfaces = { veth { nat = true } } }" },
    { "^(pasta)", 'network = { type = "user", backend = "%1" }' },
    { "^(slirp4netns)", 'network = { type = "user", backend = "%1" }' },
    { "^container:(.+)$", 'network = { join = "%1" }' } },
  publish = { { "^(%d+):(%d+)$", "{ %1, %2 }" }, { "^(.+:%d+):(%d+)$", '{ "%1", %2 }' }, { "^(%d+)$", "{ %1, %1 }" } },
  allow = { { "^([%d.]+):(%d+)$", '{ cidr = "%1", port = %2 }' }, { "^([%x:./]+)$", '{ cidr = "%1" }' } },
  stop = { { "^(%u+%d?)$", 'stop = { signal = "%1" }' }, { "^(%d+%a*)$", 'stop = { grace = "%1" }' } },
  health = { { "^(.+)$", 'health = { command = { "sh", "-c", "%1" } }' } },
  bandwidth = { { "^(%d+%a+)$", 'bandwidth = { down = "%1", up = "%1" }' } },
  hooks = { { "^(.+%.lua)$", 'hooks = { started = "%1" }, or another of the four' } },
  seccomp = { { "^unconfined$", "seccomp = false" } },
  restart = { { "^unless%-stopped$", 'restart = "always"' }, { "^no$", "restart = false" } },
  log = { { "^(%d+%u)$", 'log = { size = "%1" }' } },
}

--- A hint for a text that the record or field of that name does not take, or nil.
function M.text(name, text)
  if type(text) ~= "string" or #text > 100 or text:find '[%c"\\]' then return nil end
  for _, row in ipairs(TEXTS[name] or {}) do
    local found = { text:match(row[1]) }
    if found[1] then return "write " .. row[2]:gsub("%%(%d)", function(n) return found[tonumber(n)] end) end
  end
end

--- Sizes and durations as other programs take them ("512mb", "10 min"): a hint with luge's own form, or nil.
function M.size(text)
  if type(text) ~= "string" then return nil end
  local digits, unit = text:upper():match "^%s*(%d+%.?%d*)%s*([KMGTP])I?B?%s*$"
  return digits and ('write "%s%s", powers of 1024'):format(digits, unit)
end

local UNITS = { ms = "ms", msec = "ms", sec = "s", second = "s", min = "m", minute = "m", hr = "h", hour = "h", day = "d" }

function M.duration(text)
  if type(text) ~= "string" then return nil end
  local digits, unit = text:lower():match "^%s*(%d+%.?%d*)%s*(%a+)%s*$"
  local known = unit and (UNITS[unit] or UNITS[unit:gsub("s$", "")] or #unit == 1 and ("smhd"):find(unit, 1, true) and unit)
  return known and ('write "%s%s"'):format(digits, known)
end

return M
