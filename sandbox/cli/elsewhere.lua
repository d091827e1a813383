-- SPDX-License-Identifier: MIT
-- sandbox.cli.elsewhere: what users of other launchers (podman, docker, bubblewrap) type, and how it is said here.
--
-- Loaded only when a word is not understood.

local M = {}

local NO_IMAGES = "luge has no images: a root directory, made by debootstrap and the like, is a profile's root (luge help root, "
  .. "luge run -D ROOT=DIR distro)"
local PUBLISH = "--set 'network={ interfaces = { veth { } }, publish = { { \"127.0.0.1:8080\", 80 } } }'"
local NETWORK = "--set network=host, internet, user or none (luge help network)"
local NAMESPACE = "nothing: every namespace is new (luge help namespaces: to share one)"
local MEMORY = "--set limits.memory=SIZE"

-- "nothing: …" where the default says it already.
local OPTIONS = {
  ["-v"] = "--bind SRC[:DST][:rw] (read-only unless :rw)", ["-m"] = MEMORY, ["-p"] = PUBLISH, ["-P"] = PUBLISH,
  ["-h"] = "--set hostname=NAME", ["-l"] = "annotations = { … } in the profile",
  ["--ro-bind-try"] = "--set mounts=… with optional(bind { … })",
  ["--bind-try"] = "--set mounts=… with optional(bind { … })",
  ["--ro-bind"] = "--bind SRC:DST (read-only unless :rw)",
  ["--dev-bind"] = "--set 'devices={ \"NAME\" }'", ["--device"] = "--set 'devices={ \"NAME\" }'",
  ["--proc"] = "nothing: /proc, /sys, /dev and /tmp are always there",
  ["--dev"] = "nothing: /proc, /sys, /dev and /tmp are always there",
  ["--tmpfs"] = "--set 'mounts={ tmpfs { \"/path\" } }'", ["--dir"] = "--set 'mounts={ dir { \"/path\" } }'",
  ["--file"] = "--set 'mounts={ file { \"/path\", text = \"…\" } }'",
  ["--symlink"] = "--set 'mounts={ symlink { \"/path\", \"target\" } }'",
  ["--mqueue"] = "--set 'mounts={ mqueue { \"/dev/mqueue\" } }'", ["--overlay-src"] = "--set 'mounts={ layers { … } }'",
  ["--tmp-overlay"] = "--set 'mounts={ bind { \"SRC\", \"DST\", overlay = \"discard\" } }'",
  ["--size"] = "size = \"64M\" in the profile's tmpfs { }", ["--perms"] = "mode = \"0755\" in the profile's mount",
  ["--chdir"] = "--workdir DIR", ["--cwd"] = "--workdir DIR", ["--setenv"] = "--env NAME=VALUE",
  ["--unsetenv"] = "nothing: no variable is inherited unless named", ["--clearenv"] = "nothing: the environment starts empty",
  ["--env-host"] = "--env NAME, for each variable", ["--env-file"] = "--env NAME=VALUE, for each variable",
  ["--share-net"] = "--set network=host", ["--net"] = NETWORK, ["--network"] = NETWORK,
  ["--ip"] = "address = \"10.0.5.2/24\" in the profile's veth { } or bridge { }",
  ["--add-host"] = "network = { hosts = { NAME = \"ADDRESS\" }, … } in the profile", ["--publish-all"] = PUBLISH,
  ["--publish"] = PUBLISH,
  ["--dns"] = "network = { dns = { \"ADDRESS\" }, … } in the profile", ["--pod"] = "--set 'network={ pod = \"NAME\" }'",
  ["--die-with-parent"] = "nothing: a container always ends with its luge", ["--new-session"] = "nothing: there always is one",
  ["--as-pid-1"] = "--set init=false", ["--init"] = "nothing: init is true by default",
  ["--cap-add"] = "--set 'capabilities=append { \"NAME\" }'", ["--cap-drop"] = "nothing: no capability is kept unless named",
  ["--privileged"] = "the fields you need: capabilities, devices, seccomp (luge help capabilities)",
  ["--security-opt"] = "--set seccomp=… (luge help seccomp)", ["--seccomp"] = "--set seccomp=… (luge help seccomp)",
  ["--uid"] = "--user UID:GID", ["--gid"] = "--user UID:GID",
  ["--group-add"] = "user = { uid, gid, groups = { … } } in the profile",
  ["--userns"] = "--set id_map=auto, self or host", ["--uidmap"] = "id_map = { uids = { { 0, 100000, 65536 } } } in the profile",
  ["--gidmap"] = "id_map = { uids = { … }, gids = { … } } in the profile",
  ["--hostname"] = "--set hostname=NAME", ["--label"] = "annotations = { … } in the profile",
  ["--annotation"] = "annotations = { … } in the profile", ["--read-only"] = "nothing: the root is read-only",
  ["--rootfs"] = "--set root=DIR", ["--entrypoint"] = "--set 'entrypoint={ \"…\" }'", ["--pull"] = "nothing: " .. NO_IMAGES,
  ["--ulimit"] = "--set limits.open_files=N (luge help limits)", ["--sysctl"] = "--set 'sysctl={ [\"NAME\"] = VALUE }'",
  ["--memory"] = MEMORY, ["--memory-swap"] = "--set limits.swap=SIZE, besides memory", ["--cpus"] = "--set limits.cpus=N",
  ["--cpu-shares"] = "--set limits.cpu_weight=N (1 to 10000, 100 is usual)", ["--cgroup-parent"] = "--set limits.parent=/PATH",
  ["--cpuset-cpus"] = "--set limits.cpuset=0-1", ["--pids-limit"] = "--set limits.pids=N",
  ["--shm-size"] = "--set limits.disk=SIZE, for all that is written (luge help limits.disk)",
  ["--restart"] = "--set restart=failure or always", ["--health-cmd"] = "--set 'health={ command = { … } }'",
  ["--stop-signal"] = "--set stop.signal=NAME", ["--stop-timeout"] = "--set stop.grace=DURATION",
  ["--log-driver"] = "--set log=journald or false",
  ["--secret"] = "secret { \"/run/secrets/NAME\", file = \"…\" } among the profile's mounts",
  ["--replace-all"] = "--replace", ["--verbose"] = "luge plan, which shows each step",
  ["--debug"] = "luge plan, which shows each step",
}
for _, name in ipairs { "all", "pid", "net", "ipc", "uts", "user", "cgroup" } do
  OPTIONS["--unshare-" .. name] = name == "net" and "nothing: there is no network unless asked for" or NAMESPACE
