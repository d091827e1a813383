-- SPDX-License-Identifier: MIT
-- sandbox.cli.options: every command and option, once. Parsing, usage, the manual page and shell completion are
-- made from this table.
--
-- An option: { long, short =, arg = what it takes (nil: a flag), list = may be repeated, help = }. For completion: of a
-- command, names (which containers it takes) or words ("profiles", "commands", "shells", "files"), and `at`, how many of them
-- before something else follows; what an option takes is said by its arg. exits: exit codes of the command's own.

local M = {}

local PARAMETER = { "param", short = "D", arg = "NAME=VALUE", list = true, help = "set the profile's param.NAME" }
local SET = { "set", arg = "FIELD=VALUE", list = true,
  help = "set a field over what the profile says; a table is a Lua expression" }
local GRACE = { "time", short = "t", arg = "DURATION", help = "the time before KILL (default: the profile's stop.grace)" }
local JSON = { "json", help = "as JSON" }

-- What run and plan share: everything that shapes the container.
local SHAPE = {
  { "name", arg = "NAME", help = "the container's name (default: the profile's name and four characters)" },
  { "env", short = "e", arg = "NAME[=VALUE]", list = true, help = "set a variable, or pass on luge's own" },
  { "workdir", short = "w", arg = "DIR", help = "the working directory, in the container" },
  { "user", short = "u", arg = "USER", help = "a name of the container's passwd file, or uid:gid" },
  { "bind", arg = "SRC[:DST][:rw]", list = true, help = "bind a host path, read-only unless :rw" },
  { "detach", short = "d", help = "return when the container runs, and print its name" },
  { "rm", help = "with -d: leave no record when it has ended" },
  { "replace", help = "stop and remove a container that has the name" },
  { "timeout", arg = "DURATION", help = "end the container after this time: 30s, 10m, 2h" },
  { "tty", short = "t", help = "a terminal of its own, wherever luge's streams lead" },
  { "interactive", short = "i", help = "accepted; standard input is always passed on" },
  PARAMETER,
  SET,
  { "report", arg = "FILE", help = "write how it ended, figures and the receipt, as JSON" },
  { "status-fd", arg = "N", help = "write events to descriptor N as they happen, a line of JSON each" },
  { "pass-fd", arg = "N", list = true, help = "leave descriptor N open in the container" },
}

