-- SPDX-License-Identifier: MIT
-- sandbox.container.orders: the plan's sealing steps as the image that the stage runs, and its messages
--
-- A step has the name and the arguments of a function of the syscall layer; here it becomes one or more
-- raw calls (runtime/stage/stage.h has the layout, luge.stage the numbers). Steps that are the stage's
-- own: `init`, `enter`, `wait`, `lifeline`, `reset_signals`, `check_cwd`, `exec`. Wrong arguments are bugs of the
-- plan: they raise. `step.optional` lets a call fail; a number is the one errno that may be.
--
-- The order that holds (plan): setsid, limits of PID 1 … setresuid, prctl set_pdeathsig, lifeline, init,
-- setsid, rlimits, capabilities, no_new_privs, reset_signals, close_range, chdir, seccomp_load, wait, exec.
-- What comes before `init` holds for PID 1 too; a user namespace cannot be unshared after it.

local S = require "syscall"
local C = require "luge.stage"
local I = require "sandbox.container.order_image"
local must = require "sandbox.must"

local M = {}

local put, put_string, put_vector, add, call = I.put, I.put_string, I.put_vector, I.add, I.call
local int, fd, mode, id, constant, flags = I.int, I.fd, I.mode, I.id, I.constant, I.flags
local list, mask_of, limit, pack = I.list, I.mask_of, I.limit, I.pack

-- What execvp of the C library leaves to the environment; the order of a Debian login.
local DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

-- ---- steps ----

local steps = {}

-- For sandbox.container.furnish, which knows more steps.
M.steps = steps

-- Calls whose arguments are only converted: one converter each.
local function plain(name, ...)
  local converters = { ... }
  steps[name] = function(image, args)
    local words = {}
    for i, convert in ipairs(converters) do words[i] = convert(args[i]) end
    call(image, name, table.unpack(words))
  end
end

local function of(set) return function(value) return constant(set, value) end end

plain("setresuid", id, id, id)
plain("setresgid", id, id, id)
plain("setsid")
plain("setpgid", int, int)
plain("umask", mode)
plain("personality", function(value) return flags("PERSONALITY", value) end)
plain("setpriority", of "PRIO", int, int)
plain("close", fd)
plain("dup3", fd, fd, function(value) return flags("O", value) end)
plain("fchdir", fd)
plain("ioctl", fd, of "IOCTL", int)
plain("unshare", function(value) return flags("CLONE", value) end)
plain("landlock_restrict_self", fd, int)

function steps.fcntl(image, args)
  local set = ({ setfd = "FD", setfl = "O", add_seals = "SEAL" })[args[2]]
  call(image, "fcntl", fd(args[1]), constant("F", args[2]), set and flags(set, args[3]) or args[3])
end

