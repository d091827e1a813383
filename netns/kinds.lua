-- SPDX-License-Identifier: MIT
-- netns.kinds: links are made: veth, bridge, macvlan, vlan, dummy, vxlan; and what a bridge is told of its ports.
-- Each function takes one table of plain data. Source: ip-link(8) for what the fields mean, linux/if_link.h.

local S = require "syscall"
local check = require "netns.check"
local links = require "netns.link"
local nl = require "netns"

local IFLA, INFO, RTM = S.c.IFLA, S.c.IFLA_INFO, S.c.RTM
local ETH_P = { ["802.1q"] = 0x8100, ["802.1ad"] = 0x88a8 }

local function as_flag(on) return on and 1 or 0 end

-- Adds the attributes of `fields` ({ name = { check, put, type } }) that t has.
local function put_fields(message, fields, t)
  for _, name in ipairs(check.sorted_keys(fields)) do
    local value = t[name]
    local put, type = fields[name][2], fields[name][3]
    if value == true or value == false then value = as_flag(value) end
    if value ~= nil and put then message[put](message, type, value) end
  end
end

local function checks_of(fields)
  local checks = {}
  for name, field in pairs(fields) do checks[name] = field[1] end
  return checks
end

-- Makes a link. t: checked fields; put(message, …): adds the kind's own attributes, after nest(INFO.DATA).
local function make(kind, t, put, ...)
  local index, master, err, errno
  if t.link then
    index, err, errno = links.index(t.link, t.link_netns or t.netns)
    if not index then return nil, err, errno end
  end
  if t.master then
    master, err, errno = links.index(t.master, t.netns)
    if not master then return nil, err, errno end
  end
  local message = links.message(RTM.NEWLINK, "create, excl", 0, links.flags_of(t))
  if t.name then message:string(IFLA.IFNAME, t.name) end
  links.put_common(message, t)
  if index then message:u32(IFLA.LINK, index) end
  if master then message:u32(IFLA.MASTER, master) end
  if t.into then links.put_netns(message, t.into) end
  message:nest(IFLA.LINKINFO):string(INFO.KIND, kind)
  if put then
    message:nest(INFO.DATA)
    put(message, ...)
    message:done()
  end
  return links.done(nl.request(message:done(), t.netns))
end

-- Beside the common ones: the master of a new link, and the namespace it is made into from here.
local NEW = { master = check.name, into = check.netns }

--- nl.create{ kind=, name=, … } -> true
-- A link of a kind that has no settings of its own, such as "ifb". Beside name (the kernel chooses one if not given) any
-- maker takes mtu, mac, up, master (name of a bridge), queue, group, arp, multicast, promisc; netns: where to work,
-- into: a namespace that the link is put into when made. Errors: EXIST; OPNOTSUPP when the kernel has no such kind; PERM.
function nl.create(what)
  local t = check.fields(what, "#1", links.COMMON, NEW, { kind = check.string })
  check.need(t, "kind", "the kind of a link, such as \"dummy\"")
  return make(t.kind, t)
end

--- nl.dummy{ name=, … } -> true
-- A link that takes what is sent and drops it; fields of nl.create.
function nl.dummy(what)
  return make("dummy", check.fields(what, "#1", links.COMMON, NEW))
end

-- No `up`: the kernel takes it for an end that has no other yet (ENOTCONN).
local PEER = { name = check.name, mtu = check.u31, mac = check.mac, netns = check.netns,
  queue = check.u31, arp = check.boolean, multicast = check.boolean }

local function peer(value, name)
  if type(value) == "string" then value = { name = value } end
  return check.fields(value, name, PEER)
end

local VETH = { peer = peer }

-- The peer's attributes stand after a header of its own, which nests have none of: bytes.
local function put_peer(message, t)
  local inner = links.put_common(links.message(RTM.NEWLINK, nil, 0, links.flags_of(t)), t)
  if t.name then inner:string(IFLA.IFNAME, t.name) end
  if t.netns then links.put_netns(inner, t.netns) end
  message:bytes(S.c.VETH_INFO.PEER, inner:tobytes():sub(17)) -- without the netlink header
