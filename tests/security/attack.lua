-- SPDX-License-Identifier: MIT
-- What the attacks share: `luge run` as root and as an ordinary user, with the guest as /guest.
--
--   local A = dofile "tests/security/attack.lua"
--   A.each("attack", function(side) … side:try({ fields = "seccomp = false" }, "unshare", "0x10000000") … end)
--
-- Each attack is first shown to work where nothing stops it: on the host, or with the one field of the profile
-- turned off that is tested. A run's fields: fields and mounts (Lua text of the profile), options (words before
-- the profile), and those of t.run.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"

local A = { t = t, NOBODY = 65534 }

local Side = {}
Side.__index = Side

local function copy_program(source, target)
  t.write(target, t.read(source), "0755")
  return target
end

-- Programs and files where the side's user can reach them, whoever owns the tree of the sources.
local function new_side(name, uid)
  local dir = t.dir("0755")
  local side = setmetatable({ name = name, uid = uid, dir = dir, count = 0 }, Side)
  side.is_root = t.root and not uid
  side.luge = copy_program(t.luge, dir .. "/luge")
  side.guest = copy_program(t.guest, dir .. "/guest")
  side.state = side:folder("state", "0700")
  return side
end

--- A directory of the side's user.
function Side:folder(name, perm)
  local path = self.dir .. "/" .. name
  t.must(S.mkdir(path, perm or "0755"))
  S.chmod(path, perm or "0755")
  if self.uid then t.must(S.chown(path, self.uid, self.uid)) end
  return path
end

--- A file of the side's user.
function Side:file(name, text, perm)
  local path = t.write(self.dir .. "/" .. name, text, perm or "0644")
  if self.uid then t.must(S.chown(path, self.uid, self.uid)) end
  return path
end

--- A root directory of the side's user with nothing in it but the guest.
function Side:rootfs(name)
  local root = self:folder(name)
  copy_program(self.guest, root .. "/guest")
  return root
end

--- The path of a profile that has these fields over the default one.
function Side:profile(how)
  self.count = self.count + 1
  return t.write(("%s/profile%d.lua"):format(self.dir, self.count),
    ('return container { profile "default", mounts = { bind { %q, "/guest" }, %s }, %s }\n')
    :format(self.guest, how.mounts or "", how.fields or ""), "0644")
end

local function environment(side)
  return { HOME = side.dir, LUGE_STATE = side.state, XDG_RUNTIME_DIR = false, USER = false, LOGNAME = false }
end

local function command_of(side, how, words)
  local command = { side.luge, "run" }
  for _, word in ipairs(how.options or {}) do command[#command + 1] = word end
  command[#command + 1] = how.profile or side:profile(how)
  command[#command + 1] = "--"
  table.move(words, 1, #words, #command + 1, command)
  for _, key in ipairs { "stdin", "cwd", "fds", "before", "timeout" } do command[key] = how[key] end
  command.cwd = command.cwd or side.dir
  command.uid = side.uid
  command.env = environment(side)
  for name, value in pairs(how.env or {}) do command.env[name] = value end
  return command
end

--- Starts `luge run` with the words as the command.
function Side:start(how, ...)
  return t.start(command_of(self, how, { ... }))
end

--- After a luge was killed: what `luge gc` leaves of its containers, which is nothing.
function Side:collect()
  t.succeed { self.luge, "gc", uid = self.uid, cwd = self.dir, env = environment(self) }
  t.equal(S.dir(self.state), {}, "state left")
end

--- Runs it to its end. how.report: the report is in result.report.
function Side:run(how, ...)
  local path
  if how.report then
    path = self:folder("report" .. self.count) .. "/report.json"
    how.options = table.move(how.options or {}, 1, #(how.options or {}), 3, { "--report", path })
  end
  local r = t.run(command_of(self, how, { ... }))
  local text = path and t.read(path)
  r.report = text and t.json.decode(text)
  return r
end

local function decoded(r, what)
  local value = t.json.decode(r.stdout)
  if r.code ~= 0 or not value then
    error(("%s ended with %d: %s%s"):format(what, r.code, r.stdout, r.stderr), 3)
  end
  return value
end

--- One probe of the guest inside a container: { result =, errno =, … }.
function Side:try(how, ...)
  return decoded(self:run(how, "/guest", "try", ...), table.concat({ ... }, " "))
end

--- What the guest finds out inside a container.
function Side:facts(how, ...)
  return decoded(self:run(how, "/guest", "facts", ...), "facts")
end

--- The same probe on the host, as the side's user.
function Side:try_outside(how, ...)
  local command = table.pack(self.guest, "try", ...)
  for key, value in pairs(how) do command[key] = value end
  command.uid, command.cwd = how.uid or self.uid, self.dir
  return decoded(t.run(command), table.concat({ ... }, " "))
end

--- The attack worked, which shows that it is one.
function A.works(got, what)
  if got.result < 0 then error(("%s: the attack itself fails: %s"):format(what or got.call, got.errno), 2) end
  return got
end

--- The attack was refused, by one of these errors where they are given.
function A.refused(got, ...)
  local expected = { ... }
  if got.result >= 0 then error(("%s: the attack works (%d)"):format(got.call, got.result), 2) end
  for _, name in ipairs(expected) do
    if got.errno == name then return got end
  end
  if #expected > 0 then
    error(("%s: %s, expected %s"):format(got.call, got.errno, table.concat(expected, " or ")), 2)
  end
  return got
end

--- A test that only means something with root's power.
function A.root(name, body)
  t.test(name, function()
    t.needs_root()
    body(new_side("root"))
  end)
end

--- A test as an ordinary user.
function A.user(name, body)
  t.test(name .. ", as a user", function() body(new_side("user", t.root and A.NOBODY or nil)) end)
end

--- A test as root, where this is root, and as an ordinary user.
function A.each(name, body)
  A.root(name .. ", as root", body)
  A.user(name, body)
end

return A
