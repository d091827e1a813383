-- SPDX-License-Identifier: MIT
-- sandbox.profile.schema_network: the part of the schema that says what a container's network is; see
-- sandbox.profile.schema, which gives the makers of nodes.

return function(make)
  local record, typed, list, map, choice = make.record, make.typed, make.list, make.map, make.choice

  -- What every interface has ------------------------------------------------------------------------------

  local name = { "name", "interface_name", shown = "eth0, eth1 … by its place in the list", example = '"eth0"',
    doc = "What the container calls it." }
  local mac = { "mac", "mac", shown = "one that nobody else has", example = '"02:00:00:00:00:07"',
    doc = "Its Ethernet address." }
  local mtu = { "mtu", "integer", min = 68, max = 65535, unit = "bytes", shown = "1500", example = "1400",
    doc = "The largest packet that it sends whole." }
  local function address(default, auto)
    return { "address", "address4", off = true, default = default, shown = default and '"' .. default .. '"' or "false",
      example = '"10.0.5.2/24"', doc = "Its IPv4 address with the width of its network" .. auto .. "; false for none." }
  end
  local function address6(default, auto)
    return { "address6", "address6", off = true, default = default, shown = default and '"' .. default .. '"' or "false",
      example = '"fd00:5::2/64"', doc = "Its IPv6 address with the width of its network" .. auto .. "; false for none." }
  end
  local function gateway(default, what)
    return { "gateway", "gateway4", off = true, default = default, shown = default and '"' .. default .. '"' or "false",
      example = '"10.0.5.1"', doc = "Where IPv4 packets to elsewhere go: " .. what .. "; false: nowhere." }
  end
  local function gateway6(default, what)
    return { "gateway6", "gateway6", off = true, default = default, shown = default and '"' .. default .. '"' or "false",
      example = '"fd00:5::1"', doc = "The same for IPv6." .. (what or "") }
  end
  local nat = { "nat", "boolean", default = false, example = "true",
    doc = "What it sends elsewhere has the host's address there; the host forwards packets of containers meanwhile." }
  local behind = { "behind", list "network", example = '{ "10.6.0.0/16" }',
    doc = "Networks that it routes for: it may send under their addresses too, and under no others but its own. On a veth the "
      .. "host gets a route to each by it, on a bridge none. None of the host's, of other containers, link-local or multicast." }
  local routes = { "routes", list(record { name = "route", positional = { "to", "via" },
      { "to", "destination", required = true, example = '"10.6.0.0/16"', doc = 'The network, or "default", "default6".' },
      { "via", "ip", example = '"10.0.5.9"', doc = "The router that is nearest to it; none: it is on the link." },
      { "metric", "integer", min = 0, max = 4294967295, example = "50", doc = "Of several to one network the least wins." } }),
    example = '{ { "10.6.0.0/16", "10.0.5.9" } }', doc = "Routes by it, besides that of its own network." }

  local AUTO, WITHOUT = ', "auto": one that nobody has', ", none where IPv6 is switched off"
  local kinds = {
    veth = record { example = 'veth { address = "10.0.5.2/30" }',
      doc = "A wire to the host, which has the other end.", name, address("auto", AUTO), address6("auto", AUTO .. WITHOUT),
      gateway("auto", '"auto" is the host, at the other end'), gateway6 "auto", nat, behind, mtu, mac, routes },
    bridge = record { positional = { "bridge" }, example = 'bridge { "lab", address = "10.0.5.2/24" }',
      doc = "A wire to a bridge of the host, which is made when it is missing and goes with its last container.",
      { "bridge", "link_name", required = true, example = '"lab"', doc = "What the host calls the bridge." }, name,
      { "subnet", "subnet4", example = '"10.0.5.0/24"', shown = 'one that nobody has, where an address is "auto"',
        doc = "The bridge's IPv4 network: addresses that are \"auto\" are of it, the host has the first." },
      { "subnet6", "subnet6", example = '"fd00:5::/64"', shown = 'one that nobody has, where an address6 is "auto"',
        doc = "The same for IPv6." },
      address("auto", ', "auto": one of subnet that nobody has'),
      address6("auto", ', "auto": one of subnet6 that nobody has' .. WITHOUT),
      gateway(false, '"auto" is the host, which then has the first address of subnet on the bridge'), gateway6(false),
      { "isolated", "boolean", default = false, example = "true",
        doc = "It reaches no other isolated port of the bridge, but by what that one publishes." }, nat, behind, mtu,
      { "mac", "mac", shown = "one that goes with its address, always the same", example = '"02:00:00:00:00:07"',
        doc = "Its Ethernet address." }, routes },
    macvlan = record { positional = { "parent" }, example = 'macvlan { "enp1s0", address = "192.0.2.7/24" }',
      doc = "A device of its own on one of the host's: in the network that this one is in; the host itself is not reached.",
      { "parent", "link_name", required = true, example = '"enp1s0"', doc = "The host's device." }, name,
      { "mode", make.choice { "bridge", "private", "vepa", "passthru" }, default = "bridge", example = '"private"',
        doc = "What it reaches of others on the same device: bridge all, private none, vepa by a switch outside." },
      address(false, ""), address6(false, ""), gateway(false, "a router there"), gateway6(false), mtu, mac, routes },
    link = record { positional = { "to" },
      example = 'link { "router", address = "10.1.0.2/24", peer = { name = "eth1", address = "10.1.0.1/24" } }',
      doc = "A wire to another container, which runs already, in the background.",
      { "to", "name", required = true, example = '"router"', doc = "The other container's name." }, name,
      address(false, ""), address6(false, ""), gateway(false, "a router there"), gateway6(false), mtu, mac, routes,
      { "peer", record { name = "peer",
          { "name", "interface_name", required = true, example = '"eth1"', doc = "What the other container calls its end." },
          { "address", "cidr4", example = '"10.1.0.1/24"', doc = "Its IPv4 address there." },
          { "address6", "cidr6", example = '"fd00:1::1/64"', doc = "Its IPv6 address there." },
          { "gateway", "ip4", example = '"10.1.0.2"', doc = "Where the other container sends IPv4 packets to elsewhere." },
          { "gateway6", "ip6", example = '"fd00:1::2"', doc = "The same for IPv6." },
          { "mac", "mac", example = '"02:00:00:00:00:08"', doc = "Its Ethernet address." },
          { "routes", routes[2], example = '{ { "10.6.0.0/16", "10.1.0.2" } }',
            doc = "Routes of the other container by it, besides that of its own network; they go with the link." } },
        required = true, example = '{ name = "eth1", address = "10.1.0.1/24" }', doc = "The other end." } },
    user = record { positional = { "backend" },
      doc = "The outside world by an installed program that luge starts and watches, pasta or slirp4netns, as an ordinary user "
        .. "too: what the container sends is the program's own. It gives addresses and routes; the host's loopback is not reached.",
      { "backend", make.choice { "pasta", "slirp4netns" }, shown = "the one that is installed, pasta before slirp4netns",
        example = '"pasta"', doc = "The program." }, name, mtu, mac },
  }

  local interfaces = list(typed { name = "interface", takes = setmetatable({ "veth", "bridge", "macvlan", "link", "user" },
    { __index = { record = function(kind) return kinds[kind] end } }) })

  -- What is let in and out ----------------------------------------------------------------------------------

  local publish = record { name = "publish", positional = { "host", "guest" },
    { "host", "host_port", required = true, example = '"127.0.0.1:8080"',
      doc = "The host's port, with an address of the host's where it is not all of them." },
    { "guest", "port", shown = "the host's", example = "80", doc = "The container's port." },
    { "proto", choice { "tcp", "udp" }, default = "tcp", shown = '"tcp"', example = '"udp"', doc = "Its protocol." } }

  local allow = record { name = "allow", positional = { "cidr", "port" },
    { "cidr", "network", example = '"192.0.2.0/24"',
      doc = "The network. The host's own addresses and 169.254.169.254 are allowed only one by one, never by a wider one." },
    { "host", "text", enforced = false, because = "write its addresses: cidr", example = '"example.org"',
      doc = "The same by its name." },
    { "port", "port_range", shown = "any", example = '"8000-8999"', doc = "The port, or a range of them." },
    { "proto", choice { "tcp", "udp", "icmp", "sctp" }, shown = "any; tcp and udp with port", example = '"tcp"',
      doc = "The protocol." },
    check = function(v)
      if not v.cidr and not v.host then return "cidr", "is missing" end
      if v.port and v.proto == "icmp" then return "port", "means nothing to icmp" end
    end }

  local egress = record { name = "egress",
    { "allow", list(allow), default = {}, shown = "{}", example = '{ { cidr = "192.0.2.0/24", port = 443, proto = "tcp" } }',
      doc = "What it may connect to." },
    { "internet", "boolean", default = false, example = "true",
      doc = "It may connect to whatever is neither the host nor a private network." },
    { "log", "boolean", default = false, example = "true", doc = "Each destination that is denied is reported, once." } }

  local function rate(direction, what)
    return { direction, "rate", unit = "bytes a second", example = '"10mbit"',
      doc = what .. ", bits in a second: kbit, mbit, gbit." }
  end
  local bandwidth = record { name = "bandwidth", rate("down", "The most that it receives"), rate("up", "The most that it sends"),
    { "burst", "size", unit = "bytes", min = 2048, max = 4294967295, shown = "4 ms of the rate, at least 16K and a packet",
      example = '"64K"', doc = "What may pass at once after a rest: at least a packet of each interface, mtu + 18." } }

  local network = record { name = "network",
    { "interfaces", interfaces, default = {}, shown = "{}", example = '{ veth { } }', doc = "Its interfaces, in order." },
    { "publish", list(publish), default = {}, shown = "{}", example = '{ { host = "127.0.0.1:8080", guest = 80 } }',
      doc = "Ports of the host that lead into the container; where they are not only its loopback's, the host forwards packets "
        .. "of containers meanwhile, as for nat." },
    { "egress", egress, off = true, default = { allow = {}, log = false, internet = false }, shown = "{}",
      example = '{ allow = { { cidr = "192.0.2.0/24", port = 443 } } }',
      doc = "Where it may connect to besides its neighbours on a bridge or link: nowhere unless it says so; false: anywhere." },
    { "bandwidth", bandwidth, example = '{ down = "10mbit", up = "2mbit" }', doc = "What each of its interfaces carries." },
    { "hosts", map("ip", "host_alias"), default = {}, example = '{ db = "192.0.2.1" }',
      doc = "Names in /etc/hosts, and what they stand for." },
    { "dns", list "ip", default = {}, example = '{ "192.0.2.53" }', doc = "Name servers, in /etc/resolv.conf." },
    { "join", "join", example = '"/run/netns/blue"',
      doc = "The path of a network namespace, or the name of a container, of its group or of yours, whose network it is in. "
        .. "With id_map = \"host\" root in it has power over that network, with or without a capability, as whoever made a "
        .. "namespace has: the egress of macvlan and user interfaces, which is limited there, is no limit to it." },
    { "pod", "name", example = '"web"', doc = "The containers with this word share one network, made by the first of them." },
    check = function(v)
      local one = v.join and "join" or v.pod and "pod"
      for _, other in ipairs { "interfaces", "publish", "bandwidth", "pod" } do
        local value = v[other]
        if one and other ~= one and value and (type(value) ~= "table" or next(value)) then
          return other, ("excludes %s, which takes a network as it is"):format(one), other == "publish"
            and "publish in one container that has interfaces, and join = its name in the others" or nil
        end
      end
    end }
  -- { type = "user", … } is short for a network of that one interface.
  local user = record { name = "network", doc = kinds.user.doc }
  for i, field in ipairs(kinds.user) do user[i] = field end
  for _, field in ipairs(network) do
    if field[1] == "publish" or field[1] == "hosts" or field[1] == "dns" then user[#user + 1] = field end
  end
  user[#user + 1] = { "egress", egress, off = true, default = false, shown = "false", example = "{ internet = true }",
    doc = "Where it may connect to; false: wherever luge may." }
  return network, kinds, user
end
