-- SPDX-License-Identifier: MIT
-- sandbox.container.furnish: the guest steps of a plan as orders for the stage
--
-- A copy of luge in the new namespaces (sandbox.container.guest) can take any step. But a copy costs: its page tables, each
-- page that either side then writes to, its end. Where the stage knows all steps it takes them itself, before it seals,
-- and is executed at the child's birth. They are the same steps, with the same arguments; here are the calls that they
-- are made of, as in sandbox.container.orders. What is not here, or is asked for in a form that is not, the copy does.
--
-- Whether the stage can is known before the child is born (M.can_all), what it shall do only afterwards (M.orders): the orders
-- are written while it is executed. A descriptor is known by its number before it is there: those of guest steps get the
-- numbers that the kernel gives anyway, those of attach steps the ones from a number that nothing else has.

local S = require "syscall"
local C = require "luge.stage"
local I = require "sandbox.container.order_image"
local Steps = require "sandbox.plan.steps"
local guest = require "sandbox.container.guest"
local orders = require "sandbox.container.orders"

local M = {}

local put, put_string, call, add, int, flags, mode = I.put, I.put_string, I.call, I.add, I.int, I.flags, I.mode
local steps = setmetatable({}, { __index = orders.steps })

local CLOEXEC, EMPTY_PATH, FDCWD = S.c.O.CLOEXEC, S.c.AT.EMPTY_PATH, C.fdcwd
local DIRECTORY, FILE = S.c.S.IFDIR, S.c.S.IFREG
local NEW_DIRECTORY = DIRECTORY | mode "0755"

-- Whether it knows a step that is asked for with these arguments, in which symbols may stand; where there is no such
-- function, it does.
local knows = {}

-- Nothing but these fields: another would be lost.
local function only(tab, names)
  for name in pairs(tab or {}) do
    if not names[name] then return false end
  end
  return true
end

-- ---- descriptors ----

local function dirfd(value)
  if value == nil or value == "fdcwd" then return FDCWD end
  return int(value)
end

local function open_as(image, number, name, ...)
  add(image, "open", C.calls[name] | number << 32, ...)
end

-- The numbers that the kernel will give: the lowest that are free. Where it gives another, the stage moves it.
local Numbers = {}
Numbers.__index = Numbers

--- used: the set of the numbers that are open at first.
function M.count_numbers(used) return setmetatable({ used = used, lowest = 3 }, Numbers) end

function Numbers:take()
  local number = self.lowest
  while self.used[number] do number = number + 1 end
  self.used[number], self.lowest = true, number + 1
  return number
end

function Numbers:give(number)
  self.used[number], self.lowest = nil, math.min(self.lowest, number)
end

local function take_number(image) return image.numbers:take() end

-- The number that the step's result gets, which image.result then is.
local function result(image)
  image.result = image.number or take_number(image)
  return image.result
end

local function open(image, name, ...) open_as(image, result(image), name, ...) end

local function close(image, number)
  call(image, "close", number)
  image.numbers:give(number)
end

function steps.open(image, args)
  open(image, "openat", FDCWD, put_string(image, args[1]), flags("O", args[2]) | CLOEXEC, mode(args[3]))
end

function steps.hear(image) add(image, "hear") end
function steps.take(image, args) add(image, "take", 0, args[1], args[2]) end

-- ---- names below a root ----

local IN_ROOT = S.c.RESOLVE.IN_ROOT | S.c.RESOLVE.NO_MAGICLINKS

local function in_root(image, number, root, path, making)
  add(image, "in_root", number << 32, root, put_string(image, path), making or 0)
end

function knows.open_in_root(args) return only(args[3], { create = true, mode = true }) end

function steps.open_in_root(image, args)
  local how = args[3]
  local making
  if how and how.create == "directory" then making = DIRECTORY | mode(how.mode or "0755") end
  if how and how.create == "file" then making = FILE | mode(how.mode or "0644") end
  in_root(image, result(image), args[1], args[2], making)
end

local function open_how(image, how, permissions) return put(image, ("<i8i8i8"):pack(how, permissions, IN_ROOT)) end

local function above(path)
  local parent, name = path:match("^(.-)/*([^/]+)/*$")
  return parent == "" and "/" or parent, name
end

