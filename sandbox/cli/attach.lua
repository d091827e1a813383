-- SPDX-License-Identifier: MIT
-- sandbox.cli.attach: `luge attach`: this terminal and that of a detached container, until it ends or keys are typed.

local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"

local M = {}

local CTRL = "@abcdefghijklmnopqrstuvwxyz[\\]^_" -- in the order of the characters that they make

-- "ctrl-p,ctrl-q" as the bytes that are typed; nil for no such thing.
local function keys_of(text)
  local bytes = {}
  for key in (text .. ","):gmatch("([^,]*),") do
    local name = key:match("^[cC][tT][rR][lL]%-(.)$")
    local number = name and CTRL:find(name:lower(), 1, true)
    if name and not number or not name and not key:find("^[%w%p]$") then return text == "" and "" or nil end
    bytes[#bytes + 1] = name and string.char(number - 1) or key
  end
  return table.concat(bytes)
end

local function say(text) io.stderr:write("luge: ", text, "\n") end

local function told(name, outcome)
  for _, text in ipairs(outcome.errors) do cli.complain(text) end
  if outcome.lost > 0 then
    cli.complain(("%d bytes of the output are missing here: it was not read in time"):format(outcome.lost),
      ("luge logs %s has all of it, where the profile has a log"):format(name))
  end
end

function M.run(options, names)
  local keys = keys_of(options["detach-keys"] or "ctrl-p,ctrl-q")
  if not keys then
    return cli.complain(("--detach-keys %s: keys expected"):format(options["detach-keys"]),
      "a character, or ctrl- and one, several with commas between them: ctrl-p,ctrl-q; \"\" for none")
  end
  local directory, found = containers.find({}, names, containers.RUNS, "luge logs shows what it wrote")
  if not directory then return found end
  if #found > 1 then return cli.complain("attach: one container, please", "a terminal each, for several") end
  local name = found[1].name
  local outcome, words = require("sandbox.container.attach").run(directory, name, keys)
  if not outcome then return cli.complain(("attach %s: %s"):format(name, words)) end
  told(name, outcome)
  if outcome.left then
    if outcome.left == 0 then say(("the container '%s' goes on"):format(name)) end
    return outcome.left
  elseif outcome.ended.gone then
    return cli.complain(("attach %s: its luge is gone"):format(name), "luge gc takes away what a killed luge left")
  end
  if outcome.ended.again then say(("the container '%s' ended, and is started again: it can be attached to anew"):format(name)) end
  if outcome.ended.message then io.stderr:write(cli.printable(outcome.ended.message), "\n") end
  return outcome.ended.exit_code
end

return M
