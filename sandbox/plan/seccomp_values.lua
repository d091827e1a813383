-- SPDX-License-Identifier: MIT
-- sandbox.plan.seccomp_values: the numbers of a rule: names of constants, and how wide a comparison must be.
--
-- libseccomp compares 64 bits, most arguments have 32, and the program chooses what is in the upper half. So an
-- equality with a 32-bit argument is masked; and a comparison by order, or "unequal", is only taken where rubbish
-- in the upper half makes the answer stricter.

local S = require "syscall"

local M = {}

local LOW = 0xffffffff

-- Sets whose names are complete, not parted into a title and a rest.
local WHOLE = { "RULE", "IOCTL", "PERSONALITY", "MAGIC" }

local function constant(name)
  local upper = name:upper()
  for _, title in ipairs(WHOLE) do
    local set = S.c[title]
    if set and set[upper] then return set[upper] end
  end
  for title, rest in upper:gmatch "()_()" do
    local set = S.c[upper:sub(1, title - 1)]
    if set and set[upper:sub(rest)] then return set[upper:sub(rest)] end
  end
  local set = upper:match "^SIG%u" and S.c.SIG
  return set and set[upper:sub(4)] or nil
end

--- A number, or names of constants joined by "|"; nil and the unknown name when there is one.
function M.lookup(value)
  if math.type(value) == "integer" then return value end
  if type(value) == "number" then return math.tointeger(value), tostring(value) end
  if type(value) ~= "string" then return nil, tostring(value) end
  local sum
  for name in value:gmatch "[^|%s]+" do
    local number = math.tointeger(tonumber(name)) or constant(name)
    if not number then return nil, name end
    sum = (sum or 0) | number
  end
  return sum, value
end

-- Where the values of an argument have names: the title of their set, or of the whole names'. For texts only.
local TITLES = {
  ["socket 0"] = "AF", ["socketpair 0"] = "AF", ["clone 0"] = "CLONE", ["unshare 0"] = "CLONE",
  ["ioctl 1"] = "RULE", ["prctl 0"] = "PR", ["open 1"] = "O", ["openat 2"] = "O",
}

--- The name of an argument's value, or its number in hexadecimal.
function M.name(call, argument, value)
  local title = TITLES[call .. " " .. argument]
  local best
  for name, number in pairs(title and S.c[title] or {}) do
    if number == value and (title ~= "RULE" or name:find "^T" or name:find "^FIO") and (not best or name > best) then
      best = name
    end
  end
  if best then return title == "RULE" and best or title .. "_" .. best end
  return value >= 0 and value < 10 and tostring(value) or ("%#x"):format(value)
end

--- The number of a value that was checked.
function M.number(value)
  local number, unknown = M.lookup(value)
  return number or error("seccomp: no constant is named " .. tostring(unknown))
end

--- Names to suggest for an unknown constant.
function M.names()
  local names = {}
  for name in pairs(S.c.RULE) do names[#names + 1] = name end
  for _, title in ipairs { "AF", "NETLINK", "CLONE", "O", "MS", "PR", "SOCK", "IPPROTO" } do
    for name in pairs(S.c[title] or {}) do names[#names + 1] = title .. "_" .. name end
  end
  return names
end

-- Arguments that the kernel takes as 32 bits or fewer, of calls that are commonly ruled.
local SHORT = {
  accept4 = "03", access = "1", chmod = "1", clone = "0", creat = "1", epoll_ctl = "012", eventfd2 = "01",
  faccessat = "02", faccessat2 = "023", fchmod = "01", fchmodat = "02", fchmodat2 = "023", fcntl = "01", flock = "01",
  futex = "12", getpriority = "01", getsockopt = "012", ioctl = "01", keyctl = "0", kill = "01", listen = "01",
  lseek = "02", madvise = "2", memfd_create = "1", mkdir = "1", mkdirat = "02", mknod = "12", mknodat = "023",
  mlockall = "0", newfstatat = "03", open = "12", openat = "023", personality = "0", pidfd_open = "01",
  pidfd_send_signal = "013", pipe2 = "1", prctl = "0", prlimit64 = "01", ptrace = "1", recvfrom = "03",
  recvmsg = "02", renameat2 = "024", rt_sigaction = "0", sched_setscheduler = "01", sendmsg = "02", sendto = "03",
  setns = "01", setpriority = "012", setsockopt = "012", shmget = "02", shutdown = "01", socket = "012",
  socketpair = "012", statx = "023", tgkill = "012", tkill = "01", umask = "0", umount2 = "1", unlinkat = "02",
  unshare = "0", wait4 = "02", waitid = "013",
}

local function is_short(call, argument)
  local list = SHORT[call]
  return list and list:find(argument, 1, true) ~= nil
end

local function fits_low(value)
  return value >= -0x80000000 and value <= LOW
end

-- By order: those for which rubbish in the upper half can only make the answer stricter.
local SAFE = { allow = { ["<"] = true, ["<="] = true }, deny = { [">"] = true, [">="] = true, ["!="] = true } }

--- Is this comparison sound in a rule of this action? nil when it is, else why not.
function M.unsound(action, c, alone)
  local op = c[2]
  if op == "==" or op == "&" or op == "masked_eq" or SAFE[action][op] then return nil end
  if op == "!=" and alone then return nil end
  return ("'%s' in a rule that %ss can be passed by: it compares 64 bits, and a program may set the upper half "
    .. "of a 32-bit argument; name the values with '=='"):format(op, action == "deny" and "denie" or "allow")
end

--- One comparison of a user's rule, in the policy's form.
---@param c table  { argument, op, value [, mask] }
function M.condition(action, call, c)
  local argument, op, value = c[1], c[2], M.number(c[3])
  if op == "&" or op == "masked_eq" then return { argument, c[4] and M.number(c[4]) or value, value } end
  if op == "==" then
    -- A refusal covers the lower half whatever the width: too much is refused rather than too little.
    local masked = fits_low(value) and (action == "deny" or is_short(call, argument))
    return { argument, masked and LOW or -1, masked and value & LOW or value }
  end
  return { argument, op = op, value = value }
end

return M