local function with(list, ...)
  local all = table.move(list, 1, #list, 1, {})
  for _, option in ipairs { ... } do all[#all + 1] = option end
  return all
end

M.commands = {
  { "run", usage = "[OPTION…] PROFILE [--] [WORD…]", summary = "run a container, or a group; -d: in the background",
    stops_at_profile = true, words = "profiles", options = SHAPE },
  { "check", usage = "[OPTION…] PROFILE…", summary = "validate profiles; needs no privilege, changes nothing",
    words = "profiles", exits = { { "0", "good" }, { "1", "faults" }, { "2", "wrong usage" } },
    options = { { "pure", help = "refuse profiles that run code on the host (hooks)" }, PARAMETER, SET } },
  { "plan", usage = "[OPTION…] PROFILE [--] [WORD…]", summary = "print the steps that run would take",
    note = "Each S.NAME(…) is a function that can be typed at the prompt of luge lua, with what only the run knows for $NAMES; "
      .. "stage.NAME(…) is what luge's stage, inside, does by itself before the command (runtime/stage/).",
    stops_at_profile = true, words = "profiles",
    options = with(SHAPE, JSON, { "origins", help = "where each value of the profile came from" },
      { "seccomp", help = "what the filters allow and deny" }) },
  { "up", usage = "[OPTION…] FILE.lua", summary = "start a group in the background, in the order of its needs",
    most = 1, words = "files", options = { { "name", arg = "NAME", help = "the group's name (default: the file's)" },
      { "replace", help = "start those anew whose profile has changed, and those that need them" }, PARAMETER, SET } },
  { "down", usage = "[-t D] FILE.lua|GROUP", summary = "stop what up started, in the reverse order, and remove it", most = 1,
    words = "files",
    options = { { "name", arg = "NAME", help = "the group's name (default: the file's)" }, GRACE, PARAMETER } },
  { "exec", usage = "[-t] [-e K=V] [-w DIR] [-u USER] NAME [--] COMMAND…",
    summary = "run one more command in a container, under its own protection",
    stops_at_profile = "NAME", names = "running",
    options = { { "tty", short = "t",
        help = "a terminal of its own, wherever luge's streams lead (default: where all three are one)" },
      { "interactive", short = "i", help = "accepted; standard input is always passed on" },
      { "env", short = "e", arg = "NAME[=VALUE]", list = true, help = "set a variable, or pass on luge's own" },
      { "workdir", short = "w", arg = "DIR", help = "the working directory, in the container (default: the profile's cwd)" },
      { "timeout", arg = "DURATION", help = "kill the command after this time: exit code 124" },
      { "user", short = "u", arg = "USER", help = "a name of the container's passwd file, or uid:gid" } } },
  { "attach", usage = "[--detach-keys KEYS] NAME",
    summary = "this terminal and that of a detached container; Ctrl-P Ctrl-Q leaves it", names = "running", at = 1,
    options = { { "detach-keys", arg = "KEYS",
      help = "what leaves it alone again: characters and ctrl-X, with commas; \"\" for none (default: ctrl-p,ctrl-q)" } } },
  { "ps", usage = "[-a] [--filter FIELD=VALUE] [--group [GROUP…]]", at = 0,
    summary = "the containers that run; -a: and that have ended",
    options = { { "all", short = "a", help = "those too that have ended, or were lost" },
      { "group", help = "only those of groups, or of the groups that are named" },
      { "quiet", short = "q", help = "only the names" }, JSON,
      { "filter", arg = "FIELD=VALUE", list = true,
        help = "name, state, profile, group, health or detached; of one field any of its values" } } },
  { "inspect", usage = "NAME…", summary = "all that is known of containers, as JSON", names = "all",
    options = { { "all", short = "a", help = "every container" }, JSON } },
  { "logs", usage = "[-f] [-n N] [--since T] [--timestamps] [--json] NAME | --group GROUP",
    summary = "what a detached container wrote, or those of a group", names = "all", at = 1,
    options = { { "follow", short = "f", help = "go on until the container has ended" },
      { "group", arg = "GROUP", help = "the lines of all its containers in the order of their times, each with its name" },
      { "lines", short = "n", arg = "N", help = "only the last N lines, of each container" },
      { "since", arg = "TIME", help = "only lines from then on: 10m ago, 2h, or 2026-01-31T12:00:00Z" },
      { "timestamps", short = "t", help = "each line's time before it" },
      { "json", help = "a line of JSON for each line: time, stream, text or base64" } } },
  { "top", usage = "[--json] NAME…", summary = "the processes of containers", names = "running",
    options = { { "all", short = "a", help = "of every container that runs" }, JSON } },
  { "wait", usage = "[--condition C] NAME…", summary = "until containers have ended; the exit code is theirs",
    names = "all",
    options = {
      { "condition", arg = "CONDITION", help = "exited (default), running or healthy: 0 when it holds, 1 when it will not" },
      { "all", short = "a", help = "every container, but those that were lost" } } },
  { "stop", usage = "[-t D] NAME…", summary = "the stop signal, KILL after the grace", names = "running",
    options = { { "all", short = "a", help = "every container that runs" }, GRACE } },
  { "kill", usage = "[-s SIGNAL] NAME…", summary = "send the command a signal", names = "running",
    options = { { "all", short = "a", help = "every container that runs" },
      { "signal", short = "s", arg = "SIGNAL", help = "its name (default: KILL)" } } },
  { "pause", usage = "NAME…", summary = "stop every process where it is", names = "running",
    options = { { "all", short = "a", help = "every container that runs" } } },
  { "resume", usage = "NAME…", summary = "let a paused container go on", names = "running",
    options = { { "all", short = "a", help = "every container that is paused" } } },
  { "rm", usage = "[-f] NAME…", summary = "remove what detached containers left", names = "all",
    options = { { "all", short = "a", help = "every container that has ended; with -f every one" },
      { "force", short = "f", help = "stop it first" }, GRACE } },
  { "network", usage = "reload [NAME…] | cut NAME INTERFACE | join NAME INTERFACE",
    summary = "put firewalls back that somebody flushed; cut a wire of a container, and join it again",
    names = "running", options = { { "all", short = "a", help = "every container that runs (as without a name)" } } },
  { "gc", usage = "[--json]", summary = "take away what a killed luge left behind", options = { JSON }, most = 0 },
  { "stats", usage = "[--once] [--json] [NAME…]", summary = "what running containers use, once a second", names = "running",
    options = { JSON, { "once", help = "one look, then end; CPU % is the share since the container began" } } },
  { "lua", usage = "[SCRIPT [ARG…]]", summary = "the syscall layer: a script, or a prompt", raw = true, words = "files",
    note = "SIGINT (Ctrl-C) raises the error \"interrupted!\" in what runs: the prompt goes on, a script exits with 1.",
    options = {} },
  { "doctor", usage = "[--json]", summary = "what this host supports, and how to get the rest", options = { JSON }, most = 0 },
  { "help", usage = "[COMMAND|FIELD]", summary = "about a command, or a field of a profile", words = "commands",
    options = {}, most = 1 },
  { "completion", usage = "bash|zsh|fish", summary = "a completion script for the shell", words = "shells", options = {},
    most = 1 },
  { "version", usage = "", summary = "the version", options = {}, most = 0 },
}

--- The names of all commands.
function M.names()
  local names = {}
  for i, command in ipairs(M.commands) do names[i] = command[1] end
  return names
end

--- The command of that name, or nil.
function M.command(name)
  for _, command in ipairs(M.commands) do
    if command[1] == name then return command end
  end
end

return M
