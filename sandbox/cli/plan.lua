-- SPDX-License-Identifier: MIT
-- sandbox.cli.plan: `luge plan`: the steps that run would take, each as the call it is.

local cli = require "sandbox.cli"
local list = require "sandbox.plan.list"
local request = require "sandbox.cli.request"

local M = {}

local WIDTH = 100

local function quote(text)
  return '"' .. text:gsub('[\\"]', "\\%0"):gsub("\n", "\\n"):gsub("[%c\128-\255]", function(c)
    return ("\\x%02x"):format(c:byte())
  end) .. '"'
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

-- A value as Lua text; a symbol stands as it is, since only the run knows it.
local function text_of(value)
  if type(value) == "string" then
    if value:match("^%$[%w_.]+$") then return value end
    return quote(value)
  elseif type(value) ~= "table" then
    return tostring(value)
  elseif value.literal then
    return quote(value.literal)
  end
  local parts = {}
  for _, item in ipairs(value) do parts[#parts + 1] = text_of(item) end
  for _, key in ipairs(sorted_keys(value)) do
    if type(key) == "string" then parts[#parts + 1] = key .. " = " .. text_of(value[key]) end
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

-- What runtime/stage/ does by itself is no function of the syscall layer; its close_range takes a list of what stays open.
local function is_the_stages(step)
  if step.op == "close_range" then return type(step.args[1]) ~= "number" end
  return not require("sandbox.plan.steps").operation(require "syscall", step.op)
end

local function call_of(step)
  local args = {}
  for i = 1, step.args.n or #step.args do args[i] = text_of(step.args[i]) end
  local call = ("%s.%s(%s)"):format(is_the_stages(step) and "stage" or "S", step.op, table.concat(args, ", "))
  return step.save and step.save .. " = " .. call or call
end

local function why_of(spec, step)
  local profile = require "sandbox.profile"
  local origin = profile.origin(spec, step.why)
  return origin == "default" and step.why or step.why .. " " .. origin
end

local function print_steps(spec, plan)
  local place
  for index, step in ipairs(plan.steps) do
    if step.where ~= place then
      place = step.where
      print(("%s-- %s"):format(index > 1 and "\n" or "", place))
    end
    local call = call_of(step)
    local room = WIDTH - #call
    print(("%s%s-- %s"):format(call, room > 2 and (" "):rep(math.max(2, 60 - #call)) or "\n      ", why_of(spec, step)))
  end
end

-- The wrapper of literal text is the plan's own matter.
local function plain(value)
  if type(value) ~= "table" then return value end
  if value.literal then return value.literal end
  local copy = {}
  for key, item in pairs(value) do
    if key ~= "n" then copy[key] = plain(item) end
  end
  return copy
end

local function json_steps(spec, plan)
  local json = require "luge.json"
  local steps = {}
  for i, step in ipairs(plan.steps) do
    local args = {}
    for n = 1, step.args.n or #step.args do
      args[n] = step.args[n] == nil and json.null or plain(step.args[n])
    end
    steps[i] = { op = step.op, args = json.array(args), where = step.where, why = why_of(spec, step), save = step.save,
      undo = step.undo and { op = step.undo[1], args = json.array(plain(step.undo[2])) } }
  end
  return json.array(steps)
end

local function print_json(document)
  document.schema = 1
  print(require("luge.json").encode(document, { pretty = true }))
end

-- A value as a profile has it: the fields of its own record, and modes as they are written. The plan notes more in it.
local function written(value, f)
  local schema = require "sandbox.profile.schema"
  local kind = type(value) == "table" and schema.kinds[value.type]
  if f and f[2] == "mode" and type(value) == "number" then return quote(("%04o"):format(value)) end
  if type(value) == "table" and value.type and next(value, next(value)) == nil and not (kind and kind.example) then
    return quote(value.type) -- "system", "none", "auto"
  elseif kind then
    local parts = {}
    for i = 1, #kind do
      local item = value[kind[i][1]]
      if item ~= nil then parts[#parts + 1] = ("%s = %s"):format(kind[i][1], written(item, kind[i])) end
    end
    return #parts == 0 and value.type .. " { }" or ("%s { %s }"):format(value.type, table.concat(parts, ", "))
  elseif type(value) == "table" and #value > 0 then
    local parts = {}
    for i, item in ipairs(value) do parts[i] = written(item) end
    return "{ " .. table.concat(parts, ", ") .. " }"
  end
  return text_of(value)
end

local function print_origins(spec)
  local profile, schema = require "sandbox.profile", require "sandbox.profile.schema"
  local function walk(path, value, f)
    local origin = profile.origin(spec, path)
    local is_map = type(value) == "table" and #value == 0 and next(value) ~= nil
    if is_map and (not value.type or path == "network" and value.type == "table") then
      for _, key in ipairs(sorted_keys(value)) do
        local name = key:match("^[%a_][%w_]*$") and "." .. key or "[" .. quote(key) .. "]"
        if key ~= "type" or path ~= "network" then walk(path .. name, value[key]) end
      end
    elseif path == "mounts" and value[1] then
      for i, item in ipairs(value) do walk(("mounts[%d]"):format(i), item) end
    else
      print(("%-28s %-44s %s"):format(path, written(value, f), origin))
    end
  end
  for _, field in ipairs(sorted_keys(spec)) do
    local f = schema.field(schema.container, field)
    if f then walk(field, spec[field], f) end
  end
end

local function has_overlay(plan)
  for _, step in ipairs(plan.steps) do
    if step.op == "new_mount" and step.args[1].type == "overlay" and step.where == "guest" then return true end
  end
end

-- What the container can write that limits.disk does not count.
local function print_unlimited(spec)
  local kept, own = {}, {}
  local function look(mount, target)
    local layer = mount.overlay or mount.upper
    if mount.rw or layer and layer ~= "discard" then kept[#kept + 1] = target end
    if mount.size then own[#own + 1] = target end
  end
  look(spec.root, "/")
  for _, mount in ipairs(spec.mounts) do look(mount, mount.target) end
  print("\n-- limits.disk: one tmpfs holds what the container writes to /tmp, /run, /var/tmp, its home, /dev/shm and what")
  local beside = #own > 0 and "With a size of their own, beside it: " .. table.concat(own, " ") .. ". " or ""
  print("-- else is thrown away. " .. beside
    .. (#kept > 0 and "On the host, not limited: " .. table.concat(kept, " ") .. "." or "Nothing of the host can be written."))
  if not spec.seccomp or list.has(spec.capabilities.bounding, "sys_admin") then
    print("-- Without a filter, or with sys_admin, the container can mount a tmpfs of its own, which is not in it.")
  end
end

-- Whether one of the container's cgroups counts processor time.
local function counts_time(cgroup)
  for controller, dir in pairs(cgroup and cgroup.dirs or {}) do
    if controller == "cpuacct" or dir.version == 2 then return true end
  end
end

-- What of luge's next start the container decides.
local function print_rewritable(spec)
  local files = require("sandbox.profile").files(spec)
  for _, hook in ipairs { "prepare", "guest", "started", "stopped" } do
    for _, path in ipairs(spec.hooks and spec.hooks[hook] or {}) do files[#files + 1] = path end
  end
  local rewritable = require("sandbox.plan.reach").rewritable(spec, files)
  if #rewritable == 0 then return end
  print("\n-- The container can write what luge believes at the next start, and what hooks run with luge's rights:")
  for _, path in ipairs(rewritable) do print("--   " .. path) end
  print("-- Bind only what it has to write, or write overlay = \"discard\".")
end

local function print_notes(plan, spec, host, options)
  print_rewritable(spec)
  if has_overlay(plan) then
    print("\n-- An overlay inside a user namespace: renaming a directory of the lower layer fails (EXDEV), and files of")
    print("-- owners that are not mapped cannot be changed. As root neither is so.")
  end
  if spec.namespaces.pid == "host" then
    print("\n-- In the host's pid namespace luge ends what the container started as long as luge itself lives; killed, it")
    print("-- takes along only the first process.")
  end
  for _, name in ipairs(plan.ids.userns and spec.capabilities.bounding or {}) do
    if name == "sys_admin" then
      print("\n-- With sys_admin the container gets a further user namespace, so that its mounts are locked: capabilities hold")
      print("-- over mounts and ids there, not over the network, host name and processes' namespaces around it.")
    end
  end
  if spec.limits.disk then print_unlimited(spec) end
  if spec.limits.cpu_time and not counts_time(plan.cgroup) then
    print("\n-- limits.cpu_time: without a cgroup luge adds up its processes. The time of children that nobody waits")
    print("-- for counts as far as luge saw them; RLIMIT_CPU bounds each of them, not their sum: limits.wall does.")
  end
  if spec.terminal == "auto" and host.stdin_is_terminal and not plan.terminal then
    print("\n-- Where stdout and stderr are terminals too, run gives the container one of its own: luge plan --tty shows how.")
  end
  if spec.limits.output and not plan.terminal then
    print("\n-- limits.output: the command's stdout and stderr are pipes to luge, whatever luge's own are.")
  end
  if options.detach and spec.log then
    print("\n-- log: detached, the command's stdout and stderr are pipes to luge, which writes them to "
      .. (spec.log == "journald" and "the journal." or "a log (luge logs)."))
  end
  if spec.root.type == "host" then
    print("\n-- root = \"/\": the container sees the host's world-readable files and reaches its world-writable")
    print("-- sockets and FIFOs.")
  end
  if plan.ids.userns and not plan.ids.full then
    print("\n-- One host id stands behind the container's user: files of other owners appear as nobody's (65534),")
    print("-- and chown to another id fails (EOVERFLOW or EINVAL).")
  end
end

local function show(spec, plan, host, options)
  if options.origins then
    print_origins(spec)
  elseif options.seccomp then
    local seccomp = require "sandbox.plan.seccomp"
    for _, line in ipairs(seccomp.describe(spec.seccomp, { caps = spec.capabilities.bounding,
      setid_guard = plan.setid_guard })) do print(line) end
  else
    print_steps(spec, plan)
    print_notes(plan, spec, host, options)
  end
end

local function needs_text(one)
  local parts = {}
  for i, needed in ipairs(sorted_keys(one.needs)) do parts[i] = ('%s = "%s"'):format(needed, one.needs[needed]) end
  return #parts > 0 and ", needs " .. table.concat(parts, ", ") or ""
end

-- The plans of all containers of a group, in the order of their start.
local function show_group(group, host, options)
  local group_cli, json = require "sandbox.cli.group", require "luge.json"
  local name, code = group_cli.settle_name(group, options)
  if not name then return code end
  options.group = name
  local plans
  plans, code = group_cli.plans(group, host, options)
  if not plans then return code end
  local documents = {}
  for i, member in ipairs(group.order) do
    local one = group.members[member]
    local full = group_cli.name_of(group, member)
    if options.json then
      documents[i] = { name = full, container = member, needs = next(one.needs) and one.needs or nil,
        steps = json_steps(one.spec, plans[member]) }
    else
      print(("%s== %s%s%s"):format(i > 1 and "\n" or "", full, member == group.main and ", main" or "", needs_text(one)))
      show(one.spec, plans[member], host, options)
    end
  end
  if options.json then print_json { group = name, containers = json.array(documents) } end
  return 0
end

function M.run(options, words)
  local word = table.remove(words, 1)
  if not word then return cli.complain("which profile?", "luge plan default -- COMMAND") end
  local spec, host = request.load(word, options, words, nil, true)
  if not spec then return host end
  if spec.type == "group" then return show_group(spec, host, options) end
  local plan, code = request.plan(spec, host, options)
  if not plan then return code end
  if options.json and not options.origins and not options.seccomp then
    print_json { steps = json_steps(spec, plan) }
  else
    show(spec, plan, host, options)
  end
  return 0
end

return M
