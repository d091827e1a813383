-- SPDX-License-Identifier: MIT
-- A network of the test's own: a body runs in a forked copy, in a new network namespace (and user namespace, unless the
-- test is root), which ends with it. What it does to links nobody else sees.
--
--   local apart = dofile "tests/integration/apart.lua"(t)
--   apart.run(function()
--     assert(S.nl.up "lo")
--     local other = apart.namespace()       -- a second one, as a descriptor
--     apart.ip("link")                      -- what `ip -j link` says here, decoded
--     apart.ip_in(other, "address", "show", "dev", "eth0")
--   end)

local S = require "syscall"
require "netns"

return function(t)
  local M = {}

  -- Maps our user to root of the namespace: what an ordinary user can do alone.
  local function become_root()
    local uid, gid = S.geteuid(), S.getegid()
    assert(S.unshare "newuser, newns")
    assert(S.writefile("/proc/self/setgroups", "deny"))
    assert(S.writefile("/proc/self/uid_map", ("0 %d 1"):format(uid)))
    assert(S.writefile("/proc/self/gid_map", ("0 %d 1"):format(gid)))
  end

  --- Runs the body; what it raises fails the test, with its traceback. unprivileged: root too takes a user namespace.
  function M.run(body, unprivileged)
    io.stdout:flush()
    local r, w = S.pipe "cloexec"
    local pid = t.must(S.fork())
    if pid == 0 then
      local ok, err = xpcall(function()
        if not t.root or unprivileged then become_root() end
        assert(S.unshare "newnet")
        t.with_own_dirs(body)
      end, debug.traceback)
      if not ok then S.write(w, tostring(err)) end
      S.exit(ok and 0 or 1)
    end
    w:close()
    local said = {}
    repeat
      local part = t.must(S.read(r))
      said[#said + 1] = part
    until part == ""
    r:close()
    local status = S.waitid("pid", pid, "exited")
    if status.status ~= 0 or status.code ~= "exited" then error("in a network apart: " .. table.concat(said), 2) end
  end

  --- A test whose body runs so.
  function M.test(name, body)
    t.test(name, function() M.run(body) end)
  end

  --- Another network namespace, with lo up, as a descriptor.
  function M.namespace()
    local own = assert(S.open("/proc/self/ns/net", "rdonly, cloexec"))
    assert(S.unshare "newnet")
    assert(S.nl.up "lo")
    local other = assert(S.open("/proc/self/ns/net", "rdonly, cloexec"))
    assert(S.setns(own, "newnet"))
    own:close()
    return other
  end

  --- Runs f in another namespace; its results.
  function M.inside(namespace, f, ...)
    local own = assert(S.open("/proc/self/ns/net", "rdonly, cloexec"))
    assert(S.setns(namespace, "newnet"))
    local results = table.pack(pcall(f, ...))
    assert(S.setns(own, "newnet"))
    own:close()
    if not results[1] then error(results[2], 0) end
    return table.unpack(results, 2, results.n)
  end

  --- What `ip -j -d` says: our oracle, never luge's means.
  function M.ip(...)
    local r = t.run { "/usr/sbin/ip", "-j", "-d", ... }
    if r.code ~= 0 then error(table.concat({ "ip", ... }, " ") .. ": " .. r.stderr, 2) end
    if r.stdout:match "^%s*$" then return {} end
    return t.ok(t.json.decode(r.stdout), "no JSON: " .. r.stdout)
  end

  function M.ip_in(namespace, ...) return M.inside(namespace, M.ip, ...) end

  return M
end
