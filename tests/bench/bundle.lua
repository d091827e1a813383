-- SPDX-License-Identifier: MIT
-- Prints the config.json of an OCI bundle: bundle.lua RUNTIME ROOT COMMAND [HOOK]. What is compared with a luge
-- that was asked for as little: no user namespace, no filter, no /proc and no /sys
-- (runc cannot do without /proc).

local json = require "luge.json"

local none = json.array {}

local function mount(type, target, ...)
  return { type = type, source = type, destination = target, options = { "nosuid", ... } }
end

local namespaces = {}
for i, kind in ipairs { "pid", "network", "ipc", "uts", "mount", "cgroup" } do namespaces[i] = { type = kind } end

local mounts = {
  mount("tmpfs", "/dev", "mode=755"),
  mount("devpts", "/dev/pts", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
  mount("tmpfs", "/dev/shm", "nodev", "mode=1777"),
  mount("tmpfs", "/tmp", "nodev", "mode=1777"),
}
if arg[1] == "runc" then table.insert(mounts, 1, mount("proc", "/proc", "nodev", "noexec")) end

io.write(json.encode({
  ociVersion = "1.0.2",
  hostname = "bench",
  root = { path = arg[2], readonly = true },
  process = {
    args = { arg[3] },
    cwd = "/",
    env = { "PATH=/" },
    user = { uid = 0, gid = 0 },
    noNewPrivileges = true,
    capabilities = { bounding = none, effective = none, permitted = none, inheritable = none, ambient = none },
  },
  mounts = mounts,
  linux = { namespaces = namespaces },
  hooks = arg[4] and { createRuntime = json.array { { path = arg[4], env = { "PATH=" .. os.getenv "PATH" } } } } or nil,
}, { pretty = true }), "\n")