function steps.setgroups(image, args)
  call(image, "setgroups", #args[1], put(image, pack("I4", args[1])))
end

function steps.chdir(image, args)
  call(image, "chdir", put_string(image, args[1]))
  add(image, "cwd")
end

function steps.sethostname(image, args)
  call(image, "sethostname", put_string(image, args[1]), #args[1])
end

function steps.write(image, args)
  add(image, "call_all", C.calls.write, fd(args[1]), put(image, args[2]), #args[2])
end

-- S.prctl's arguments: the second depends on the operation.
function steps.prctl(image, args)
  local name = type(args[1]) == "string" and args[1]:lower():gsub("^pr_", "")
  local second
  if name == "set_pdeathsig" then
    second = constant("SIG", args[2])
  elseif name == "set_securebits" then
    second = flags("SECBIT", args[2])
  elseif name == "set_name" then
    second = put_string(image, args[2])
  elseif name == "capbset_drop" then
    second = constant("CAP", args[2])
  end
  call(image, "prctl", constant("PR", args[1]), second or args[2], args[3], args[4], args[5])
end

function steps.capset(image, args)
  local sets = args[1] or args
  local low, high = {}, {}
  for i, name in ipairs { "effective", "permitted", "inheritable" } do
    local mask = mask_of("CAP", sets[name] or {})
    low[i], high[i] = mask & 0xffffffff, mask >> 32
  end
  local header = put(image, ("<I4i4"):pack(C.cap_version, 0))
  call(image, "capset", header, put(image, pack("I4", low) .. pack("I4", high)))
end

function steps.cap_bounding_drop(image, args) add(image, "bound", 0, mask_of("CAP", list(args[1]))) end

function steps.cap_ambient_raise(image, args)
  for _, cap in ipairs(list(args[1])) do
    call(image, "prctl", S.c.PR.CAP_AMBIENT, C.ambient_raise, constant("CAP", cap))
  end
end

function steps.cap_ambient_clear(image)
  call(image, "prctl", S.c.PR.CAP_AMBIENT, C.ambient_clear)
end

function steps.seccomp_load(image, args)
  local filter = args[1]
  if #filter == 0 or #filter % 8 ~= 0 or #filter > 4096 * 8 then
    error("a filter of 1 to 4096 instructions of 8 bytes expected", 0)
  end
  local program = ("<I8i8"):pack(#filter // 8, put(image, filter)) -- struct sock_fprog
  call(image, "seccomp", C.set_filter, flags("SECCOMP_FILTER_FLAG", args[2]), put(image, program))
end

-- args: first, last, flags as of S.close_range; or one list of what stays open, beside the stage's own.
function steps.close_range(image, args)
  if type(args[1]) ~= "table" then
    return call(image, "close_range", args[1], args[2], flags("CLOSE_RANGE", args[3]))
  end
  local keep = {}
  for _, number in ipairs(args[1]) do keep[#keep + 1] = fd(number) end
  for _, name in ipairs { "status", "lifeline", "go" } do keep[#keep + 1] = image[name] end
  table.sort(keep)
  local first = 0
  for _, number in ipairs(keep) do
    if number > first then call(image, "close_range", first, number - 1, 0) end
    first = math.max(first, number + 1)
  end
  call(image, "close_range", first, 0xffffffff, 0)
end

function steps.prlimit(image, args)
  local hard = args[4] == nil and args[3] or args[4]
  local values = put(image, ("<i8i8"):pack(limit(args[3]), limit(hard)))
  call(image, "prlimit64", args[1], constant("RLIMIT", args[2]), values)
end

function steps.setrlimit(image, args) steps.prlimit(image, { 0, args[1], args[2], args[3] }) end

function steps.keyctl_join_session(image, args)
  call(image, "keyctl", S.c.KEYCTL.JOIN_SESSION_KEYRING, args[1] and put_string(image, args[1]) or 0)
end

function steps.sched_setaffinity(image, args)
  local words = {}
  for _, cpu in ipairs(args[2]) do
    while #words <= cpu // 64 do words[#words + 1] = 0 end
    words[cpu // 64 + 1] = words[cpu // 64 + 1] | 1 << cpu % 64
  end
  call(image, "sched_setaffinity", args[1], #words * 8, put(image, pack("i8", words)))
end

function steps.sched_setscheduler(image, args)
  local param = put(image, ("<i4"):pack(int(args[3])))
  call(image, "sched_setscheduler", args[1], flags("SCHED", args[2]), param)
end

function steps.ioprio_set(image, args)
  local value = constant("IOPRIO_CLASS", args[3]) << 13 | int(args[4])
  call(image, "ioprio_set", constant("IOPRIO_WHO", args[1]), args[2], value)
end

function steps.sigprocmask(image, args)
  local mask = 0
  local names = args[2] or ""
  for _, name in ipairs(type(names) == "table" and names or { names }) do
    for word in tostring(name):gmatch("[^%s,|]+") do mask = mask | 1 << constant("SIG", word) - 1 end
  end
  call(image, "rt_sigprocmask", constant("SIGPM", args[1]), put(image, ("<i8"):pack(mask)), 0, 8)
end

function steps.reset_signals(image) add(image, "signals") end
function steps.check_cwd(image) add(image, "cwd") end
function steps.lifeline(image) add(image, "lifeline") end
function steps.init(image) add(image, "init") end
function steps.enter(image) add(image, "enter") end

function steps.wait(image)
  if not image.go then error("the orders name no descriptor to wait for", 0) end
  add(image, "wait")
end

-- ---- the command ----

-- The value of NAME in a list of "NAME=value".
local function variable(environment, name)
  for _, entry in ipairs(environment) do
    if entry:sub(1, #name + 1) == name .. "=" then return entry:sub(#name + 2) end
  end
end

local function sorted_environment(map)
  local entries = {}
  for name, value in pairs(map) do entries[#entries + 1] = name .. "=" .. value end
  table.sort(entries)
  return entries
end

--- Where a command is looked for: as it is with a slash, else in each place of PATH (nil: the default).
-- An empty element is the current directory, as POSIX has it. Returns the list, and whether PATH was used.
function M.places(name, path)
  if name == "" then return {}, false end
  if name:find("/", 1, true) then return { name }, false end
  local found = {}
  for directory in ((path or DEFAULT_PATH) .. ":"):gmatch("([^:]*):") do
    found[#found + 1] = (directory == "" and "." or directory) .. "/" .. name
  end
  return found, true
end

-- args: argv, environment (a list of "NAME=value", or a map).
function steps.exec(image, args)
  local argv, environment = args[1], args[2] or {}
  if #argv == 0 then error("an empty command", 0) end
  if #environment == 0 then environment = sorted_environment(environment) end
  local places, searched = M.places(argv[1], variable(environment, "PATH"))
  add(image, "exec", 0, put_vector(image, places), put_vector(image, argv),
    put_vector(image, environment), searched and 1 or 0)
end

-- ---- encoding ----

--- An image without steps. options: status, lifeline, go, channel (descriptors, as the stage will have them, above 2); go
-- only with a `wait` step; channel, numbers and encoders only for sandbox.container.furnish.
function M.begin(options)
  local image = { I.new(), numbers = options.numbers, encoders = options.encoders or steps, channel = options.channel }
  for _, name in ipairs { "status", "lifeline", "go" } do
    image[name] = options[name] and fd(options[name])
  end
  assert(image.status and image.lifeline, "orders need a status and a lifeline descriptor")
  return image
end

--- Adds a step. index: what a failure names; number: what a descriptor that is its result becomes.
function M.add(image, op, args, optional, index, number)
  local encode = image.encoders[op] or error(("the stage knows no '%s'"):format(tostring(op)), 0)
  image.number, image.result = number, nil
  I.step(image, index, optional and (optional == true and C.any_errno or optional))
  encode(image, args)
end

--- The bytes of an image.
function M.finish(image) return I.tobytes(image, image.status, image.lifeline, image.go, image.channel) end

--- The image of a list of steps; options as of M.begin. A failure names step.index, or the place in the list.
function M.encode(list_of_steps, options)
  local image = M.begin(options)
  local checked = false
  for _, step in ipairs(list_of_steps) do checked = checked or step.op == "chdir" or step.op == "check_cwd" end
  if not checked then add(image, "cwd") end
  for index, step in ipairs(list_of_steps) do
    local ok, message = pcall(M.add, image, step.op, step.args or {}, step.optional, step.index or index, step.number)
    if not ok then error(("orders: step %d, %s: %s"):format(index, tostring(step.op), message)) end
  end
  return M.finish(image)
end

--- The words the stage is executed with, when descriptor `number` holds the orders.
function M.argv(number) return { C.argv0 .. fd(number) } end

-- ---- messages ----

M.MESSAGE_SIZE = 16

local EXIT_CODES = { not_found = 127, not_executable = 126, no_interpreter = 126 }

--- A message of the stage: { kind = "sealed" or "started" }, { kind = "exit", code }, { kind = "signal", signal,
-- core }, { kind = "error", index, errno, reason, exit_code }. index: the step; errno 0 when reason says it all.
-- nil for anything else.
function M.decode_status(bytes)
  if #bytes ~= M.MESSAGE_SIZE then return nil end
  local number, a, b, c = ("<i4i4i4i4"):unpack(bytes)
  local kind = C.messages[number]
  if kind == "exit" then return { kind = kind, code = a } end
  if kind == "signal" then return { kind = kind, signal = a, core = b ~= 0 } end
  if kind == "error" then
    local reason = C.reasons[c]
    return { kind = kind, index = a, errno = b, reason = reason, exit_code = EXIT_CODES[reason] or must.FAILED }
  end
  return kind and { kind = kind, pid = kind == "started" and a ~= 0 and a or nil }
end

return M
