-- SPDX-License-Identifier: MIT
-- phases.lua: where a start of luge spends its time: `luge lua tests/bench/phases.lua PROFILE [RUNS]`
--
-- Each run is a luge of its own that executes this script again and calls what `luge run` calls, with a clock around it; so
-- loading the program is not in it (see "luge version" in the table above), nor is what the script itself costs. What the
-- two sides do at once is shown side by side. Medians.

local S = require "syscall"
local request = require "sandbox.cli.request"
local furnish = require "sandbox.container.furnish"
local launch = require "sandbox.container.launch"
local guest = require "sandbox.container.guest"
local run = require "sandbox.cli.run"

local PROFILE, RUNS = arg[1], arg[2] or "60"
local MARKS = "marks" -- in place of RUNS: one run, whose marks go to standard output

-- { mark, what lies between the mark before and this one }; the marks of the child, where it is a copy of luge, lie beside
-- the parent's.
local PARENT = {
  { "profile", "load, check and merge the profile" },
  { "plan", "plan" },
  { "launch", "name and state directory" },
  { "clone", "steps before the clone: locks, descriptors" },
  { "cloned", "clone3: the new namespaces" },
  { "orders", "the stage's orders, while it is executed" },
  { "maps", "id maps" },
  { "attached", "attach steps: sources of mounts" },
  { "started", "until the stage says that the command runs" },
  { "gone", "until the container has ended" },
  { "done", "undo, exit code" },
}
local CHILD = {
  { "born", "child: from the clone" },
  { "ready", "child: its descriptors" },
  { "mapped", "child: wait for the id maps" },
  { "sealing", "child: guest steps, until the stage is executed" },
}

-- Calls mark(name) before or after a function of a table.
local function around(tab, name, before, after, mark)
  local call = tab[name]
  tab[name] = function(...)
    if before then mark(before) end
    local results = table.pack(call(...))
    if after then mark(after) end
    return table.unpack(results, 1, results.n)
  end
end

local function instrument(mark)
  around(request, "load", "begin", "profile", mark)
  around(request, "plan", nil, "plan", mark)
  around(launch, "run", "launch", "done", mark)
  around(furnish, "orders", nil, "orders", mark)
  around(S, "clone3", "clone", nil, mark)
  around(S, "clone3_exec", "clone", "cloned", mark)
  local sendmsg, words = S.sendmsg, { "maps", "attached" }
  S.sendmsg = function(...)
    local sent, err = sendmsg(...)
    if words[1] then mark(table.remove(words, 1)) end
    return sent, err
  end
  around(S, "waitid", "gone", nil, mark)
  -- The first message that the child hears says that the maps are written; the parent hears messages as well.
  local run_guest, is_next = guest.run, false
  guest.run = function(...)
    is_next = true
    mark "born"
    return run_guest(...)
  end
  local recvmsg = S.recvmsg
  S.recvmsg = function(...)
    if not is_next then return recvmsg(...) end
    is_next = false
    mark "ready"
    local message = recvmsg(...)
    mark "mapped"
    return message
  end
  around(S, "execveat", "sealing", nil, mark)
  local decode = require("sandbox.container.orders").decode_status
  require("sandbox.container.orders").decode_status = function(bytes)
    local message = decode(bytes)
    if message and message.kind == "started" then mark "started" end
    return message
  end
  local clone3 = S.clone3
  S.clone3 = function(...)
    local pid, pidfd = clone3(...)
    if pid ~= 0 then mark "cloned" end
    return pid, pidfd
  end
end

local function run_marked()
  instrument(function(name) S.write(1, ("%s %.9f\n"):format(name, S.clock_gettime "monotonic")) end)
  return run.run({}, { PROFILE })
end

-- One start; { mark = seconds }.
local function measure()
  local r, w = S.pipe "cloexec"
  local pid = assert(S.fork())
  if pid == 0 then
    S.dup3(w, 1)
    S.execve("/proc/self/exe", { "luge", "lua", arg[0], PROFILE, MARKS }, S.environ())
    S.exit(127)
  end
  w:close()
  local text = {}
  repeat
    local part = S.read(r)
    text[#text + 1] = part
  until not part or part == ""
  r:close()
  S.waitid("pid", pid, "exited")
  local marks = {}
  for name, time in table.concat(text):gmatch "(%S+) (%S+)\n" do marks[name] = tonumber(time) end
  return marks
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function add(lengths, first, phases, marks)
  local before = marks[first]
  for _, phase in ipairs(phases) do
    local time = marks[phase[1]]
    if time and before then
      lengths[phase[1]] = lengths[phase[1]] or {}
      table.insert(lengths[phase[1]], time - before)
      before = time
    end
  end
end

if RUNS == MARKS then S.exit(run_marked()) end

local lengths, whole = {}, {}
for _ = 1, tonumber(RUNS) do
  local marks = measure()
  add(lengths, "begin", PARENT, marks)
  add(lengths, "clone", CHILD, marks)
  whole[#whole + 1] = marks.done - marks.begin
end
for _, phases in ipairs { PARENT, CHILD } do
  for _, phase in ipairs(phases) do
    if lengths[phase[1]] then print(("%-50s %7.0f us"):format(phase[2], median(lengths[phase[1]]) * 1e6)) end
  end
end
print(("%-50s %7.0f us"):format("all of it, without starting the program", median(whole) * 1e6))
