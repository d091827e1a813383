-- SPDX-License-Identifier: MIT
-- sandbox.plan.terminal: `terminal`: a pseudo-terminal of the container's own devpts.
--
-- The child opens it once no path leads out of the container's tree, gives both ends to luge and has the slave as its
-- standard streams; the stage makes it the controlling terminal of the command's session. The caller's terminal is
-- not inside, so that whatever the command does to a terminal it does to its own.

local M = {}

local PTS = "/dev/pts"

--- Whether what lies on /dev/pts in a container of `spec` is a devpts that luge mounted. Mounts come in path order.
function M.own_devpts(spec)
  local own = not spec.removed_mounts["/dev"]
  for _, mount in ipairs(spec.mounts) do
    if mount.target == PTS then
      own = mount.type == "devpts"
    elseif mount.target == "/dev" or mount.target:sub(1, #PTS + 1) == PTS .. "/" then
      own = false
    end
  end
  return own
end

--- Sets c.terminal where the container gets one: asked for, or "auto" on a terminal.
function M.decide(c)
  local spec = c.spec
  if M.own_devpts(spec) then
    c.terminal = spec.terminal == true or spec.stdin == "inherit"
  elseif spec.terminal == true then
    c:fault("terminal", "the container has no /dev/pts of its own to make one in: its mounts replace it",
      "add devpts { } to the mounts, or leave out what lies on /dev or /dev/pts")
  end
end

-- Where login programs and init scripts look for the terminal that they were started on.
local function console(c, slave)
  local steps, tree = c.steps, c.dev_tree
  if not tree or c.written["/dev/console"] then return end
  for _, device in ipairs(c.spec.devices) do
    if device.path == "/dev/console" then return end
  end
  steps:add(c.own_dev and "attach" or "guest", "terminal", "mknodat", { tree, "console", "0600", "file" })
  local fd = steps:open("guest", "terminal", "console", "open_tree", { slave, "", "clone, cloexec, empty_path" })
  steps:add("guest", "terminal", "move_mount", { fd, "", tree, "console", "f_empty_path" })
end

--- The steps that make a terminal in the tree that is the root by now, for a user's number: the symbols of both ends.
function M.make(steps, uid)
  local why = "terminal"
  local master = steps:open("guest", why, "master", "openat2",
    { "fdcwd", PTS .. "/ptmx", { flags = "rdwr, noctty, nonblock", resolve = "no_symlinks" } })
  steps:add("guest", why, "expect_device", { master, "char", 5, 2 })
  steps:add("guest", why, "unlockpt", { master })
  local slave = steps:open("guest", why, "slave", "ptpeer", { master, "rdwr, noctty" })
  steps:add("guest", why, "tcsetattr", { slave, "now", "$terminal.modes" })
  steps:add("guest", why, "tcsetwinsize", { slave, "$terminal.size" })
  -- The group is tty where that is mapped (gid=5 of the devpts).
  steps:add("guest", why, "fchown", { slave, uid, -1 })
  return master, slave
end

--- It becomes the standard streams from `first` on, and luge gets both ends.
function M.hand_over(steps, master, slave, first)
  for number = first, 2 do
    steps:add("guest", "terminal", "dup3", { slave, number })
  end
  steps:add("guest", "terminal", "sendmsg", { "$channel", { data = "terminal", fds = { master, slave } } })
end

--- The guest steps, after the old root is gone and the user is known.
function M.plan(c)
  local master, slave = M.make(c.steps, "$user.uid")
  console(c, slave)
  M.hand_over(c.steps, master, slave, c.spec.stdin == "inherit" and 0 or 1)
end

return M