-- A new file, and its number; the directories above it are made.
local function create(image, root, path, permissions)
  local parent = take_number(image)
  in_root(image, parent, root, (above(path)), NEW_DIRECTORY)
  close(image, parent)
  local file, how = take_number(image), flags("O", "creat, excl, wronly, nofollow, cloexec")
  open_as(image, file, "openat2", root, put_string(image, path), open_how(image, how, permissions), 24)
  return file
end

local function remove(image, root, path)
  local parent, name = above(path)
  local tolerate, directory = I.tolerate(image, C.any_errno), take_number(image)
  open_as(image, directory, "openat2", root, put_string(image, parent),
    open_how(image, flags("O", "path, cloexec"), 0), 24)
  call(image, "unlinkat", directory, put_string(image, name), 0)
  close(image, directory)
  I.tolerate(image, tolerate)
end

-- Where a step has the text of a file.
local texts = { put_file = 3, writefile = 2 }

function knows.put_file(args) return only(args[4], { mode = true, replace = true }) end

function steps.put_file(image, args)
  local root, path, text, how = args[1], args[2], args[3], args[4] or {}
  if how.replace then remove(image, root, path) end
  local file = create(image, root, path, mode(how.mode or "0644"))
  if #text > 0 then add(image, "call_all", C.calls.write, file, put(image, text), #text) end
  close(image, file)
end

function steps.put_symlink(image, args)
  local parent, name = above(args[2])
  local directory = take_number(image)
  in_root(image, directory, args[1], parent, NEW_DIRECTORY)
  call(image, "symlinkat", put_string(image, args[3]), directory, put_string(image, name))
  close(image, directory)
end

function steps.copy_file(image, args)
  local from = take_number(image)
  open_as(image, from, "openat", FDCWD, put_string(image, args[1]), CLOEXEC)
  local to = create(image, args[2], args[3], mode "0644")
  add(image, "copy", 0, to, from)
  close(image, from)
  close(image, to)
end

function steps.chown_in_root(image, args)
  local file = take_number(image)
  in_root(image, file, args[1], args[2])
  call(image, "fchownat", file, put_string(image, ""), args[3], args[4], EMPTY_PATH)
  close(image, file)
end

function steps.mkdirat(image, args)
  call(image, "mkdirat", dirfd(args[1]), put_string(image, args[2]), mode(args[3]))
end

function steps.symlinkat(image, args)
  call(image, "symlinkat", put_string(image, args[1]), dirfd(args[2]), put_string(image, args[3]))
end

local TYPES = { char = S.c.S.IFCHR, block = S.c.S.IFBLK }

function knows.expect_device(args) return TYPES[args[2]] ~= nil end
function steps.expect_device(image, args) add(image, "device", 0, args[1], TYPES[args[2]], args[3], args[4]) end

function knows.mknodat(args) return args[4] == "file" end

function steps.mknodat(image, args)
  call(image, "mknodat", dirfd(args[1]), put_string(image, args[2]), FILE | mode(args[3]), 0)
end

function steps.chmod(image, args) call(image, "fchmodat", FDCWD, put_string(image, args[1]), mode(args[2])) end

