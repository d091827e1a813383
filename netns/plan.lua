-- SPDX-License-Identifier: MIT
-- netns.plan: the profile's `network` as steps. A container without one has a loopback, and that is all that is loaded.

local M = {}

--- Whether the container gets a network namespace of its own.
function M.is_own(network)
  return network.type ~= "host" and not network.join and not network.pod
end

local function has_interfaces(network)
  return network.type == "table" and #network.interfaces > 0
end

--- Before the clone: where the network is another's.
function M.clone(c)
  local network = c.spec.network
  if network.pod or network.private or network.interfaces or c.options.shares then require("netns.plan_shared").begin(c) end
  if network.join or network.pod then require("netns.plan_join").plan(c) end
  if has_interfaces(network) then require("netns.plan_user").open(c) end
end

--- A new namespace has one link, lo, and it is down.
function M.plan(c)
  if not M.is_own(c.spec.network) or type(c.spec.namespaces.net) == "string" then return end
  c.steps:add("guest", "network", "nl.up", { "lo" })
end

--- The last of the guest steps that need power over the network.
function M.interfaces(c)
  if has_interfaces(c.spec.network) then require("netns.plan_interfaces").plan(c) end
end

--- The name servers of a container: those of its profile; with "internet" the host's, where it has any that others reach.
function M.name_servers(c)
  local network = c.spec.network
  if network.type ~= "table" then return {} end
  if network.dns[1] then return network.dns end
  local helper = has_interfaces(network) and require("netns.plan_user").nameserver(c)
  if helper then return { helper } end
  if not (network.egress and network.egress.internet) then return {} end
  return c.facts.name_servers
end

--- What a container is called in its own /etc/hosts: its host name, and in a group what the others call it.
function M.own_names(c)
  local member, hosts = c.options.member, c.spec.network.hosts
  if not member or member == c.spec.hostname or hosts and hosts[member] ~= nil then return "${hostname}" end
  return "${hostname} " .. member
end

--- The text of /etc/hosts, and of /etc/resolv.conf where the profile names servers; symbols stand in it.
function M.files(c)
  local network = c.spec.network
  local hosts = ("127.0.0.1\tlocalhost %s\n::1\tlocalhost %s\n"):gsub("%%s", M.own_names(c))
  if network.type ~= "table" then return hosts end
  local lines, servers = { hosts }, {}
  if has_interfaces(network) then lines = require("netns.plan_interfaces").hosts(c) end
  local names = {}
  for name, address in pairs(network.hosts) do
    if address then names[#names + 1] = name end
  end
  table.sort(names)
  for _, peer in ipairs(c.options.peers or {}) do
    if network.hosts[peer[2]] == nil then lines[#lines + 1] = ("%s\t%s\n"):format(peer[1], peer[2]) end
  end
  for _, name in ipairs(names) do lines[#lines + 1] = ("%s\t%s\n"):format(network.hosts[name], name) end
  for i, server in ipairs(M.name_servers(c)) do servers[i] = ("nameserver %s\n"):format(server) end
  return table.concat(lines), #servers > 0 and table.concat(servers) or nil
end

--- Whether the files above belong into any root, and not only into one that luge makes up.
function M.has_files(network)
  return network.type == "table"
    and (has_interfaces(network) or network.pod ~= nil or next(network.hosts) ~= nil or #network.dns > 0)
end

return M
