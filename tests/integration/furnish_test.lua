-- SPDX-License-Identifier: MIT
-- Who takes the guest steps: the stage where it knows them all, else a copy of luge. The container is the same.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"
local furnish = require "sandbox.container.furnish"
local profile = require "sandbox.profile"

-- Whether the stage takes the guest steps of a profile.
local function by_stage(source)
  local facts = require("sandbox.plan.facts").gather()
  local spec, faults = profile.load { source = source, facts = facts, overrides = {} }
  if not spec then error(profile.format(faults), 2) end
  local plan = t.must(require("sandbox.plan").compile(spec, facts, {}))
  local names, symbols = {}, { name = "x", hostname = "x", range = 100000, child = 1 }
  for _, step in ipairs(plan.steps) do
    local symbol = step.save and step.save:sub(2)
    if step.where == "attach" and symbol and symbol:find "^fd%." then names[#names + 1] = symbol end
    if step.where == "host" and symbol then
      local address = step.op == "nl.subnet" and (step.args[1]:find ":" and "fd00::2" or "10.0.0.2")
      symbols[symbol] = symbols[symbol] or address or S.open "/dev/null"
    end
  end
  for name, value in pairs(plan.constants) do symbols[name] = value end
  local run = { spec = spec, steps = plan.steps, user = plan.user, user_is_known = plan.user_is_known, home = plan.home,
    keep = { 0, 1, 2 }, descriptors = { status = 20, lifeline = 21, channel = 22 }, argv = { "true" } }
  return furnish.can_all(run, symbols, names) and furnish.orders(run, symbols, names) ~= nil
end

local function text(body) return { text = box.text(body), label = "furnish.lua" } end

-- The plan cannot know whom it names, though it names nobody else.
local function copied(own)
  return ([[ mounts = { file { "/etc/group", text = "root:x:0:\nnogroup:x:65534:\n%stty:x:5:\n" } }, ]]):format(own or "")
end

t.test("the stage furnishes what the shipped profiles ask for", function()
  for _, name in ipairs { "default", "ci", "strict", "shell" } do
    t.ok(by_stage { name = name }, name)
  end
  t.ok(by_stage(text(("root = %q"):format(t.rootfs()))), "a directory")
end)

t.test("the stage furnishes what has a network", function()
  t.needs_root()
  for _, network in ipairs { "'internet'", "{ interfaces = { veth {} } }", "{ interfaces = { bridge { 'lab', address = '10.0.5.2/24' } }, egress = false }",
    "{ interfaces = { veth { address = '10.1.2.2/24', routes = { { to = '10.7.0.0/16', via = '10.1.2.1' } } } } }" } do
    t.ok(by_stage(text("network = " .. network)), network)
  end
end)

t.test("it leaves to a copy of luge what it does not know", function()
  t.ok(not by_stage(text(copied())), "a group file that the profile writes")
  t.ok(not by_stage(text "root = { '/', overlay = 'discard' }"), "an overlay")
  t.ok(not by_stage(text "namespaces = { time = { boottime = '1h' } }"), "a time namespace")
end)

t.test("it leaves to a copy of luge more text than orders have room for", function()
  local long = "text = ('x'):rep(%d << 20)"
  local function mounts(size) return ("mounts = { file { '/data', %s } }"):format(long:format(size)) end
  t.ok(by_stage(text(mounts(7))))
  t.ok(not by_stage(text(mounts(9))))
  t.equal(box.succeed { shell = "wc -c </data", body = mounts(17) }.stdout, (17 << 20) .. "\n")
end)

local LOOK = [[
  sed 's/^[0-9]* [0-9]* [0-9]*:[0-9]* //' /proc/self/mountinfo | sort
  ls -lAn --time-style=+ / /etc /dev /tmp | sed 's/^\(.\{10\}\) *[0-9]*/\1/'
  cat /etc/passwd /etc/group /etc/hosts /proc/sys/net/ipv4/ip_unprivileged_port_start
  grep -E 'Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Umask' /proc/self/status
  ls /proc/self/fd
  cat /proc/net/dev | cut -d: -f1
  pwd; env | sort
]]

t.test("the container is the same", function()
  for _, body in ipairs { "", "user = '1234:1234', env = { A = 'b' }, cwd = '/tmp'", "capabilities = { 'chown', 'setuid' }",
    "network = 'host', init = false, terminal = false", "stdin = 'null', seccomp = false" } do
    local function look(more) return box.succeed { shell = LOOK, body = "hostname = 'same', " .. more .. body }.stdout end
    t.ok(by_stage(text(body)), body)
    -- Each has another range of ids; and the group file that the profile writes is its user's.
    local function same(lines) return (lines:gsub("[^\n]* group\n", ""):gsub("([ug]id=)%d+", "%1")) end
    t.equal(same(look ""), same(look(copied(body:find "1234" and "user:x:1234:\\n"))), body)
  end
end)

t.test("what fails is said of its field, whoever did it", function()
  local root = t.rootfs()
  t.must(S.symlink("loop", root .. "/loop"))
  for _, more in ipairs { "", "mounts = { tmpfs { '/etc' } }," } do
    local body = ("root = { %q, overlay = 'discard' }, %s"):format(root, more)
    local r = box.run { "exit", "0", body = body, options = { "--bind", "/usr:/loop/usr" } }
    t.equal(r.code, 125)
    t.contains(r.stderr, "loop")
  end
end)
