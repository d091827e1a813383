-- SPDX-License-Identifier: MIT
-- luge plan: the same steps for the same facts (tests/golden, rewritten by LUGE_GOLDEN=write), in both forms, with nothing done.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"

-- ---- a host that is always the same ----

local DIRECTORIES = { "/", "/usr", "/etc", "/etc/ssl/certs", "/etc/alternatives", "/proc/acpi", "/proc/scsi", "/proc/bus",
  "/proc/fs",
  "/proc/irq", "/proc/sys", "/sys/firmware", "/dev", "/home", "/root", "/opt", "/src", "/srv", "/srv/root", "/home/ann" }
local FILES = { "/etc/ld.so.cache", "/etc/passwd", "/proc/kcore", "/proc/keys", "/proc/sysrq-trigger", "/srv/root/etc/passwd" }
local IN_ROOT = { "/proc", "/sys", "/dev", "/tmp", "/etc", "/usr", "/run", "/var", "/var/tmp", "/home", "/root" }
local LINKS = { ["/bin"] = "usr/bin", ["/sbin"] = "usr/sbin", ["/lib"] = "usr/lib", ["/lib64"] = "usr/lib64",
  ["/etc/localtime"] = "/usr/share/zoneinfo/Etc/UTC" }
for _, kind in ipairs { "user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time" } do LINKS["/proc/self/ns/" .. kind] = kind
  .. ":[1]" end

local function found(list, path, kind, owner)
  for i, entry in ipairs(list) do
    if entry == path then
      return { type = kind, uid = owner, gid = owner, perm = kind == "directory" and 493 or 420, size = 0, mode = 0, ino = i,
        dev = 1 }
    end
  end
end

local function look(_, path)
  local owner = (path:find "^/src" or path:find "^/home/ann") and 1000 or 0
  return found(DIRECTORIES, path, "directory", owner) or found(FILES, path, "file", owner)
end

local function kind(_, path)
  local st = look(nil, path)
  return st and st.type
end

local function look_in_root(_, _, path)
  return found(IN_ROOT, path, "directory", 0) or found({ "/etc/passwd" }, path, "file", 0)
end

-- Version 2; root makes cgroups, the user's session is not delegated.
local function cgroups(root)
  local hosts = dofile "tests/lua/cgroup_hosts.lua"
  return hosts.layout(root and hosts.v2(0, "/user.slice/user-0.slice/session-1.scope") or hosts.session())
end

local function host(root, kernel)
  local facts = { cwd = "/src", uid = root and 0 or 1000, gid = root and 0 or 1000, user = root and "root" or "ann",
    home = root and "/root" or "/home/ann", passwd = {}, arch = "x86_64", kernel = kernel or "6.18.0", cpus = 4, memory = 1 << 33,
    env = { LANG = "C", TOKEN = "hush" }, privileged = root, initial_userns = true, sys_resource = root,
    sys_nice = root, nice = 0, oom_score = 0, own_cpus = { 0, 1, 2, 3 },
      capabilities = require("sandbox.profile.capabilities").NAMES,
    newuidmap = false, newgidmap = false, subuid = {}, subgid = {}, given_ranges = {}, stdin_is_terminal = false,
    cgroups = cgroups(root), stat = look, kind = kind, link = function(_, path) return LINKS[path] end, stat_in_root = look_in_root, lstat_in_root = look_in_root,
    lookup_user = function(_, _, want) return { uid = want.uid, gid = want.gid, home = "/", groups = {} } end,
    rlimit = function() return { soft = 1024, hard = 4096 } end, closed_above = function() return false end,
    setid_below = function() return nil end }
  return require("sandbox.plan.facts").gather(facts)
end

local function compile(root, body, kernel)
  local facts = host(root, kernel)
  local profile = require "sandbox.profile"
  local spec, faults = profile.load { source = { text = "return container {\n" .. body .. "\n}\n", label = "golden.lua" },
    facts = facts, overrides = {} }
  if not spec then error(profile.format(faults), 2) end
  local plan
  plan, faults = require("sandbox.plan").compile(spec, facts, {})
  if not plan then error(profile.format(profile.place(spec, faults)), 2) end
  return plan
end

local function text_of(plan)
  local show = require "sandbox.cli.show"
  local lines = {}
  for i, step in ipairs(plan.steps) do
    local args = {}
    for n = 1, step.args.n or #step.args do args[n] = show.value(step.args[n]):gsub("\n%s*", " ") end
    lines[i] = ("%s %s%s(%s) -- %s%s%s"):format(step.where, step.save and step.save .. " = " or "", step.op, table.concat(args,
      ", "),
      step.why, step.undo and "; undo " .. step.undo[1] or "", step.optional and "; optional" or "")
  end
  return table.concat(lines, "\n") .. "\n"