end

--- nl.veth{ name=, peer={ name=, netns=, mtu=, mac= }, … } -> true
-- Two links that are the ends of one wire. The peer's netns is where that end is made: at once, under its own name, so
-- that nobody ever sees it here; it is down. Fields of nl.create. Errors: EXIST, also for the peer's name in its namespace.
-- Source: veth(4).
function nl.veth(what)
  local t = check.fields(what, "#1", links.COMMON, NEW, VETH)
  return make("veth", t, put_peer, t.peer or {})
end

local BR = S.c.IFLA_BR
local BRIDGE = {
  stp = { check.boolean, "u32", BR.STP_STATE },
  forward_delay = { check.seconds, "u32", BR.FORWARD_DELAY },
  hello_time = { check.seconds, "u32", BR.HELLO_TIME },
  max_age = { check.seconds, "u32", BR.MAX_AGE },
  ageing = { check.seconds, "u32", BR.AGEING_TIME },
  priority = { check.u16, "u16", BR.PRIORITY },
  vlan_filtering = { check.boolean, "u8", BR.VLAN_FILTERING },
  default_vlan = { check.u16, "u16", BR.VLAN_DEFAULT_PVID },
  snooping = { check.boolean, "u8", BR.MCAST_SNOOPING },
  querier = { check.boolean, "u8", BR.MCAST_QUERIER },
  forward_mask = { check.u16, "u16", BR.GROUP_FWD_MASK },
}
local BRIDGE_CHECKS = checks_of(BRIDGE)

--- nl.bridge{ name=, stp=boolean, forward_delay=s, hello_time=s, max_age=s, ageing=s, priority=, vlan_filtering=boolean,
--- default_vlan=, snooping=boolean, querier=boolean, forward_mask=, … } -> true
-- A bridge; links get into it by master. Fields of nl.create. Source: ip-link(8), bridge.
function nl.bridge(what)
  local t = check.fields(what, "#1", links.COMMON, NEW, BRIDGE_CHECKS)
  return make("bridge", t, function(message) put_fields(message, BRIDGE, t) end)
end

local BRPORT = S.c.IFLA_BRPORT
local PORT = {
  isolated = { check.boolean, "u8", BRPORT.ISOLATED },
  hairpin = { check.boolean, "u8", BRPORT.MODE },
  learning = { check.boolean, "u8", BRPORT.LEARNING },
  flood = { check.boolean, "u8", BRPORT.UNICAST_FLOOD },
  multicast_flood = { check.boolean, "u8", BRPORT.MCAST_FLOOD },
  broadcast_flood = { check.boolean, "u8", BRPORT.BCAST_FLOOD },
  neighbour_suppress = { check.boolean, "u8", BRPORT.NEIGH_SUPPRESS },
  locked = { check.boolean, "u8", BRPORT.LOCKED },
  guard = { check.boolean, "u8", BRPORT.GUARD },
  root_block = { check.boolean, "u8", BRPORT.PROTECT },
  fast_leave = { check.boolean, "u8", BRPORT.FAST_LEAVE },
  priority = { check.u16, "u16", BRPORT.PRIORITY },
  cost = { check.u31, "u32", BRPORT.COST },
}
local PORT_CHECKS = checks_of(PORT)

--- nl.port(name, { isolated=, hairpin=, learning=, flood=, multicast_flood=, broadcast_flood=, neighbour_suppress=, locked=,
--- guard=, root_block=, fast_leave=, priority=, cost=, netns= }) -> true
-- What the bridge does with a port of its. An isolated port reaches no other isolated one. Errors: NODEV; INVAL or
-- OPNOTSUPP for a link that is no port. Source: bridge(8).
function nl.port(name, options)
  name = check.name(name, "#1")
  local t = check.fields(options, "#2", PORT_CHECKS, { netns = check.netns })
  local message = links.message(RTM.NEWLINK, nil, 0):string(IFLA.IFNAME, name)
    :nest(IFLA.LINKINFO):string(INFO.SLAVE_KIND, "bridge"):nest(INFO.SLAVE_DATA)
  put_fields(message, PORT, t)
  return links.done(nl.request(message:done():done(), t.netns))
