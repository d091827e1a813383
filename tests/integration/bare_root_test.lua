-- SPDX-License-Identifier: MIT
-- Nothing lies over the container's "/", which "/.." would step onto: neither the host's root nor the scratch
-- tmpfs of a discarded overlay, whichever mounts the profile has.

local t = dofile "tests/integration/harness.lua"

-- The host's file that must not be reachable, and the facts of the guest at `where`.
local function try(profile, guest)
  local path = t.profile(profile)
  local facts = t.decoded { "luge", "run", path, "--", guest, "facts" }
  local roots = 0
  for _, mount in ipairs(facts.mounts) do
    if mount.target == "/" then roots = roots + 1 end
  end
  t.equal(roots, 1, "mounts at /")
  local secret = t.write(t.dir() .. "/secret", "of the host", "0644")
  t.equal(t.decoded { "luge", "run", path, "--", guest, "try", "read", "/.." .. secret }.errno, "ENOENT")
end

t.test("with a root directory under a discarded overlay", function()
  try(("return container { root = { %q, overlay = 'discard' } }"):format(t.rootfs()), "/guest")
end)

t.test("with layers, and a sized overlay over a bind", function()
  local root, source = t.rootfs(), t.dir()
  try(([[return container {
    root = layers { %q, upper = "discard" },
    mounts = { bind { %q, "/src", overlay = "discard", size = "1M" }, bind { %q, "/other", overlay = "discard" } },
  }]]):format(root, source, source), "/guest")
end)

t.test("with the system root and an overlay over a bind", function()
  try(([[return container {
    mounts = { bind { %q, "/src", overlay = "discard" }, bind { %q, "/guest" } },
  }]]):format(t.dir(), t.guest), "/guest")
end)

t.test("with a secret over a file of a writable root", function()
  local root = t.rootfs()
  t.write(root .. "/etc/token", "")
  try(([[return container {
    root = { %q, rw = true },
    mounts = { file { "/etc/token", text = "x" }, bind { %q, "/tmp", overlay = "discard" } },
  }]]):format(root, t.dir()), "/guest")
end)
