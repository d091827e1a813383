-- SPDX-License-Identifier: MIT
-- netns.bridge: a bridge that several processes use, each for as long as it lives, made by the first and removed by the
-- last. Who uses it has a shared lock on a file; who could have an exclusive one is alone. The file says what its maker is
-- about to make, name and Ethernet address, for whoever clears up after one that was killed (`luge gc`): by the address a
-- bridge of luge's is told from another's of that name.

local S = require "syscall"
local check = require "netns.check"
local nl = require "netns"
local pool = require "netns.pool"
local shared = require "netns.shared"

local M = {}

local held = {} -- path → descriptor: the locks of this process

-- Another link with an address of the same network, of a maker who chose it at the same moment, and came first.
local function is_taken(name, networks)
  local own = nl.link(name)
  for _, address in ipairs(nl.addresses() or {}) do
    for _, cidr in ipairs(networks) do
      local ip = check.parse_cidr(cidr)
      if address.index ~= own.index and address.family == ip.family and address.prefix == ip.prefix
        and pool.contains(cidr, address.address) and address.index < own.index then
        return true
      end
    end
  end
end

-- Gives a bridge its addresses. fd: the lock, where the bridge is another's: what it has not yet is noted there, for the last user
-- to take away.
local function add_addresses(fd, name, networks)
  local has, err, errno = {}, nil, nil
  if fd then has, err, errno = nl.addresses { dev = name } end
  if not has then return nil, err, errno end
  local there = {}
  for _, address in ipairs(has) do there[address.address] = true end
  for i, cidr in ipairs(networks) do
    local ip, ok = check.parse_cidr(cidr), true
    if not there[check.ip_text(ip.family, ip.bytes)] then
      if fd then ok, err, errno = S.note_lock(fd, ("address %s %s\n"):format(name, cidr)) end
      if ok then ok, err, errno = nl.address(name, cidr, { flags = ip.family == "inet6" and "nodad" or nil, replace = true }) end
    end
    if not ok then return nil, err, errno, i end
  end
  return true
end

local function numbered(want, number)
  local networks = {}
  for i, row in ipairs(want.networks or {}) do
    if type(row) == "string" then
      networks[i] = row
    else
      networks[i] = row.address or ("%s/%d"):format(nl.subnet(row.base, row.prefix, number, 1), row.prefix)
    end
  end
  return networks
end

local function avoids(avoid, number)
  for _, range in ipairs(avoid or {}) do
    if number >= range.first and number < range.first + range.count then return true end
  end
end

-- The first number whose networks nobody has, its addresses given to the bridge.
local function choose(name, want)
  local start = S.getpid() * 7
  for i = 0, want.count - 1 do
    local number = (start + i) % want.count
    if not avoids(want.avoid, number) then
      local networks = numbered(want, number)
      local ok, err, errno = add_addresses(nil, name, networks)
      if not ok then return nil, err, errno end
      if not is_taken(name, networks) then return number end
      for _, cidr in ipairs(networks) do nl.deladdress(name, cidr) end
    end
  end
  return S.failure("NOSPC", "all of them are in use")
end

-- Whether it was made now; false: it was there.
local function make_link(fd, name)
  local there = nl.link(name)
  if there and there.kind ~= "bridge" then
    return S.failure("EXIST", "the host has a link of that name, which is no bridge")
  elseif there then
    return false
  end
  -- Given, not made from the ports', it also stays when ports come and go.
  local mac, err, errno = nl.new_mac()
  local ok
  if mac then ok, err, errno = S.note_lock(fd, ("bridge %s %s\n"):format(name, mac)) end
  if ok then ok, err, errno = nl.bridge { name = name, mac = mac } end
  if not ok then return nil, err, errno end
  -- What the containers announce is nothing to the host.
  S.writefile(("/proc/sys/net/ipv6/conf/%s/accept_ra"):format(name), "0")
  return true
end

