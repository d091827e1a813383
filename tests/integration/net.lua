-- SPDX-License-Identifier: MIT
-- The host of a network test, which is the namespace that the test runs in (apart.lua): the machines beyond it, containers
-- that carry traffic (traffic.lua), and a look at what luge has left of them.
--
--   local net = dofile "tests/integration/net.lua"(t, box)   -- box: where containers run
--   local apart, traffic = net.apart, net.traffic
--   local there = net.outside()
--   net.client('{ interfaces = { veth { nat = true } } }', "tcp", "192.0.2.9", "7000")

local S = require "syscall"
local nl = require "netns"

return function(t, box)
  local M = { apart = dofile "tests/integration/apart.lua"(t), traffic = dofile "tests/integration/traffic.lua" }
  local apart, traffic = M.apart, M.traffic

  -- ---- the machines beyond ----

  --- A setting of the network that we are in, "ipv4/ip_forward", as the kernel shows it.
  function M.sysctl(name) return (t.must(S.readfile("/proc/sys/net/" .. name)):gsub("%s+$", "")) end

  function M.set_sysctl(name, value) t.must(S.writefile("/proc/sys/net/" .. name, value)) end

  --- An address that is still being tried delays what is sent first; links that come have none.
  function M.no_dad() M.set_sysctl("ipv6/conf/default/accept_dad", "0") end

  --- An address with its width for a link, here or in another namespace, at once.
  function M.address(link, address, netns)
    t.must(nl.address(link, address, { netns = netns, flags = address:find(":", 1, true) and "nodad" or nil }))
  end

  --- Another machine, eth0, at the other end of a link that is made here; its addresses, and our own, with their widths.
  function M.machine(link, its, ours)
    local there = apart.namespace()
    apart.inside(there, M.no_dad)
    t.must(nl.veth { name = link, up = true, peer = { name = "eth0", netns = there } })
    t.must(nl.up("eth0", there))
    for _, address in ipairs(its) do M.address("eth0", address, there) end
    for _, address in ipairs(ours or {}) do M.address(link, address) end
    return there
  end

  --- The world behind up0, where we are 192.0.2.1 and 2001:db8::1: 192.0.2.9, 2001:db8::9 and the addresses given. It has no
  --- way to containers: only what has the host's address is answered.
  function M.outside(...)
    return M.machine("up0", { "192.0.2.9/24", "2001:db8::9/64", ... }, { "192.0.2.1/24", "2001:db8::1/64" })
  end

  --- What an ordinary user finds on a machine whose tun device is open; the host's may be closed.
  function M.open_tun()
    t.must(S.unshare "newns")
    t.must(S.mount { target = "/", flags = "rec, private" })
    t.must(S.mount { source = "tmpfs", target = "/dev/net", type = "tmpfs" })
    t.must(S.mknod("/dev/net/tun", "0666", "char", { 10, 200 }))
    t.must(S.chmod("/dev/net/tun", "0666"))
  end

  --- All else is reached by the world outside.
  function M.way_out()
    t.must(nl.route { to = "default", via = "192.0.2.9" } and nl.route { to = "default", via = "2001:db8::9" })
  end

  --- Another machine on the network of a device of ours, uplink: 10.5.0.1, fd05::1 and the addresses given.
  function M.uplink(...) return M.machine("uplink", { "10.5.0.1/24", "fd05::1/64", ... }) end

  --- A server at 7000 of both protocols and families; its pid, for traffic.stop_server.
  function M.server(there) return apart.inside(there, traffic.start_server, "::", 7000) end

  -- ---- containers with traffic ----

  --- The field of a profile that has luge itself as the client and the server.
  M.MOUNTS = ("mounts = { bind { %q, '/luge' }, bind { %q, '/traffic.lua' } }"):format(t.luge,
    t.top .. "/tests/integration/traffic.lua")

  --- The words of a server in it, at port 80 of any of its addresses.
  M.SERVER = { "/luge", "lua", "/traffic.lua", "serve", "::", "80" }

  --- A profile's body: its network, and more fields.
  function M.body(network, more) return ("network = %s, %s%s"):format(network, M.MOUNTS, more and ", " .. more or "") end

  --- The last line of a container's output; others may run beside it. how: as of box.words.
  function M.says(how)
    local r = t.run(box.words(how))
    t.equal(r.code, 0, r.stderr)
    return (r.stdout:gsub("\n$", "")), r
  end

  --- What a client in a container of that network is answered: see traffic.lua.
  function M.client(network, ...)
    return (M.says { words = { "/luge", "lua", "/traffic.lua", ... }, body = M.body(network) })
  end

  --- A container that answers; how: as of box.words.
  function M.serve(network, how)
    how = how or {}
    how.words, how.body = M.SERVER, M.body(network)
    local process = box.start(how)
    process:await "ready\n"
    return process
  end

  function M.stop(process)
    S.kill(process.pid, "term")
    process:wait()
  end

  -- ---- the same with nothing but interfaces, and no firewall ----

  --- A profile's body: these interfaces, and more of its network.
  function M.wired(interfaces, more)
    return M.body(("{ interfaces = { %s }, egress = false, %s }"):format(interfaces, more or ""))
  end

  --- What a client is answered there.
  function M.wired_client(interfaces, ...)
    return (M.says { words = { "/luge", "lua", "/traffic.lua", ... }, body = M.wired(interfaces) })
  end

  --- A container that goes on until M.let_go has it end, by the end of its input.
  function M.hold(interfaces)
    local process = box.start { words = { "/bin/sh", "-c", "echo ready; read line" }, stdin = "", keep_input = true,
      body = M.wired(interfaces) }
    process:await "ready\n"
    return process
  end

  function M.let_go(process)
    process:close_input()
    local r = process:wait()
    t.equal(r.code, 1, r.stderr)
  end

  -- ---- what is left ----

  --- The names of luge's locks that are of this network.
  function M.locks()
    local list, ino, uid = {}, S.stat("/proc/self/ns/net").ino, S.geteuid()
    for _, dir in ipairs { "/run/luge", "/run/user/" .. uid .. "/luge", "/tmp/luge-" .. uid } do
      for _, name in ipairs(S.dir(dir) or {}) do
        if ("." .. name .. "."):find("." .. ino .. ".", 1, true) then list[#list + 1] = name end
      end
    end
    return list
  end

  --- Waits until there is no other link than before (nl.interfaces): those of luge's own go a moment after the container.
  function M.links_gone(before)
    for _ = 1, 2500 do
      local left
      for _, link in ipairs(nl.interfaces()) do left = left or not before[link.name] and link.name end
      if not left then return end
      S.nanosleep(0.002)
    end
    error("a link was left behind:\n" .. tostring(nl.interfaces()), 2)
  end

  -- ---- tests ----

  --- A test whose containers leave the host as it was: its links, their addresses, luge's locks.
  function M.test(name, body)
    t.test(name, function()
      t.needs_root()
      apart.run(function()
        t.must(nl.up "lo")
        local before, others = nl.interfaces(), M.locks() -- numbers of namespaces are given again
        body()
        M.links_gone(before)
        for _, link in ipairs(nl.interfaces()) do t.equal(#link.addresses, #before[link.name].addresses, link.name) end
        t.equal(M.locks(), others, "locks")
        box.nothing_left()
      end)
    end)
  end

  --- A test with containers in the background, which end with it, however that ends; prepare is run before. The body is given
  --- what detached.lua has.
  function M.test_detached(name, body, prepare)
    t.test(name, function()
      t.needs_root()
      apart.run(function()
        t.must(nl.up "lo")
        if prepare then prepare() end
        local d = dofile "tests/integration/detached.lua"(t, box)
        local ok, err = xpcall(body, debug.traceback, d)
        d.luge("rm", "--force", "--all", "-t", "1s")
        if not ok then error(err, 0) end
        d.nothing_left()
      end)
    end)
  end

  return M
end