end
for _, name in ipairs { "--pid", "--ipc", "--uts", "--cgroupns" } do
  OPTIONS[name] = "namespaces = { … } in the profile (luge help namespaces)"
end
OPTIONS["--volume"], OPTIONS["--mount"] = OPTIONS["-v"], OPTIONS["-v"]

--- The name of a signal that is given by its number, or nil.
function M.signal(number)
  for name, value in pairs(require("syscall").c.SIG) do
    if value == math.tointeger(tonumber(number)) and require("sandbox.profile.values").signal(name) then return name end
  end
end

--- What to write instead of an option ("-v", "--volume=/a:/b", "-p8080:80") of a command: a hint, or nil.
function M.option(word, command)
  if command == "kill" then
    local name = M.signal(word:match "^%-(%d+)$")
    return name and "in luge: -s " .. name
  end
  local text = OPTIONS[word:match "^[^=]+"]
  if not text and word:find "^%-[^-]" then text = OPTIONS[word:sub(1, 2)] end
  if not text then return nil end
  local reason = text:match "^nothing: (.*)$"
  return reason and "leave it out: " .. reason or "in luge: " .. text
end

--- Those options, each with its text: for tests.
function M.options() return OPTIONS end

local COMMANDS = {
  ls = "luge ps", list = "luge ps", containers = "luge ps", start = "luge run -d PROFILE", create = "luge run -d PROFILE",
  restart = "luge run -d --replace --name NAME PROFILE", unpause = "luge resume", unfreeze = "luge resume", freeze = "luge pause",
  images = NO_IMAGES, image = NO_IMAGES, pull = NO_IMAGES, push = NO_IMAGES, build = NO_IMAGES, load = NO_IMAGES,
  import = NO_IMAGES,
  commit = NO_IMAGES, cp = "keep = { artifacts = { … }, to = DIR } in the profile, or a bind with rw = true",
  pod = "network = { pod = \"NAME\" } in the profile, or a group (luge help group)",
  compose = "a group: luge up FILE.lua (luge help group)",
  volume = "a directory of the host: --bind DIR:/PATH:rw", secret = "secret { … } among a profile's mounts (luge help secret)",
  info = "luge doctor", system = "luge doctor, luge gc", prune = "luge rm --all, luge gc", port = "luge inspect NAME",
  shell = "luge run shell, or luge exec NAME -- sh", bash = "luge run default -- bash", sh = "luge run default -- sh",
  enter = "luge exec NAME -- sh", validate = "luge check PROFILE", show = "luge inspect NAME", ["-v"] = "luge version",
}

--- What to type instead of a command: a hint, or nil.
function M.command(word)
  local text = COMMANDS[word]
  if text then return (text:find "^luge %l" and text ~= NO_IMAGES and "in luge: " or "") .. text end
  if word:find "^%-" and M.option(word) then return "options follow a command: luge run [OPTION…] PROFILE -- COMMAND" end
end

return M
