-- SPDX-License-Identifier: MIT
-- sandbox.container.life: what other luges do to containers: stop, wait, pause, remove.
--
-- All of it goes by the container's own luge (sandbox.container.control); only where that is gone is what it left
-- looked at, under the lock of the name.

local S = require "syscall"
local control = require "sandbox.container.control"
local list = require "sandbox.container.list"
local record = require "sandbox.container.record"

local M = {}

local PATIENCE = 10 -- seconds for an answer that needs no waiting
local PAUSE, ROUNDS = 0.002, 2500

--- Asks the luge of a container that runs. See control.request.
function M.ask(directory, name, message, seconds)
  return control.request(directory, name, message, seconds or PATIENCE)
end

-- How a container has ended, from what it left: { exit_code =, … } or nil and words.
local function ending(directory, name)
  local known = list.one(directory, name)
  if not known then return nil, "it has ended, and left no record" end
  if known.state == "ended" then return known end
  return nil, known.message or "it is " .. known.state
end

-- Connections at once: a process may often open no more than 1024 files.
local AT_ONCE = 200

--- Asks many containers something that is answered by their end ("stop", "wait"), all at once, and waits for it.
-- heard(name, ending or nil, words): ending has exit_code.
function M.ended(directory, names, message, heard)
  for first = 1, #names, AT_ONCE do
    local sent = {}
    for i = first, math.min(first + AT_ONCE - 1, #names) do
      sent[#sent + 1] = { name = names[i], control.send(directory, names[i], message) }
    end
    for _, one in ipairs(sent) do
      local socket, text, kind = one[1], one[2], one[3]
      local reply
      if socket then reply, text, kind = control.receive(socket, math.huge) end
      if not reply and (kind == "absent" or kind == "gone") then reply, text = ending(directory, one.name) end
      heard(one.name, reply, text)
    end
  end
end

--- Pauses a container or lets it go on; returns when it is so.
function M.freeze(directory, name, op)
  for _ = 1, ROUNDS do
    local reply, text = M.ask(directory, name, { op = op })
    if not reply then return nil, text end
    if reply.done then return true end
    S.nanosleep(PAUSE)
  end
  return nil, "the kernel has not done it in time"
end

--- Removes what is left of a container that does not run: its record, and what a killed luge left. true, or nil and
-- words; "running" as third where it runs.
function M.remove(directory, name)
  local free, why = require("sandbox.container.collect").name(directory, name, true)
  if free == false then return nil, why end
  local path = ("%s/%s.lock"):format(directory, name)
  local lock, err = S.take_lock(path)
  if not lock then
    if err.BUSY then return nil, "it runs", "running" end
    return nil, tostring(err)
  end
  local known, ok = record.read(directory, name), true
  -- First the log: what is left without a record nobody finds.
  if known and known.log and known.log:match("/([^/]*)$") == name .. ".log" then
    ok, err = require("sandbox.container.log_place").remove(known.log, true)
  end
  if ok then ok, err = record.remove(directory, name) end
  local freed, wrong = S.unlink(path)
  if ok and not freed then ok, err = nil, wrong end
  lock:close()
  if ok then return true end
  return nil, tostring(err)
end

--- Stops it where it runs, then removes it. Its luge may be a moment from answering, when it starts, and from its own
-- end, when it has told the container's: both are asked again.
function M.stop_and_remove(directory, name, grace)
  for _ = 1, ROUNDS do
    local ok, text, kind = M.remove(directory, name)
    if ok or kind ~= "running" then return ok, text end
    local reply
    reply, text, kind = M.ask(directory, name, { op = "stop", grace = grace }, math.huge)
    if not reply and kind ~= "gone" and kind ~= "absent" then return nil, text end
    S.nanosleep(PAUSE)
  end
  return nil, "it runs, and its luge does not answer"
end

--- `run --replace`: makes the name free.
function M.replace(directory, name)
  if not list.one(directory, name) then return true end
  local ok, text = M.stop_and_remove(directory, name)
  if ok then return true end
  return nil, ("--replace: the name '%s': %s"):format(name, text), "choose another --name"
end

return M
