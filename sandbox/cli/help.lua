-- SPDX-License-Identifier: MIT
-- sandbox.cli.help: `luge help`: usage made from the table of options; fields of profiles from the schema.

local cli = require "sandbox.cli"
local catalogue = require "sandbox.cli.options"

local M = {}

local words = require "sandbox.profile.help"

-- The profiles that are looked up last.
local function installed()
  local names = {}
  for _, path in ipairs(require "luge.embedded"()) do names[#names + 1] = path:match "^profiles/([^/]+)%.lua$" end
  table.sort(names)
  return names
end

local function option_text(option)
  local names = option.short and ("-%s, --%s"):format(option.short, option[1]) or "    --" .. option[1]
  return option.arg and names .. " " .. option.arg or names
end

local function rows(list, width)
  for _, row in ipairs(list) do
    local blanks = (" "):rep(width - utf8.len(row[1]))
    print((("  %s%s  %s"):format(row[1], blanks, words.wrap(row[2], width + 4)):gsub("%s+$", "")))
  end
end

-- Usual calls; tests run the first of `run` and parse the others.
local EXAMPLES = {
  run = {
    { "luge run default -- id", "a command with the host's programs and none of its files" },
    { "luge run --bind .:/src -w /src default -- ls", "this directory in it, read-only" },
    { "luge run ./web.lua", "what a file says" },
    { "luge run -d --name web ./web.lua", "in the background; luge logs web, luge stop web" },
    { "luge run --set limits.memory=512M ci -- make test", "a field over the profile's (luge help limits)" },
    { "luge run -D ROOT=/srv/debian distro -- bash", "in a root directory of one's own" },
  },
  plan = { { "luge plan default -- true", "every step" }, { "luge plan --seccomp default", "what the filters allow" } },
  exec = { { "luge exec web -- ps ax", "" }, { "luge exec -it web bash", "" } },
  up = { { "luge up shop.lua", "then luge ps --group shop, luge logs --group shop, luge down shop.lua" } },
  logs = { { "luge logs -f -n 20 web", "the last lines, and what comes" } },
  network = { { "luge network cut web eth0", "as if the cable were pulled" }, { "luge network join web eth0", "" } },
  lua = {
    { "luge lua", "a prompt: help() lists the functions, help(S.mount) tells about one" },
    { "luge lua script.lua a b", "a script: require \"syscall\", require \"netns\"; arg as in lua(1)" },
  },
  completion = {
    { "luge completion bash > ~/.local/share/bash-completion/completions/luge", "" },
    { "luge completion zsh > ~/.zfunc/_luge", "a directory of fpath" },
    { "luge completion fish > ~/.config/fish/completions/luge.fish", "" },
  },
}

local EXIT_CODES = {
  { "0 …", "the command's own" }, { "128+n", "signal n ended it" },
  { "124", "luge stopped it: time was up, too much output, or unhealthy" },
  { "125", "luge itself failed: a bad profile, a missing kernel feature, wrong usage" },
  { "126", "the command could not be executed" }, { "127", "the command was not found" },
}

local HAS_EXIT_CODES = { run = true, exec = true, attach = true, wait = true }

local function overview()
  print "luge runs a program in a container that one Lua file describes.\n"
  rows({ { "luge run default -- COMMAND", "a command with the host's programs, none of its files, no network" },
    { "luge run ./FILE.lua", "what a file says" },
    { "luge plan ./FILE.lua", "the steps of that, none of them taken" } }, 28)
  print "\nCommands:\n"
  local list = {}
  for i, command in ipairs(catalogue.commands) do list[i] = { "luge " .. command[1], command.summary } end
  rows(list, 15)
  print()
  print(words.wrap("PROFILE is a path (with / or ending in .lua), FILE.lua:NAME of a group, - for standard input, or a name "
    .. "that is looked up in $LUGE_PATH, $XDG_CONFIG_HOME/luge/profiles, /etc/luge/profiles and among those that came with luge: "
    .. table.concat(installed(), ", ") .. ".", 0))
  print "\nluge help COMMAND; luge help container, luge help FIELD: mounts, limits.wall, bind …"
end

local function command_help(command)
  print(words.wrap(("luge %s %s"):format(command[1], command.usage), 7) .. "\n\n  " .. words.wrap(command.summary, 2))
  if command.note then print("\n  " .. words.wrap(command.note, 2)) end
  if #command.options > 0 then print() end
  local options = {}
  for i, option in ipairs(command.options) do options[i] = { option_text(option), option.help } end
  rows(options, 29)
  if EXAMPLES[command[1]] then
    print "\n  For example:"
    local width = 0
    for _, row in ipairs(EXAMPLES[command[1]]) do width = math.max(width, utf8.len(row[1])) end
    rows(EXAMPLES[command[1]], width)
  end
  local exits = command.exits or HAS_EXIT_CODES[command[1]] and EXIT_CODES
  if not exits then return end
  print "\n  Exit codes:"
  for _, row in ipairs(exits) do print(("  %-5s %s"):format(row[1], row[2])) end
end

local function roff(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("\n%.", "\n\\&."))
end

-- luge(1).
local function manual()
  local version = require("sandbox.cli.version").VERSION
  local out = { ".TH LUGE 1 \"\" \"luge " .. version .. "\"", ".SH NAME",
    "luge \\- run a program in a container that one Lua file describes", ".SH SYNOPSIS" }
  local function add(...) for _, line in ipairs { ... } do out[#out + 1] = line end end
  for _, command in ipairs(catalogue.commands) do
    add(".B luge " .. command[1], roff(command.usage), ".br")
  end
  add(".SH COMMANDS")
  for _, command in ipairs(catalogue.commands) do
    add(".SS luge " .. command[1] .. " " .. roff(command.usage), roff(command.summary) .. ".")
    if command.note then add(".PP", roff(command.note)) end
    for _, option in ipairs(command.options) do
      add(".TP", ".B " .. roff((option_text(option):gsub("^%s+", ""))), roff(option.help) .. ".")
    end
    if EXAMPLES[command[1]] then add ".PP\nFor example:" end
    for _, row in ipairs(EXAMPLES[command[1]] or {}) do
      add(".TP", ".B " .. roff(row[1]), row[2] ~= "" and roff(row[2]) .. "." or "\\&")
    end
  end
  add(".SH EXIT STATUS")
  for _, row in ipairs(EXIT_CODES) do add(".TP", ".B " .. roff(row[1]), roff(row[2]) .. ".") end
  for _, command in ipairs(catalogue.commands) do
    for _, row in ipairs(command.exits or {}) do add(".TP", ".B " .. row[1], ("luge %s: %s."):format(command[1], roff(row[2]))) end
  end
  add(".SH SEE ALSO", "luge\\-profile(5), namespaces(7), seccomp(2)")
  return table.concat(out, "\n") .. "\n"
end

local GENERATED = {
  ["luge.1"] = manual,
  ["luge-profile.5"] = function() return require("sandbox.profile.manual").man() end,
  ["stubs"] = function() return require("sandbox.profile.manual").stubs() end,
}

-- A wrong topic: the command or field that was meant.
local function unknown(topic, message, hint)
  local near = require("luge.cage").nearest(topic, catalogue.names())
  if near then message, hint = ("no command or field '%s' (did you mean '%s'?)"):format(topic, near), nil end
  return cli.complain(message, hint or "luge help lists the commands, luge help container the fields")
end

function M.run(_, topics)
  local topic = topics[1]
  if not topic then
    overview()
    return 0
  end
  if GENERATED[topic] then
    io.write(GENERATED[topic]())
    return 0
  end
  local command = catalogue.command(topic)
  if command then command_help(command) end
  -- A command and a field of the container may have one name.
  local text, message, hint
  if not command or words.has(topic) then text, message, hint = words.field(topic) end
  if command then
    if text then print("\nThe field of a profile:\n\n" .. text) end
    return 0
  end
  if not text then return unknown(topic, message, hint) end
  print(text)
  return 0
end

return M