end

local GOLDEN = {
  default = "",
  workspace = [[
    command = { "make" }, cwd = "/src", env = { "LANG", A = "b" }, umask = "077", stdin = "null",
    mounts = { bind { "/src", overlay = "discard" }, bind { "/home/ann", "/keep", rw = true }, tmpfs { "/t", size = "1M" },
      mask { "/opt" },
      secret { "/run/token", env = "TOKEN" }, file { "/f", text = "x$y${z}" }, symlink { "/l", "f" } },
    limits = { wall = "1m", open_files = 100, nice = 5 }, seccomp = "ci" ]],
  directory = [[ root = { "/srv/root", overlay = "discard" }, capabilities = { "chown", "setuid" }, user = "0:0" ]],
  limited = [[ root = { "/srv/root", overlay = "discard" }, mounts = { tmpfs { "/t" }, tmpfs { "/own", size = "1M" } },
    limits = { disk = "4M", output = "1K", cpu_time = "90s", processes = 50, oom_score = 100, scheduler = "batch" } ]],
  empty = [[ root = empty { size = "1M" }, user = "5:6", init = false, namespaces = { time = { boottime = "1h" }, ipc = "host" } ]],
  terminal = [[ terminal = true, stdin = "null", limits = { output = "1K" }, user = "5:6" ]],
  whole = [[ root = "/", network = "host", no_new_privs = false, seccomp = false ]],
}

for name, body in pairs(GOLDEN) do
  for _, who in ipairs { "root", "user" } do
    t.test(("golden: %s as %s"):format(name, who), function()
      local text = text_of(compile(who == "root", body))
      local path = ("tests/golden/%s.%s"):format(name, who)
      if os.getenv "LUGE_GOLDEN" == "write" then t.write(path, text) end
      local want = t.ok(t.read(path), path .. " is missing: LUGE_GOLDEN=write makes it")
      if text ~= want then
        local shown = t.dir() .. "/now"
        t.write(shown, text)
        error(t.run({ "diff", "-u", path, shown }).stdout)
      end
      t.equal(text_of(compile(who == "root", body)), text, "a second time")
      t.lacks(text, "hush", "a secret")
    end)
  end
end

t.test("before Linux 6.15 root attaches the layers of an overlay, in mounts of luge's own", function()
  for _, body in ipairs { GOLDEN.workspace, GOLDEN.directory } do
    local own, attached
    for _, step in ipairs(compile(true, body, "6.12.0").steps) do
      local first = step.args[1]
      local op = step.where == "attach" and step.op -- the child's mounts are its own
      if op == "unshare" then
        own, attached = true, {}
      elseif op == "userns_open" then
        t.ok(not attached or not next(attached), "luge counts as chrooted")
      elseif op == "move_mount" then
        t.ok(own, "attached in the host's mounts")
        attached["/proc/self/fd/${" .. first:sub(2) .. "}"] = true
      elseif op == "umount2" then
        t.ok(attached[first], first .. " was not attached")
        attached[first] = nil
      elseif op == "new_mount" and first.type == "overlay" then
        for _, option in ipairs(first.options) do
          local layer = option[1]:find "dir$" and option[2]:match "^/proc/self/fd/[^/:]*"
          t.ok(not layer or attached[layer], (layer or "") .. " is not attached")
        end
      end
    end
    t.equal(attached, {}, "still attached at the end")
    t.lacks(text_of(compile(true, body, "6.15.0-rc1")), 'attach unshare("newns")')
  end
end)

t.test("faults of a host that cannot give it", function()
  local function faults(root, body)
    local ok, message = pcall(compile, root, body)
    t.ok(not ok, "planned: " .. body)
    return message
  end
  t.contains(faults(false, 'id_map = "auto"'), "newuidmap")
  t.contains(faults(false, 'id_map = "host"'), "needs root")
  t.contains(faults(true, 'root = "/none"'), "/none does not exist")
  t.contains(faults(true, 'mounts = { bind { "/none" }, bind { "/nothing" } }'), "2 errors")
  t.contains(faults(false, "limits = { open_files = 5000 }"), "above the hard limit of 4096")
  t.contains(faults(false, "limits = { oom_score = -1 }"), "below the 0")
  t.contains(faults(true, "limits = { affinity = { 1, 4 } }"), "may not run on CPU 4, only on 0, 1, 2, 3")
  t.contains(faults(true, "limits = { disk = '1M' }, mounts = { tmpfs { '/t', inodes = 5 } }"), "inodes without a size")
  t.contains(faults(true, 'stdin = "/none"'), "/none does not exist")
end)

-- ---- the command ----

