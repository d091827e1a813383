-- SPDX-License-Identifier: MIT
-- sandbox.container.furnish: the guest steps of a plan as orders for the stage
--
-- A copy of luge in the new namespaces (sandbox.container.guest) can take any step. But a copy costs: its page tables, each
-- page that either side then writes to, its end. Where the stage knows all steps it takes them itself, before it seals,
-- and is executed at the child's birth. They are the same steps, with the same arguments; here are the calls that they
-- are made of, as in sandbox.container.orders. What is not here, or is asked for in a form that is not, the copy does.
--
-- Whether the stage can is known before the child is born (M.numbers), what it shall do only afterwards (M.orders): the orders
-- are written while it is executed. A descriptor is known by its number before it is there: those of attach steps and of
-- guest steps get the numbers from one that nothing else has.

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

-- The number that the step's result gets.
local function result(image) return image.number or error("a result without a number", 0) end

local function open(image, name, ...) open_as(image, result(image), name, ...) end

local function close(image, number) call(image, "close", number) end

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

-- A new file as the first of the numbers that no step's result has; the directories above it are made.
local function create(image, root, path, permissions)
  in_root(image, image.spare, root, (above(path)), NEW_DIRECTORY)
  close(image, image.spare)
  local how = flags("O", "creat, excl, wronly, nofollow, cloexec")
  open_as(image, image.spare, "openat2", root, put_string(image, path), open_how(image, how, permissions), 24)
end

local function remove(image, root, path)
  local parent, name = above(path)
  local tolerate = I.tolerate(image, C.any_errno)
  open_as(image, image.spare, "openat2", root, put_string(image, parent),
    open_how(image, flags("O", "path, cloexec"), 0), 24)
  call(image, "unlinkat", image.spare, put_string(image, name), 0)
  close(image, image.spare)
  I.tolerate(image, tolerate)
end

function knows.put_file(args) return only(args[4], { mode = true, replace = true }) end

function steps.put_file(image, args)
  local root, path, text, how = args[1], args[2], args[3], args[4] or {}
  if how.replace then remove(image, root, path) end
  create(image, root, path, mode(how.mode or "0644"))
  if #text > 0 then add(image, "call_all", C.calls.write, image.spare, put(image, text), #text) end
  close(image, image.spare)
end

function steps.put_symlink(image, args)
  local parent, name = above(args[2])
  in_root(image, image.spare, args[1], parent, NEW_DIRECTORY)
  call(image, "symlinkat", put_string(image, args[3]), image.spare, put_string(image, name))
  close(image, image.spare)
end

function steps.copy_file(image, args)
  local from = image.spare + 1
  open_as(image, from, "openat", FDCWD, put_string(image, args[1]), CLOEXEC)
  create(image, args[2], args[3], mode "0644")
  add(image, "copy", 0, image.spare, from)
  close(image, from)
  close(image, image.spare)
end

