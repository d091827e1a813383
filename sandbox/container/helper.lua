-- SPDX-License-Identifier: MIT
-- sandbox.container.helper: the program that is a container's way to the outside world (netns.helper), watched while the
-- container runs. When it ends the container goes on, without that network: what it does then is the container's to
-- decide, and the event and the words on stderr say why.

local loop = require "sandbox.container.loop"
local netns_helper = require "netns.helper"

local M = {}

local function ended(watch, helper)
  loop.forget(watch, helper.pidfd)
  if helper.is_heard then loop.forget(watch, helper.stderr) end
  local words = netns_helper.words_of(helper)
  local event = { event = "network", state = "lost", backend = helper.backend, message = words ~= "" and words or nil }
  table.insert(watch.happened, event)
  watch.run.events(event)
  if not watch.gone then
    require("sandbox.container.tell").complain(
      ("%s: %s ended%s"):format(watch.run.name, helper.backend, words ~= "" and ": " .. words or ""),
      "the container goes on without that network")
  end
end

-- The last words count; a pipe that is full would hold it up.
local function said(watch, helper)
  if netns_helper.drain(helper) then return end
  loop.forget(watch, helper.stderr)
  helper.is_heard = false
end

--- Has the loop of `watch` watch its container's helper.
function M.attach(watch, helper)
  helper.is_heard = true
  watch:listen(helper.pidfd, function() ended(watch, helper) end)
  watch:listen(helper.stderr, function() said(watch, helper) end)
end

return M