-- The bridge that a lock's text notes, if it is there: its name and its Ethernet address.
local function noted(text, netns)
  local name, mac = text:match "bridge (%S+) (%S+)\n"
  local link = name and nl.link(name, netns)
  if link and link.mac == mac then return name, mac end
end

local function remove_addresses(text, netns)
  for bridge, cidr in text:gmatch "address (%S+) (%S+)\n" do nl.deladdress(bridge, cidr, netns) end
end

--- Removes what a lock's text notes: the bridge, if it is that one, or addresses of another's; netns: where it is, the caller's
--- if not given.
function M.remove_noted(text, netns)
  remove_addresses(text, netns)
  local name = noted(text, netns)
  if name then nl.delete(name, netns) end
end

-- Makes the bridge and its addresses, alone with it; the number of its networks.
local function make(fd, name, want)
  local made, err, errno = make_link(fd, name)
  if made == nil then return nil, err, errno end
  local ok
  ok, err, errno = nl.set(name, made and { up = true, link_local = false } or { up = true })
  if not ok then return nil, err, errno end
  local number = 0
  if want.count then
    if not made then
      return S.failure("EXIST", ("the bridge is another's, and luge chooses no %s for it"):format(
        table.concat(want.lacks or { "networks" }, " and no ")))
    end
    number, err, errno = choose(name, want)
  elseif want.networks then
    ok, err, errno = add_addresses(not made and fd or nil, name, numbered(want, 0))
    number = ok and 0
  end
  if not number then return nil, err, errno end
  ok, err, errno = S.note_lock(fd, ("number %d\n"):format(number))
  if not ok then return nil, err, errno end
  return number
end

--- nl.hold_bridge(path, name [, { networks =, count =, avoid =, lacks = }]) -> number
-- Uses the bridge `name`, made unless it is there, until nl.leave_bridge or the end of the process; the lock is the file
-- `path`. networks: its addresses, "ADDRESS/WIDTH" each; with count, rows { base =, prefix = } or { address = } of which
-- the maker takes part number 0 … count - 1, which nobody has and avoid does not name (ranges { first =, count = }); lacks: what
-- those networks are called, for the message where the bridge is another's. The result is that number, 0 without count.
-- Errors: EXIST for another kind of link; PERM; NOSPC.
function nl.hold_bridge(path, name, want)
  check.name(name, "#2")
  want = want or {}
  if held[path] then return held[path].number end
  local fd, how, errno = shared.lock(path)
  if not fd then return nil, how, errno end
  local number, err
  if how == "ex" then
    M.remove_noted(S.pread(fd, 4096, 0) or "") -- a killed one's
    S.ftruncate(fd, 0)
    S.lseek(fd, 0, "set")
    number, err, errno = make(fd, name, want)
    if number then S.flock(fd, "sh") end -- from here on others may come
  else
    local text = S.pread(fd, 4096, 0) or ""
    number = tonumber(text:match "number (%d+)")
    if not number then
      number, err, errno = S.failure("BUSY", "another process failed to make it")
    elseif want.networks then -- the first user may have wanted none
      local ok
      ok, err, errno = add_addresses(not text:find "bridge " and fd or nil, name, numbered(want, number))
      number = ok and number
    end
  end
  if not number then
    if how == "ex" then
      M.remove_noted(S.pread(fd, 4096, 0) or "")
      S.unlink(path)
    end
    fd:close()
    return nil, err, errno
  end
  held[path] = { fd = fd, number = number }
  return number
end

--- nl.leave_bridge(path) -> true
-- The end of nl.hold_bridge; the last user removes what the first one made: of a bridge its name, at once, the rest by a process
-- that goes on for some 30 ms.
function nl.leave_bridge(path)
  local own = held[path]
  if not own then return true end
  held[path] = nil
  if S.flock(own.fd, "ex, nb") then
    local text = S.pread(own.fd, 4096, 0) or ""
    remove_addresses(text)
    local name, mac = noted(text)
    if name then require("netns.bridge_removal").remove(path, name, mac) end
    S.unlink(path)
  end
  own.fd:close()
  return true
end

return M
