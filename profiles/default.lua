-- SPDX-License-Identifier: MIT
-- The host's programs, nothing of its files: luge run default -- make --version
-- All that is not written here is the default; `luge plan default -- true` shows it.
return container {
  description = "A command in a container of its own: no network, no files of the host but its programs.",
}