function steps.writefile(image, args)
  local file = take_number(image)
  open_as(image, file, "openat", FDCWD, put_string(image, args[1]), flags("O", "wronly, cloexec"))
  add(image, "call_all", C.calls.write, file, put(image, args[2]), #args[2])
  close(image, file)
end

-- ---- mounts ----

local function put_optional(image, text) return text and put_string(image, text) or 0 end

function knows.mount(args) return only(args[1], { source = true, target = true, type = true, flags = true, data = true }) end

function steps.mount(image, args)
  local how = args[1]
  call(image, "mount", put_optional(image, how.source), put_string(image, how.target), put_optional(image, how.type),
    flags("MS", how.flags), put_optional(image, how.data))
end

function steps.umount2(image, args) call(image, "umount2", put_string(image, args[1]), flags("MNT", args[2])) end

function steps.pivot_root(image, args)
  call(image, "pivot_root", put_string(image, args[1]), put_string(image, args[2]))
end

function steps.open_tree(image, args)
  open(image, "open_tree", dirfd(args[1]), put_string(image, args[2]), flags("OPEN_TREE", args[3]) | CLOEXEC)
end

function steps.move_mount(image, args)
  call(image, "move_mount", dirfd(args[1]), put_string(image, args[2]), dirfd(args[3]), put_string(image, args[4]),
    flags("MOVE_MOUNT", args[5]))
end

function knows.mount_setattr(args) return only(args[4], { attr_set = true, attr_clr = true, userns = true }) end

function steps.mount_setattr(image, args)
  local how = args[4]
  local set = flags("MOUNT_ATTR", how.attr_set)
  if how.userns then set = set | S.c.MOUNT_ATTR.IDMAP end
  local attributes = ("<i8i8i8i8"):pack(set, flags("MOUNT_ATTR", how.attr_clr), 0, int(how.userns))
  call(image, "mount_setattr", dirfd(args[1]), put_string(image, args[2]), flags("AT", args[3]), put(image, attributes), 32)
end

-- Of others the kernel says in the context, which the stage does not read, why it refuses them.
local PLAIN = { proc = true, sysfs = true, tmpfs = true }

function knows.new_mount(args)
  return PLAIN[args[1].type] and only(args[1], { type = true, options = true, attrs = true })
end

function steps.new_mount(image, args)
  local how, context = args[1], take_number(image)
  local set_string = S.c.FSCONFIG.SET_STRING
  local function set(key, value)
    call(image, "fsconfig", context, set_string, put_string(image, key), put_string(image, value))
  end
  open_as(image, context, "fsopen", put_string(image, how.type), S.c.FSOPEN.CLOEXEC)
  set("source", how.type)
  for _, option in ipairs(how.options or {}) do
    set(option[1], tostring(option[2]))
  end
  call(image, "fsconfig", context, S.c.FSCONFIG.CMD_CREATE)
  open(image, "fsmount", context, S.c.FSMOUNT.CLOEXEC, flags("MOUNT_ATTR", how.attrs))
  close(image, context)
end

function steps.expect_bare_root(image) add(image, "bare") end

-- ---- the rest ----

-- Who the user is the plan knows (run.user_is_known), or there are no orders.
function steps.lookup_user() end

knows["nl.up"] = function(args) return args[1] == "lo" end

-- struct ifreq. A new loopback has no other flag that could be lost.
steps["nl.up"] = function(image)
  local socket = take_number(image)
  open_as(image, socket, "socket", S.c.AF.UNIX, S.c.SOCK.DGRAM | S.c.SOCK.CLOEXEC, 0)
  call(image, "ioctl", socket, C.set_if_flags, put(image, ("<c16i2c22"):pack("lo", C.if_up, "")))
  close(image, socket)
end

-- The index of a link of the container is known there alone. Its place in the message is where messages for two indices,
-- which have no byte in common, begin to differ.
local ONE, OTHER = 0x01010101, 0x02020202

local function place_of_index(one, other)
  local at = 1
  while one:byte(at) == other:byte(at) do at = at + 1 end
  return at
end

local function tell(image, link, _, compose, ...)
  local message = compose(ONE, ...):tobytes()
  local at = place_of_index(message, compose(OTHER, ...):tobytes())
  add(image, "link", 0, put(image, message), #message, at - 1, put_string(image, link))
end

-- Of a link of the container's, and there.
knows["nl.address"] = function(args) return type(args[3]) ~= "table" or not args[3].netns end
steps["nl.address"] = function(image, args) tell(image, require("netns.address").asked(table.unpack(args))) end

knows["nl.route"] = function(args) return args[1].dev and not args[1].netns end
steps["nl.route"] = function(image, args) tell(image, require("netns.route").asked(args[1])) end

-- ---- all of them ----

M.encoders = steps

-- The descriptors of luge's own that guest and sealing steps use, by their symbols.
local function held(run, symbols)
  local known, list = {}, {}
  for name, value in pairs(symbols) do
    if type(value) == "userdata" then known["$" .. name] = value end
  end
  for _, step in ipairs(run.steps) do
    if step.where == "guest" or step.where == "seal" then
      for _, arg in ipairs(step.args) do
        if known[arg] then list[arg:sub(2)], known[arg] = known[arg]:getfd(), nil end
      end
    end
  end
  return list
end

-- The first of the numbers above all others, for what luge sends, names: before it gets these, it has the lowest that are free.
local function first_above(run, symbols, names)
  local last, results = 2, 0
  for _, number in ipairs(run.keep) do last = math.max(last, number) end
  for _, number in pairs(run.descriptors) do last = math.max(last, number) end
  for _, value in pairs(symbols) do
    if type(value) == "userdata" then last = math.max(last, value:getfd()) end
  end
  for _, step in ipairs(run.steps) do
    if step.where == "guest" and step.save then results = results + 1 end
  end
  return last + results + #names + 8
end

-- What the steps' symbols are in the stage: numbers of descriptors, and what the run knows. sent: those that luge sends, of
-- which one is_wanted once a step has asked for it.
local function new_scope(known, stay, names, first)
  local sent, scope = {}, { is_wanted = false }
  for i, name in ipairs(names) do sent[name] = first + i - 1 end
  scope.symbols = setmetatable({}, { __index = function(_, name)
    if sent[name] then scope.is_wanted = true end
    local value = sent[name] or stay[name] or known[name]
    if type(value) == "userdata" then error("the plan hides $" .. name, 0) end
    return value
  end })
  return scope
end

local function add_guest_steps(image, run, scope, first, count)
  local resolve, append = Steps.resolve, orders.add
  local is_taken, is_fed = false, false
  local function take()
    append(image, "take", { first, count }, nil, 0)
    is_taken = true
  end
  for index, step in ipairs(run.steps) do
    if step.where == "guest" then
      local args = resolve(step.args, scope.symbols)
      if (scope.is_wanted or step.waits) and not is_taken then take() end
      append(image, step.op, args, step.optional, index)
      if step.save and step.save ~= "$user" then scope.symbols[step.save:sub(2)] = image.result end
    elseif step.feeds then
      is_fed = true
    end
  end
  -- Also without descriptors luge says when all attach steps were taken, and where it has said so of those that matter here,
  -- of the others.
  if not is_taken then take() end
  if is_fed then append(image, "hear", {}, nil, 0) end
end

local function add_seal_steps(image, run, symbols)
  for index, step in ipairs(run.steps) do
    if step.where == "seal" then
      orders.add(image, step.op, Steps.resolve(step.args, symbols), step.optional, index)
    end
  end
end

-- What stays open when all else that luge's caller left open has been closed.
local function staying(run, stay)
  local list = { run.descriptors.channel, run.descriptors.ready }
  table.move(run.keep, 1, #run.keep, #list + 1, list)
  for _, number in pairs(stay) do list[#list + 1] = number end
  return list
end

local function encode(run, symbols, names)
  local own, stay, first = run.descriptors, held(run, symbols), first_above(run, symbols, names)
  local list, used = staying(run, stay), {}
  for _, number in ipairs(list) do used[number] = true end
  for _, number in pairs(own) do used[number] = true end
  local scope = new_scope(guest.expected(run, symbols), stay, names, first)
  local image = orders.begin { status = own.status, lifeline = own.lifeline, go = own.go, channel = own.channel,
    numbers = M.count_numbers(used), encoders = steps }
  orders.add(image, "close_range", { list }, nil, 0)
  add_guest_steps(image, run, scope, first, #names)
  orders.add(image, "prctl", { "set_dumpable", 0 }, nil, 0)
  add_seal_steps(image, run, scope.symbols)
  return orders.finish(image)
end
--- Whether the stage can take a step of a plan.
function M.can(step)
  local knows_form = knows[step.op]
  return steps[step.op] ~= nil and (not knows_form or knows_form(step.args))
end

-- What is known only in the container is short.
local function length_of(text, symbols)
  local ok, value = pcall(Steps.resolve, text, symbols)
  return ok and #value or 0
end

-- Half of what orders may have (STAGE_SIZE_MAX): the rest is for the command and its environment.
local TEXTS_MOST = 8 << 20

local function limit_allows(number)
  local limit = S.getrlimit "nofile"
  return limit and (limit.soft == "unlimited" or number < limit.soft)
end

--- Whether a stage takes the guest steps of a run too; else a copy of luge has to.
-- names: of the descriptors that luge sends, in order.
function M.can_all(run, symbols, names)
  if not run.user_is_known then return false end
  local size = 0
  for _, step in ipairs(run.steps) do
    if step.where == "guest" then
      if not M.can(step) then return false end
      local text = texts[step.op] and step.args[texts[step.op]]
      if text then size = size + length_of(text, symbols) end
    end
  end
  return size <= TEXTS_MOST and limit_allows(first_above(run, symbols, names) + #names)
end

--- What that stage has to find open: its own descriptors, and those of luge's that its steps use.
function M.kept(run, symbols)
  local kept = {}
  for _, number in pairs(run.descriptors) do kept[#kept + 1] = number end
  for _, number in pairs(held(run, symbols)) do kept[#kept + 1] = number end
  return kept
end

--- Its orders, as a file that nobody can write again.
function M.orders(run, symbols, names) return guest.order_file(encode(run, symbols, names)) end

return M
