-- SPDX-License-Identifier: MIT
-- netns.link: the links of a namespace as objects, and what can be changed of one. How they are made is in
-- netns.kinds. Source: rtnetlink(7), and the kernel's rtnetlink.c where that is silent.

local S = require "syscall"
local check = require "netns.check"
local nl = require "netns"

local IFLA, IFF, RTM = S.c.IFLA, S.c.IFF, S.c.RTM
local LINK_HEADER = "I1 x I2 i4 I4 I4" -- struct ifinfomsg: family, type, index, flags, which flags change
local HEADER_SIZE = string.packsize(LINK_HEADER)

local ARP_TYPE = { [1] = "ether", [772] = "loopback", [65534] = "none", [768] = "ipip", [776] = "sit" }

local M = {}

--- A message about the link `index` (0: another attribute names it), with flags set or not: { [IFF.UP] = true }.
function M.message(type, flags, index, changes)
  local set, mask = 0, 0
  for bit, on in pairs(changes or {}) do
    mask = mask | bit
    if on then set = set | bit end
  end
  return nl.message(type, flags, LINK_HEADER:pack(0, 0, index, set, mask))
end

-- ---- links as the kernel describes them ----

local OPERSTATE = {}
for name, value in pairs(S.c.IF_OPER) do OPERSTATE[value] = name end

local FLAG_ORDER = { "LOOPBACK", "BROADCAST", "POINTOPOINT", "MULTICAST", "NOARP", "PROMISC", "ALLMULTI", "MASTER", "SLAVE",
  "DYNAMIC", "UP", "LOWER_UP", "DORMANT" }

local methods, meta = {}, {}
meta.__index = methods
M.methods = methods

local function decode(data, netns)
  local _, kind, index, flags = LINK_HEADER:unpack(data)
  local _, a = nl.attributes(data, HEADER_SIZE)
  local function u32(type) return a[type] and ("I4"):unpack(a[type]) end
  local link = { index = index, name = ("z"):unpack(a[IFLA.IFNAME]), type = ARP_TYPE[kind] or kind, mtu = u32(IFLA.MTU),
    flags = flags, is_up = flags & IFF.UP ~= 0, is_running = flags & IFF.LOWER_UP ~= 0,
    mac = a[IFLA.ADDRESS] and #a[IFLA.ADDRESS] == 6 and check.mac_text(a[IFLA.ADDRESS]) or nil,
    master_index = u32(IFLA.MASTER), parent_index = u32(IFLA.LINK), queue = u32(IFLA.TXQLEN), group = u32(IFLA.GROUP),
    state = a[IFLA.OPERSTATE] and OPERSTATE[a[IFLA.OPERSTATE]:byte()],
    netns_id = a[IFLA.LINK_NETNSID] and ("i4"):unpack(a[IFLA.LINK_NETNSID]),
    alias = a[IFLA.IFALIAS] and ("z"):unpack(a[IFLA.IFALIAS] .. "\0") }
  if a[IFLA.LINKINFO] then
    local _, info = nl.attributes(a[IFLA.LINKINFO])
    local word = info[S.c.IFLA_INFO.KIND]
    link.kind = word and word:match "^[^%z]*"
    link.data, link.port_data = info[S.c.IFLA_INFO.DATA], info[S.c.IFLA_INFO.SLAVE_DATA]
  end
  if netns then rawset(link, "netns", netns) end
  return setmetatable(link, meta)
end