end

local PARENT = { link = check.name, link_netns = check.netns }

--- nl.macvlan{ name=, link=parent, mode="bridge", … } -> true
-- A link with a hardware address of its own on another one; mode: "bridge" (if not given), "private", "vepa",
-- "passthru", "source". Fields of nl.create. Errors: NODEV, BUSY. Source: ip-link(8), macvlan.
function nl.macvlan(what)
  local t = check.fields(what, "#1", links.COMMON, NEW, PARENT, { mode = check.const "MACVLAN_MODE" })
  check.need(t, "link", "the name of the link it is on")
  return make("macvlan", t, function(message)
    message:u32(S.c.IFLA_MACVLAN.MODE, t.mode or S.c.MACVLAN_MODE.BRIDGE)
  end)
end

local function vlan_id(value, what)
  if check.u16(value, what) > 4094 or value < 1 then check.fail(what, "a number from 1 to 4094", value) end
  return value
end

local function vlan_protocol(value, what)
  return ETH_P[type(value) == "string" and value:lower()] or check.fail(what, "\"802.1Q\" or \"802.1ad\"", value)
end

--- nl.vlan{ name=, link=parent, id=1…4094, protocol="802.1Q", … } -> true
-- The frames of another link that carry a VLAN's number. Fields of nl.create. Source: ip-link(8), vlan.
function nl.vlan(what)
  local t = check.fields(what, "#1", links.COMMON, NEW, PARENT, { id = vlan_id, protocol = vlan_protocol })
  check.need(t, "link", "the name of the link it is on")
  check.need(t, "id", "a number from 1 to 4094")
  return make("vlan", t, function(message)
    message:u16(S.c.IFLA_VLAN.ID, t.id)
    if t.protocol then message:be16(S.c.IFLA_VLAN.PROTOCOL, t.protocol) end
  end)
end

local function vni(value, what)
  if check.u32(value, what) > 0xffffff then check.fail(what, "a number of 24 bits", value) end
  return value
end

local VXLAN = { id = vni, link = check.name, remote = check.ip, ["local"] = check.ip, port = check.u16, ttl = check.u8,
  tos = check.u8, learning = check.boolean }

--- nl.vxlan{ name=, id=, remote=address or multicast group, ["local"]=address, link=, port=4789, ttl=, tos=, learning=,
--- … } -> true
-- Frames in UDP to another machine. Fields of nl.create. Source: ip-link(8), vxlan.
function nl.vxlan(what)
  local t = check.fields(what, "#1", links.COMMON, NEW, VXLAN)
  check.need(t, "id", "a number of 24 bits")
  local parent, err, errno
  if t.link then
    parent, err, errno = links.index(t.link, t.netns)
    if not parent then return nil, err, errno end
  end
  local A, own = S.c.IFLA_VXLAN, t["local"]
  t.link = nil -- said in the kind's own attributes
  return make("vxlan", t, function(message)
    message:u32(A.ID, t.id):be16(A.PORT, t.port or 4789)
    if t.remote then message:bytes(t.remote.family == "inet" and A.GROUP or A.GROUP6, t.remote.bytes) end
    if own then message:bytes(own.family == "inet" and A.LOCAL or A.LOCAL6, own.bytes) end
    if parent then message:u32(A.LINK, parent) end
    if t.ttl then message:u8(A.TTL, t.ttl) end
    if t.tos then message:u8(A.TOS, t.tos) end
    if t.learning ~= nil then message:u8(A.LEARNING, as_flag(t.learning)) end
  end)
end
