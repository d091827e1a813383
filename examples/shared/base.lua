-- SPDX-License-Identifier: MIT
-- The parent of examples/12-shared.lua: what "our" containers have in common.
return container {
  hostname = "shared",
  env      = {
    PAGER = "cat",
  },
  limits   = { open_files = 64, processes = 100 },
  mounts   = { tmpfs { "/tmp", size = "1M" } },
}