t.test("text and JSON are the same steps", function()
  local how = { verb = "plan", "exit", "0", body = "mounts = { tmpfs { '/t' } }, limits = { open_files = 50 }" }
  local profile = t.profile(box.text(how.body))
  how.profile = profile
  local text = box.succeed(how).stdout
  how.options = { "--json" }
  local plan = t.json.decode(box.succeed(how).stdout)
  t.equal(plan.schema, 1)
  local ops, place = {}, nil
  for line in text:gmatch "[^\n]+" do
    place = line:match "^%-%- (%l+)$" or place
    local op = line:match "^%l+%.([%w_.]+)%(" or line:gsub("^%$[%w_.]+ = ", ""):match "^S%.([%w_.]+)%("
    if op then ops[#ops + 1] = place .. " " .. op end
  end
  t.ok(#ops > 40, "steps: " .. #ops)
  t.equal(#plan.steps, #ops)
  for i, step in ipairs(plan.steps) do
    t.equal(step.where .. " " .. step.op, ops[i], "step " .. i)
    t.ok(type(step.why) == "string" and step.args ~= nil)
  end
end)

-- What the stage does by itself (runtime/stage/).
local STAGE = { check_cwd = true, close_range = true, enter = true, exec = true, init = true, lifeline = true,
  reset_signals = true, wait = true }

-- The lines of a plan that are steps: all but the places, the reasons on lines of their own and a group's members.
local function check_calls(text, what)
  local docs = require "syscall.docs"
  local n = 0
  for line in text:gmatch "[^\n]+" do
    if not line:find "^%s*%-%- " and not line:find "^== " then
      local area, op = line:gsub("^%$[%w_.]+ = ", ""):match "^(%a+)%.([%w_.]+)%("
      t.ok(area == "S" and docs[op] or area == "stage" and STAGE[op], ("%s: %s is documented nowhere"):format(what, line))
      t.ok(line:find "S.close_range%(%d" or not line:find "S.close_range", line)
      n = n + 1
    end
  end
  t.ok(n > 40, what .. " has steps")
end

t.test("what a plan prints are documented functions of S, or what only the stage does", function()
  for name, body in pairs(GOLDEN) do
    for _, who in ipairs { "root", "user" } do
      for _, step in ipairs(compile(who == "root", body).steps) do
        t.ok(require "syscall.docs"[step.op] or STAGE[step.op], ("%s as %s: %s"):format(name, who, step.op))
      end
    end
  end
  local planned = 0
  for _, name in ipairs(t.must(S.dir "examples")) do
    local r = name:find "%.lua$" and t.run { "luge", "plan", "examples/" .. name }
    if r and r.code == 0 then -- not every host has what all of them want
      planned = planned + 1
      check_calls(r.stdout, name)
    end
  end
  t.ok(planned > 5, "examples: " .. planned)
end)

t.test("each step says which field wants it, and where that was written", function()
  local profile = t.profile(box.text "mounts = { tmpfs { '/t' } },\nlimits = { open_files = 50 }")
  local text = box.succeed({ verb = "plan", "exit", "0", profile = profile }).stdout
  t.contains(text, "limits.open_files " .. profile .. ":3")
  t.matches(text, 'mounts%[%d%] [^\n]*profile.lua:2')
end)

t.test("the plan is the same each time", function()
  local how = { verb = "plan", "exit", "0", profile = t.profile(box.text "env = { A = '1', B = '2', C = '3' }") }
  local first = box.succeed(how).stdout
  for _ = 1, 3 do t.equal(box.succeed(how).stdout, first) end
end)

t.test("a plan changes nothing, not even the state directory", function()
  local dir = t.dir()
  local profile = t.profile(box.text(("mounts = { bind { %q, '/w', rw = true, create = true }, bind { %q, '/o', overlay = %q } }")
    :format(dir .. "/made", dir, dir .. "/kept")))
  for _, options in ipairs { {}, { "--json" }, { "--origins" }, { "--seccomp" }, { "--report", dir .. "/report" } } do
    box.succeed { verb = "plan", options = options, "exit", "0", profile = profile, env = { LUGE_STATE = dir .. "/state" } }
  end
  t.equal(S.dir(dir), {})
end)

t.test("a plan needs no command and no privilege", function()
  t.equal(box.run({ verb = "plan", body = "" }).code, 0)
  t.equal(box.run({ verb = "plan", body = "root = 'none'" }).code, 125)
end)

t.test("--origins tells where each value is from", function()
  local profile = t.profile(box.text "cwd = '/usr',\nhostname = 'h'")
  local r = box.succeed { verb = "plan", options = { "--origins", "--timeout", "5s" }, profile = profile }
  t.matches(r.stdout, 'cwd%s+"/usr"%s+' .. profile:gsub("%p", "%%%0") .. ":2")
  t.matches(r.stdout, 'hostname%s+"h"%s+' .. profile:gsub("%p", "%%%0") .. ":3")
  t.matches(r.stdout, "limits.wall%s+5%s+%-%-timeout")
  t.matches(r.stdout, 'umask%s+"0022"%s+default')
end)

t.test("what is mounted in every container is no word of the profile", function()
  local r = box.succeed { verb = "plan", body = "mounts = { tmpfs { '/t' } }", guest = false }
  t.matches(r.stdout, '\nS%.move_mount[^\n]*, "proc", [^\n]*%-%- mounts\n')
  t.matches(r.stdout, '\n      %-%- mounts%[1%] %S+:%d+\n')
end)

t.test("a container that can write its own profile, or a hook, is told of", function()
  local dir = t.dir "0755"
  t.must(S.mkdir(dir .. "/sub", "0755"))
  t.write(dir .. "/sub/hook.lua", "")
  t.must(S.symlink(dir .. "/sub", dir .. "/link"))
  local function told(mount)
    t.write(dir .. "/p.lua", ("return container { command = { 'true' }, hooks = { started = 'link/hook.lua' }, mounts = { %s } }")
      :format(mount))
    local r = box.run { verb = "plan", profile = dir .. "/p.lua" }
    t.equal(r.code, 0, r.stderr)
    local files = {}
    for path in r.stdout:gmatch "\n%-%-   (/%S+)" do files[#files + 1] = path:sub(#dir + 2) end
    return table.concat(files, " ")
  end
  t.equal(told "bind { '.', '/w', rw = true }", "p.lua link/hook.lua")
  t.equal(told "bind { 'sub', '/w', rw = true }", "link/hook.lua")
  t.equal(told "bind { 'p.lua', '/w', rw = true }", "p.lua")
  t.equal(told "bind { '.', '/w' }, bind { 'sub', '/x', overlay = 'discard' }", "")
end)

t.test("--origins shows what can be written, and nothing that the plan noted", function()
  local body = "mounts = { tmpfs { '/t', size = '1M' }, dir { '/d', mode = '0700' } }, devices = { 'kmsg' }"
  local r = box.succeed { verb = "plan", options = { "--origins" }, body = body, guest = false }
  t.matches(r.stdout, '\nmounts%[2%]%s+dir { target = "/d", mode = "0700" }%s')
  t.matches(r.stdout, '\nmounts%[1%]%s+tmpfs { target = "/t", size = 1048576, mode = "1777", flags = "nosuid,nodev" }%s')
  t.matches(r.stdout, '\nroot%s+"system"%s')
  t.matches(r.stdout, '\nnetwork%s+"none"%s')
  for _, word in ipairs { "cover", "order", "unenforced", "removed_mounts" } do t.lacks(r.stdout, word) end
end)

t.test("--seccomp tells what the filters allow", function()
  local r = box.succeed { verb = "plan", options = { "--seccomp" }, body = "seccomp = { base = 'default', deny = { 'uname' } }" }
  t.contains(r.stdout, "uname")
  r = box.run { verb = "plan", options = { "--seccomp" }, body = "seccomp = false" }
  t.equal(r.code, 0, r.stderr)
end)

t.test("what root = \"/\" and one id mean is said", function()
  t.contains(box.succeed({ verb = "plan", guest = false, body = "root = '/'" }).stdout, "world-writable")
  t.contains(box.succeed({ verb = "plan", body = "id_map = 'self'" }).stdout, "65534")
end)

t.test("what limits.disk leaves unlimited, and what limits.output changes, is said", function()
  local dir = t.dir()
  local function plan(body) return box.succeed({ verb = "plan", body = body }).stdout end
  t.contains(plan "limits = { disk = '1M' }", "Nothing of the host can be written.")
  local text = plan(("limits = { disk = '1M' }, mounts = { bind { %q, '/w', rw = true }, tmpfs { '/s', size = '1M' } }"):format(dir))
  t.contains(text, "On the host, not limited: /w.")
  t.contains(text, "With a size of their own, beside it: /s.")
  t.lacks(plan "limits = { disk = '1M' }", "a tmpfs of its own")
  t.contains(plan "limits = { disk = '1M' }, capabilities = { 'sys_admin' }", "can mount a tmpfs of its own")
  t.contains(plan "limits = { disk = '1M' }, seccomp = false", "can mount a tmpfs of its own")
  text = plan "limits = { cpu_time = '1s' }"
  local has_cgroup = text:find "cgroup[^\n]*%${name}" ~= nil
  t.equal(text:find("RLIMIT_CPU bounds each of them", 1, true) == nil, has_cgroup)
  t.contains(plan "limits = { output = '1M' }", "stdout and stderr are pipes")
end)
