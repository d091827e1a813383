-- SPDX-License-Identifier: MIT
-- Containers with the network of another one: a wire to it, its network itself, a pod.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local net = dofile "tests/integration/net.lua"(t, box)
local S = require "syscall"
local nl = require "netns"

local body, start, stop = net.wired, net.hold, net.let_go

local function run_text(text, shell) return (net.says { shell = shell, body = text }) end

-- ---- a wire to it ----

net.test_detached("a wire to another container", function(detached)
  detached.start("det-router", { shell = "while :; do sleep 1; done", body = body "" })
  local name = detached.own "det-router"
  t.equal(detached.json("inspect", "det-router").containers[1].network, nil, "none of its own yet")
  local wire = ([[link { %q, address = "10.5.0.2/24", address6 = "fd05::2/64",
    peer = { name = "eth5", address = "10.5.0.1/24", address6 = "fd05::1/64" } }]]):format(name)
  for _, address in ipairs { "10.5.0.1", "fd05::1" } do
    t.equal(net.wired_client(wire, "udp", address, "9"), "refused")
  end
  t.equal(#nl.interfaces(), 1, "the host has no end of it")
  local r = t.run(box.words { "exit", "0", body = body((wire:gsub(name:gsub("%-", "%%-"), "nobody"))) })
  t.contains(r.stderr, "the container 'nobody': No such file or directory")
end)

-- ---- its network ----

net.test_detached("join: the network of a container, or of a path", function(detached)
  detached.start("det-web", { shell = "while :; do sleep 1; done", body = body 'veth { address = "10.5.0.2/24" }' })
  local web = detached.seen "det-web"
  local row = detached.json("inspect", "det-web").containers[1].network[1]
  t.equal({ row.name, row.kind, row.address }, { "eth0", "veth", "10.5.0.2/24" })
  t.matches(row.address6, "^fd6c:7567:6500:[%x:]+/64$")
  t.ok(nl.link(row.link), "the host's end")
  local its = S.readlink(("/proc/%d/ns/net"):format(web.pid))
  local joined = ("network = { join = %q }"):format(detached.own "det-web")
  t.equal(run_text(joined, "readlink /proc/self/ns/net"), its)
  t.equal(detached.ok("exec", "det-web", "--", "readlink", "/proc/self/ns/net"), its .. "\n")
  t.equal(run_text(joined, "echo $(ls /sys/class/net); ls /sys/fs/cgroup | wc -l"), "eth0 lo\n0", "its links, and not the host's")
  t.equal(run_text(joined .. ", id_map = 'host'", "echo $(ls /sys/class/net)"), "eth0 lo")
  local r = t.run(box.words { shell = "true", body = joined .. ', sysctl = { ["net.ipv4.ip_forward"] = 1 }' })
  t.contains(r.stderr, "would change the host: namespaces.net is not the container's own")
  detached.ok("rm", "-f", "-t", "1s", "det-web")
  t.contains(t.run(box.words { shell = "true", body = joined }).stderr, "start it first, with -d")
  -- A path, and a namespace of another kind.
  local there = net.apart.namespace()
  local path = ("/proc/%d/fd/%d"):format(S.getpid(), there:getfd())
  t.equal(run_text(("network = { join = %q }"):format(path), "readlink /proc/self/ns/net"), S.readlink(path))
  t.contains(t.run(box.words { shell = "true", body = 'network = { join = "/proc/self/ns/mnt" }' }).stderr,
    "it is no network namespace")
  -- Nobody is waited for at a pipe's other end.
  local pipe = ("/tmp/luge-pipe-%d"):format(S.getpid())
  t.must(S.mknod(pipe, "0600", "fifo"))
  for _, what in ipairs { ("network = { join = %q }"):format(pipe), ("namespaces = { uts = %q }"):format(pipe) } do
    local stopped = t.run(box.words { shell = "true", body = what })
    t.equal(stopped.code, 125)
    t.contains(stopped.stderr, "it is no n")
  end
  S.unlink(pipe)
end)

-- The owner's end takes its firewall along: whoever is in its network yet has none, so it has no wire either.
local function outlives(detached, how)
  local bridge = 'bridge { "lab", subnet = "10.5.0.0/24", gateway = "auto" }'
  local server, holder = net.traffic.start_server("0.0.0.0", 7000), start(bridge)
  detached.start("det-owner", { shell = "while :; do sleep 1; done", body = body(bridge, "egress = {}") })
  detached.start("det-joined", { shell = "while :; do sleep 1; done", body = net.body(("{ join = %q }"):format(detached.own "det-owner")) })
  local function ask() return detached.luge("exec", "det-joined", "/luge", "lua", "/traffic.lua", "tcp", "10.5.0.1", "7000", "0.3").stdout end
  t.equal(ask(), "refused\n")
  how(detached.seen("det-owner").pid)
  local after = ask()
  t.lacks(after, "HELLO")
  t.differs(after, "", "an answer of the client")
  stop(holder)
  net.traffic.stop_server(server)
end

net.test_detached("join: who outlives the network's owner reaches nothing by it", function(detached)
  outlives(detached, function() detached.ok("rm", "-f", "-t", "1s", "det-owner") end)
end)

net.test_detached("join: nor after gc, where the owner's luge was killed", function(detached)
  outlives(detached, function(pid)
    local luge = tonumber(S.readfile(("/proc/%d/status"):format(pid)):match "PPid:%s*(%d+)")
    S.kill(luge, "kill")
    for _ = 1, 500 do
      if detached.gc():find "owner" then return end
      S.nanosleep(0.01)
    end
    error "gc found nothing"
  end)
end)

t.test("a pod: one network, as long as one of its containers runs", function()
  t.needs_root()
  net.apart.run(function()
    local pod = ("network = { pod = 'pod%d' }"):format(S.getpid())
    local first = box.start { words = { "/bin/sh", "-c", "readlink /proc/self/ns/net; read line" }, stdin = "", keep_input = true,
      body = pod }
    local its = first:await "(net:%S+)\n"
    local second = box.start { words = { "/bin/sh", "-c", "readlink /proc/self/ns/net; read line" }, stdin = "", keep_input = true,
      body = pod }
    t.equal(second:await "(net:%S+)\n", its)
    stop(first)
    t.equal(run_text(pod, "readlink /proc/self/ns/net"), its, "the second holds it")
    t.equal(run_text(pod, "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '; ls /sys/class/net"), "lo\nlo")
    stop(second)
    t.differs(its, S.readlink "/proc/self/ns/net")
    box.nothing_left()
  end)
end)
