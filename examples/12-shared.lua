-- SPDX-License-Identifier: MIT
-- What several profiles share. A parent is a profile to start from: maps merge key by key, lists are replaced or,
-- with append, lengthened. A module holds functions and tables, as in any Lua program. Both lie beside the profile.
--
--   $ luge run examples/12-shared.lua
--   EDITOR=ed PAGER=cat
--   256 descriptors, 32 MiB in /tmp
--   $ luge plan --origins examples/12-shared.lua | grep -E 'env.PAGER|open_files'
--   …env.PAGER…shared/base.lua:6…
--   …limits.open_files…12-shared.lua:17…
local mib = require "shared.sizes".mib

return container {
  profile "shared/base.lua",

  env     = { EDITOR = "ed" },
  limits  = { open_files = 256 },
  mounts  = { tmpfs { "/tmp", size = mib(32) } },  -- replaces the parent's tmpfs of the same target
  command = { "sh", "-c", [[
    echo EDITOR=$EDITOR PAGER=$PAGER
    echo $(ulimit -n) descriptors, $(df -m --output=size /tmp | tail -n 1 | tr -d ' ') MiB in /tmp
  ]] },
}
