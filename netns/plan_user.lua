-- SPDX-License-Identifier: MIT
-- netns.plan_user: the outside world by an installed helper (netns.helper) as steps, for whoever has no power over the host's
-- network. It is started when the container's namespace is there, and the command is not executed before the device is.

local M = {}

local PACKAGE = { pasta = "passt", slirp4netns = "slirp4netns" }

-- The index and the interface, or nil.
local function interface_of(network)
  if network.type ~= "table" then return nil end
  for i, interface in ipairs(network.interfaces) do
    if interface.type == "user" then return i, interface end
  end
end

--- The program that is taken: the one that is named, or of those that are installed the first.
function M.backend(facts, interface)
  local installed = facts.helpers
  if interface.backend then return interface.backend, installed[interface.backend] end
  for _, name in ipairs(require("netns.helper").BACKENDS) do
    if installed[name] then return name, installed[name] end
  end
end

--- What is in the way of a helper: words and the way out, or nil.
function M.missing(facts, interface)
  local backend, path = M.backend(facts, interface)
  if not path then
    return backend and backend .. " is not installed" or "neither pasta nor slirp4netns is installed",
      ("install the package %s"):format(PACKAGE[backend] or "passt, or slirp4netns")
  elseif facts.tun == "missing" then
    return "/dev/net/tun does not exist, which " .. backend .. " needs", "modprobe tun, as root"
  elseif facts.tun == "closed" then
    return ("/dev/net/tun is closed to %s, and %s needs it"):format(facts.user, backend),
      "chmod 0666 /dev/net/tun, as root: who opens it gets no power over the host's network by that"
  end
end

-- What a helper would publish in vain: words and the way out, or nil. Seen with pasta of 2023 and slirp4netns 1.2.
local function cannot_publish(backend, one, address, port)
  local is_slirp = backend == "slirp4netns"
  if is_slirp and address and address:find(":", 1, true) then
    return "slirp4netns publishes on IPv4 addresses only", 'write backend = "pasta", or an IPv4 address of the host'
  elseif is_slirp and one.proto == "udp" and (not address or address == "0.0.0.0" or address:find "^127%.") then
    return "answers to UDP on the loopback are lost by slirp4netns, which must not reach it",
      'write backend = "pasta", or another address of the host'
  elseif not is_slirp and one.proto == "udp" and port ~= one.guest
    and (not address or address:find "^127%." or address == "::1") then
    return "answers to UDP on the loopback are lost by pasta where the ports differ",
      ("write guest = %d, or another address of the host"):format(port)
  end
end

-- pasta has one list of ports for all addresses: it takes each once.
local function check_twice(c, backend, i, taken)
  local one = c.spec.network.publish[i]
  local port, key = one.host.port, ("%s %d"):format(one.proto, one.host.port)
  if backend == "pasta" and taken[key] then
    c:fault(("network.publish[%d]"):format(i),
      ("pasta publishes a port of the host on one address or on all, and %s is publish[%d]'s"):format(key, taken[key]),
      ("write the port alone, { %d, %d }, or another one"):format(port, one.guest))
  end
  taken[key] = taken[key] or i
end

local function published(c, backend)
  local list, taken = {}, {}
  for i, one in ipairs(c.spec.network.publish) do
    local host = one.host
    local address = host.address or host.family and (host.family == "inet" and "0.0.0.0" or "::") or nil
    local message, hint = cannot_publish(backend, one, address, host.port)
    if message then c:fault(("network.publish[%d]"):format(i), message, hint) end
    -- What another interface's end on the host leads in needs no helper.
    if #one.to == 0 then
      check_twice(c, backend, i, taken)
      list[#list + 1] = { proto = one.proto, address = address, port = host.port, guest = one.guest }
    end
  end
  return list
end

--- Before the child changes its ids, which closes its files in /proc for a moment.
function M.open(c)
  if not interface_of(c.spec.network) then return end
  local why = ("network.interfaces[%d]"):format((interface_of(c.spec.network)))
  c.steps:add("attach", why, "open", { "/proc/${child}/ns/net", "rdonly, cloexec" }, { save = "$net.child" })
  if c.ids.userns then
    c.steps:add("attach", why, "open", { "/proc/${child}/ns/user", "rdonly, cloexec" }, { save = "$net.userns" })
  end
end

--- The steps of the interface; it has no ends that luge gives addresses to.
function M.plan(c, why, interface)
  local message, hint = M.missing(c.facts, interface)
  if message then return c:fault(why, message, hint) end
  local backend, path = M.backend(c.facts, interface)
  c.steps:add("attach", why, "nl.helper", { { backend = backend, path = path, netns = "$net.child",
    userns = c.ids.userns and "$net.userns" or nil, pid = "$child", name = interface.name, mtu = interface.mtu, mac = interface.mac,
    publish = published(c, backend), api = "${state}/${name}.api", lock = "$lock.name" } },
    { save = "$net.helper", undo = { "nl.endhelper", { "$net.helper" } } })
end

--- The name server that the helper answers for.
function M.nameserver(c)
  local _, interface = interface_of(c.spec.network)
  return interface and require("netns.helper").NAMESERVER[M.backend(c.facts, interface)]
end

return M