function steps.chown_in_root(image, args)
  in_root(image, image.spare, args[1], args[2])
  call(image, "fchownat", image.spare, put_string(image, ""), args[3], args[4], EMPTY_PATH)
  close(image, image.spare)
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
  open_as(image, image.spare, "openat", FDCWD, put_string(image, args[1]), flags("O", "wronly, cloexec"))
  add(image, "call_all", C.calls.write, image.spare, put(image, args[2]), #args[2])
  close(image, image.spare)
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
  local how, context = args[1], image.spare
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
  open_as(image, image.spare, "socket", S.c.AF.UNIX, S.c.SOCK.DGRAM | S.c.SOCK.CLOEXEC, 0)
  call(image, "ioctl", image.spare, C.set_if_flags, put(image, ("<c16i2c22"):pack("lo", C.if_up, "")))
  close(image, image.spare)
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

local OWN = 2 -- spare numbers, beside those of the steps' results

-- The numbers of the descriptors, as symbols over those of the run: of those that luge sends, the first and the names; of
-- those that steps give, by the step's index.
local function number_all(run, names)
  local last = 2
  for _, number in ipairs(run.keep) do last = math.max(last, number) end
  for _, number in pairs(run.descriptors) do last = math.max(last, number) end
  -- Before they get these numbers, what is sent has the lowest that are free, and must not meet them.
  last = last + #names + 8
  local numbers = { first = last + 1, count = #names, sent = {}, given = {}, symbols = {} }
  for _, name in ipairs(names) do
    last = last + 1
    numbers.sent[name] = last
  end
  for index, step in ipairs(run.steps) do
    if step.where == "guest" and step.save and step.save ~= "$user" then
      last = last + 1
      numbers.symbols[step.save:sub(2)], numbers.given[index] = last, last
    end
  end
  numbers.spare = last + 1
  return numbers
end

-- What luge itself holds open stays open for the step that asks for it, and what luge sends is waited for.
local function watch_symbols(numbers, known, stay)
  setmetatable(numbers.symbols, { __index = function(_, name)
    local value = numbers.sent[name]
    if value then
      numbers.is_wanted = true
      return value
    end
    value = known[name]
    if type(value) ~= "userdata" then return value end
    stay[#stay + 1] = value:getfd()
    return value:getfd()
  end })
end

local function add_guest_steps(image, run, numbers)
  local resolve, append = Steps.resolve, orders.add
  local is_taken, is_fed = false, false
  local function take()
    append(image, "take", { numbers.first, numbers.count }, nil, 0)
    is_taken = true
  end
  for index, step in ipairs(run.steps) do
    if step.where == "guest" then
      local args = resolve(step.args, numbers.symbols)
      if (numbers.is_wanted or step.waits) and not is_taken then take() end
      append(image, step.op, args, step.optional, index, numbers.given[index])
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

-- What luge's caller left open, and what else of luge's is, ends before anything else.
local function close_others(image, stay)
  local count = I.count(image)
  orders.add(image, "close_range", { stay }, nil, 0)
  I.put_first(image, count)
end

local function encode(run, symbols, numbers)
  local own = run.descriptors
  local stay = { own.channel, own.ready }
  table.move(run.keep, 1, #run.keep, #stay + 1, stay)
  watch_symbols(numbers, guest.expected(run, symbols), stay)
  local image = orders.begin { status = own.status, lifeline = own.lifeline, go = own.go, channel = own.channel,
    spare = numbers.spare, encoders = steps }
  add_guest_steps(image, run, numbers)
  orders.add(image, "prctl", { "set_dumpable", 0 }, nil, 0)
  add_seal_steps(image, run, numbers.symbols)
  close_others(image, stay)
  return orders.finish(image)
end

--- Whether the stage can take a step of a plan.
function M.can(step)
  local knows_form = knows[step.op]
  return steps[step.op] ~= nil and (not knows_form or knows_form(step.args))
end

local function can_all(run)
  for _, step in ipairs(run.steps) do
    if step.where == "guest" and not M.can(step) then return false end
  end
  return true
end

local function limit_allows(number)
  local limit = S.getrlimit "nofile"
  return limit and (limit.soft == "unlimited" or number < limit.soft)
end

--- The numbers that descriptors will have in a stage that takes the guest steps too; nil where a copy of luge has to.
-- names: of the descriptors that luge sends, in order.
function M.numbers(run, names)
  if not run.user_is_known or not can_all(run) then return nil end
  local numbers = number_all(run, names)
  return limit_allows(numbers.spare + OWN) and numbers or nil
end

--- What that stage has to find open: its own descriptors, and those of luge's steps, of which it closes what its orders do
-- not need.
function M.kept(run, symbols)
  local kept = {}
  for _, number in pairs(run.descriptors) do kept[#kept + 1] = number end
  for _, value in pairs(symbols) do
    if type(value) == "userdata" then kept[#kept + 1] = value:getfd() end
  end
  return kept
end

--- Its orders, as a file that nobody can write again.
function M.orders(run, symbols, numbers) return guest.order_file(encode(run, symbols, numbers)) end

return M
