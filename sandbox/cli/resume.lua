-- SPDX-License-Identifier: MIT
-- sandbox.cli.resume: `luge resume`: a paused container goes on.

return { run = require("sandbox.cli.freeze").command("resume", "only a paused one can go on") }
