-- SPDX-License-Identifier: MIT
-- On the host: how it ended. The cgroups are there still, the processes are gone.
print(("stopped: %s, code %d"):format(container.reason, container.exit_code))
