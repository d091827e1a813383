-- SPDX-License-Identifier: MIT
-- Prints the mount of the hierarchy that has the pids controller, where luge as it runs here makes cgroups in it.

local S = require "syscall"

local layout = require("sandbox.plan.cgroup_layout").gather()
local hierarchy = layout:find "pids"
if hierarchy and layout:place(hierarchy, nil, S.geteuid()) then print(hierarchy.mount) end