local function flag_words(flags)
  local words = {}
  for _, name in ipairs(FLAG_ORDER) do
    if flags & IFF[name] ~= 0 then words[#words + 1] = name end
  end
  return table.concat(words, ",")
end

-- The name of the link above, which is asked for when it is to be printed; its index, where it has gone.
local function master_text(link)
  local replies = nl.request(M.message(RTM.GETLINK, nil, link.master_index), rawget(link, "netns"))
  return replies and nl.attribute(replies[1].data, HEADER_SIZE, IFLA.IFNAME):sub(1, -2) or link.master_index
end

-- As `ip address` shows one.
function meta:__tostring()
  local lines = { ("%d: %s%s: <%s> mtu %d%s state %s"):format(self.index, self.name,
    self.parent_index and self.parent_index ~= 0 and "@if" .. self.parent_index or "", flag_words(self.flags), self.mtu or 0,
    self.master_index and " master " .. master_text(self) or "", self.state or "UNKNOWN") }
  lines[2] = ("    link/%s%s%s"):format(self.type, self.mac and " " .. self.mac or "", self.kind and " " .. self.kind or "")
  for _, address in ipairs(self.addresses or {}) do lines[#lines + 1] = "    " .. tostring(address) end
  return table.concat(lines, "\n")
end

--- nl.link(name [, netns]) -> link
-- A link as the kernel describes it: { index=, name=, type=, kind=, mtu=, mac=, flags=, is_up=, is_running=, state=,
-- master_index=, parent_index=, alias= … }, with the methods up, down, address(…), deladdress(…), setmtu(n), setmac(text),
-- rename(name), master(name or false), set{…}, port{…} and refresh, each of which returns it as it is then, move(netns) and
-- delete. ljsyscall's nl.interface(name) is nl.link(name):refresh(); its macaddr, inet and move_ns are mac, addresses and move.
-- Errors: NODEV. Source: rtnetlink(7), RTM_GETLINK.
function nl.link(name, netns)
  local message = M.message(RTM.GETLINK, nil, 0):string(IFLA.IFNAME, check.name(name, "#1"))
  local replies, err, errno = nl.request(message, netns and check.netns(netns, "#2"))
  if not replies then return nil, err, errno end
  return decode(replies[1].data, netns)
end

local SKIP_STATS = 8 -- RTEXT_FILTER_SKIP_STATS

-- Here functions are passed with their arguments: one that is made in each call costs more than the call.

--- f(socket, …) with a socket in a namespace; its results.
local function with_socket(netns, f, ...)
  local socket, err, errno = nl.open_in(netns)
  if not socket then return nil, err, errno end
  local replies, index
  replies, err, errno, index = f(socket, ...)
  socket:close()
  return replies, err, errno, index
end

local function index_by(socket, name) return socket:index(name) end

--- The index of a link by a socket of its own.
function M.index(name, netns) return with_socket(netns, index_by, name) end

local function request_about(socket, name, compose, ...)
  local index, err, errno = socket:index(name)
  if not index then return nil, err, errno end
  local said = compose(index, ...)
  if type(said) == "table" then return socket:batch(said) end
  return socket:request(said)
end

--- Sends what compose(index, …) says about the link `name`, a message or a list of them; true, or nil, err, errno.
function M.send_about(name, netns, compose, ...)
  return M.done(with_socket(netns, request_about, name, compose, ...))
end

--- The names by index, of all links, and which indices are up. Errors as of a dump.
function M.names(netns)
  local ask = M.message(RTM.GETLINK, nil, 0):u32(IFLA.EXT_MASK, SKIP_STATS)
  local replies, err, errno = nl.request(ask, netns, "dump")
  if not replies then return nil, err, errno end
  local names, up = {}, {}
  for _, reply in ipairs(replies) do
    local _, _, index, flags = LINK_HEADER:unpack(reply.data)
    names[index] = nl.attribute(reply.data, HEADER_SIZE, IFLA.IFNAME):sub(1, -2)
    up[index] = flags & IFF.UP ~= 0 or nil
  end
  return names, up
end

--- The kind of a link, as nl.link has it, or nil. Errors as of nl.link.
function M.kind(name)
  local ask = M.message(RTM.GETLINK, nil, 0):string(IFLA.IFNAME, name):u32(IFLA.EXT_MASK, SKIP_STATS)
  local replies, err, errno = nl.request(ask)
  if not replies then return nil, err, errno end
  local info = nl.attribute(replies[1].data, HEADER_SIZE, IFLA.LINKINFO)
  local kind = info and nl.attribute(info, 0, S.c.IFLA_INFO.KIND)
  return kind and kind:match "^[^%z]*"
end

--- nl.interfaces([netns]) -> list of links
-- Every link with its addresses, in the order of their indices, and by name: `nl.interfaces().eth0:up()`. It prints as
-- `ip address` does. The objects are as of nl.link, with addresses = as of nl.addresses.
function nl.interfaces(netns)
  if netns then check.netns(netns, "#1") end
  local replies, err, errno = nl.request(M.message(RTM.GETLINK, nil, 0), netns, "dump")
  if not replies then return nil, err, errno end
  local addresses
  addresses, err, errno = nl.addresses { netns = netns }
  if not addresses then return nil, err, errno end
  local list, by_index = {}, {}
  for i, reply in ipairs(replies) do
    local link = decode(reply.data, netns)
    link.addresses, list[i], by_index[link.index] = {}, link, link
  end
  for _, address in ipairs(addresses) do
    local link = by_index[address.index]
    if link then link.addresses[#link.addresses + 1] = address end
  end
  table.sort(list, function(a, b) return a.index < b.index end)
  for _, link in ipairs(list) do list[link.name] = link end
  return setmetatable(list, check.list_meta)
end

-- ---- changes ----

--- What any link can be given when it is made, and later.
M.COMMON = { name = check.name, mtu = check.u31, mac = check.mac, up = check.boolean,
  queue = check.u31, group = check.u31, arp = check.boolean, multicast = check.boolean, promisc = check.boolean,
  netns = check.netns }

--- The flags that checked fields ask for, for M.message.
function M.flags_of(t)
  local changes = {}
  if t.up ~= nil then changes[IFF.UP] = t.up end
  if t.arp ~= nil then changes[IFF.NOARP] = not t.arp end
  if t.multicast ~= nil then changes[IFF.MULTICAST] = t.multicast end
  if t.promisc ~= nil then changes[IFF.PROMISC] = t.promisc end
  return changes
end

--- Adds the attributes that checked fields ask for.
function M.put_common(message, t)
  if t.mtu then message:u32(IFLA.MTU, t.mtu) end
  if t.mac then message:bytes(IFLA.ADDRESS, t.mac) end
  if t.queue then message:u32(IFLA.TXQLEN, t.queue) end
  if t.group then message:u32(IFLA.GROUP, t.group) end
  return message
end

--- Adds the attribute that puts a link into a namespace.
function M.put_netns(message, netns)
  if math.type(netns) == "integer" then return message:u32(IFLA.NET_NS_PID, netns) end
  return message:u32(IFLA.NET_NS_FD, netns:getfd())
end

--- A master by name, or false for none.
function M.master(value, what)
  if value == false then return false end
  return check.name(value, what)
end

--- The reply as true, or nil, err, errno.
function M.done(replies, err, errno)
  if not replies then return nil, err, errno end
  return true
end

-- An alias is one of them: the kernel passes over that of a link being made.
local SETTABLE = { master = M.master, move = check.netns, alias = check.string, link_local = check.boolean,
  addresses = check.table, neighbours = check.table }

-- Whether the link gets an IPv6 address of its own making, by the way the kernel makes it: EUI-64, or none.
local function put_link_local(message, on)
  return message:nest(IFLA.AF_SPEC):nest(S.c.AF.INET6):u8(S.c.IFLA_INET6.ADDR_GEN_MODE, on and 0 or 1):done():done()
end

-- The request of nl.set, by a socket in the link's namespace.
local function change(socket, name, t)
  local index, master, err, errno
  index, err, errno = socket:index(name)
  if not index then return nil, err, errno end
  if t.master then
    master, err, errno = socket:index(t.master)
    if not master then return nil, err, errno end
  end
  local message = M.put_common(M.message(RTM.NEWLINK, nil, index, M.flags_of(t)), t)
  if t.name then message:string(IFLA.IFNAME, t.name) end
  if t.master ~= nil then message:u32(IFLA.MASTER, master or 0) end
  if t.alias then message:string(IFLA.IFALIAS, t.alias) end
  if t.move then M.put_netns(message, t.move) end
  -- On its own, and first: the kernel sets the link up before it looks at this, and down after the name.
  local first
  if t.link_local ~= nil then
    local ok
    ok, err, errno = socket:request(put_link_local(M.message(RTM.NEWLINK, nil, index), t.link_local))
    -- A kernel without IPv6, or a link whose mtu is too small for it, makes no address.
    if not ok and (t.link_local or not err.AFNOSUPPORT) then return nil, err, errno end
  elseif t.name and t.up == false then
    first = M.message(RTM.NEWLINK, nil, index, { [IFF.UP] = false })
  end
  if not first and not t.addresses and not t.neighbours then return socket:request(message) end
  local messages = first and { first, message } or { message }
  for _, given in ipairs(t.addresses or {}) do messages[#messages + 1] = require("netns.address").message(index, given) end
  for _, entry in ipairs(t.neighbours or {}) do messages[#messages + 1] = require("netns.neighbour").message(index, entry) end
  return socket:batch(messages)
end

--- nl.set(name, { mtu=, mac=, name=, up=, master=name or false, move=netns, alias=, queue=, group=, arp=, multicast=,
--- promisc=, link_local=, addresses=, neighbours=, netns= }) -> true
-- Changes a link, all in one request: name is the new one, move the namespace it goes to, netns the one it is in;
-- link_local=false: it gets no IPv6 address of its own making when it is set up. addresses: what it is given after that, a list
-- of "10.0.0.2/24" or { "10.0.0.2/24", flags or options of nl.address }; neighbours: who is where on it, a list of entries of
-- nl.neighbour. A link that is renamed has to be down
-- before Linux 6.2. Errors: NODEV, BUSY, EXIST, PERM. Source: rtnetlink(7), RTM_NEWLINK.
function nl.set(name, changes)
  name = check.name(name, "#1")
  local t = check.fields(changes, "#2", M.COMMON, SETTABLE)
  return M.done(with_socket(t.netns, change, name, t))
end

--- nl.rename(name, new [, netns]) -> true
-- Gives a link another name. Errors: EXIST, NODEV; BUSY for one that is up, before Linux 6.2.
function nl.rename(name, new, netns)
  return nl.set(name, { name = check.name(new, "#2"), netns = netns })
end

--- nl.move(name, to [, netns]) -> true
-- Puts a link into another namespace, a descriptor or the pid of a process in it; it loses its addresses and is down.
-- Errors: INVAL for those that belong to their namespace, lo among them; EXIST for a name that is taken there.
function nl.move(name, to, netns)
  return nl.set(name, { move = check.netns(to, "#2"), netns = netns })
end

--- nl.delete(name [, netns]) -> true
-- Removes a link, and with one end of a veth the other. It waits until nobody uses it: 30 ms and more; links end with
-- their namespace as well. Errors: NODEV; OPNOTSUPP for real devices and lo.
function nl.delete(name, netns)
  local message = M.message(RTM.DELLINK, nil, 0):string(IFLA.IFNAME, check.name(name, "#1"))
  return M.done(nl.request(message, netns and check.netns(netns, "#2")))
end

-- ---- methods ----

-- A method's result: the link as it is now, so that the next one can be written behind it.
local function now(self, ok, err, errno)
  if not ok then return nil, err, errno end
  return self:refresh()
end

--- link:up() -> link
-- Sets it up; the result is the link itself, refreshed, as of every method but move and delete: l:setmtu(1400):up(). Errors:
-- as of nl.up.
function methods:up() return now(self, nl.up(self.name, self.netns)) end

--- link:down() -> link
-- Sets it down. Errors: as of nl.up.
function methods:down() return now(self, nl.down(self.name, self.netns)) end

--- link:delete() -> true
-- Errors: as of nl.delete.
function methods:delete() return nl.delete(self.name, self.netns) end

--- link:move(netns) -> true
-- Puts it into another namespace, where nl.link finds it. Errors: as of nl.move.
function methods:move(to) return nl.move(self.name, to, self.netns) end

--- link:set{ mtu=, … } -> link
-- Changes it: fields and errors of nl.set.
function methods:set(changes)
  local all = { netns = self.netns }
  for key, value in pairs(check.table(changes, "#1")) do all[key] = value end
  local ok, err, errno = nl.set(self.name, all)
  if not ok then return nil, err, errno end
  self.name = all.name or self.name
  return all.move and self or self:refresh()
end

--- link:setmtu(bytes) -> link
-- Errors: as of nl.set.
function methods:setmtu(mtu) return self:set { mtu = check.u31(mtu, "#1") } end

--- link:setmac("02:00:00:00:00:01") -> link
-- Errors: as of nl.set.
function methods:setmac(mac)
  check.mac(mac, "#1")
  return self:set { mac = mac }
end

--- link:master(name or false) -> link
-- Puts it into a bridge, or out of it. Errors: as of nl.set.
function methods:master(name) return self:set { master = M.master(name, "#1") } end

--- link:rename(name) -> link
-- Errors: as of nl.rename.
function methods:rename(new) return self:set { name = check.name(new, "#1") } end

local function with_netns(self, options)
  local all = { netns = self.netns }
  if type(options) ~= "table" then all.flags = options else
    for key, value in pairs(options) do all[key] = value end
  end
  return all
end

--- link:address("10.0.0.1/24" [, options]) -> link
-- Gives it an address; options and errors of nl.address.
function methods:address(cidr, options) return now(self, nl.address(self.name, cidr, with_netns(self, options))) end

--- link:deladdress("10.0.0.1/24") -> link
-- Errors: as of nl.deladdress.
function methods:deladdress(cidr) return now(self, nl.deladdress(self.name, cidr, self.netns)) end

--- link:port{ isolated=, … } -> link
-- What a bridge's port does; options and errors of nl.port.
function methods:port(options) return now(self, nl.port(self.name, with_netns(self, options))) end

--- link:refresh() -> link
-- Asks the kernel again, for the addresses as well. Errors: as of nl.link.
function methods:refresh()
  local fresh, err, errno = nl.link(self.name, self.netns)
  if not fresh then return nil, err, errno end
  fresh.addresses, err, errno = nl.addresses { dev = self.name, netns = self.netns }
  if not fresh.addresses then return nil, err, errno end
  for key in pairs(self) do self[key] = nil end
  for key, value in pairs(fresh) do self[key] = value end
  return self
end

return M
