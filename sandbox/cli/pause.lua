-- SPDX-License-Identifier: MIT
-- sandbox.cli.pause: `luge pause`: every process of a container stops where it is, until resume.

return { run = require("sandbox.cli.freeze").command("pause", "only one that runs can be paused") }
