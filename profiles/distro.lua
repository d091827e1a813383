-- SPDX-License-Identifier: MIT
-- A distribution's root directory in which its package manager works, as in:
--   debootstrap stable rootfs && luge run distro -- apt-get --version
-- The directory is ./rootfs, or another one: luge run -D ROOT=/srv/debian distro -- bash
-- Its files stay as they are; `--set 'root={ "rootfs", rw = true }'` changes them for good.
--
-- An ordinary user needs a tree of his own, and for other users than root in it (su, and most packages)
-- subordinate ids: --set id_map=auto. With one id apt wants -o APT::Sandbox::User=root.
local root = param.ROOT or "rootfs"
if root:sub(1, 1) ~= "/" then root = host.cwd .. "/" .. root end

return container {
  description = "A distribution's root directory: package managers work, changes are forgotten.",
  root = { root, overlay = "discard" },

  -- What unpacking packages, their scripts and su need. All of it only over the container's own ids and files.
  capabilities = {
    "chown", "dac_override", "fowner", "fsetid",  -- files of any owner
    "setgid", "setuid", "setpcap", "setfcap",     -- su, and programs with capabilities
    "kill", "sys_chroot",                         -- maintainer scripts
    "net_bind_service", "audit_write",            -- services and login
  },
  seccomp = "default",
  env     = { DEBIAN_FRONTEND = "noninteractive" },
}
