-- SPDX-License-Identifier: MIT
-- sandbox.cli.completion: `luge completion SHELL`: scripts made from the table of options.

local cli = require "sandbox.cli"
local catalogue = require "sandbox.cli.options"

local M = {}

local PROFILES = "default ci strict compute distro shell"

local function names()
  local list = {}
  for i, command in ipairs(catalogue.commands) do list[i] = command[1] end
  return table.concat(list, " ")
end

local function long_options(command)
  local list = {}
  for i, option in ipairs(command.options) do list[i] = "--" .. option[1] end
  return table.concat(list, " ")
end

-- What lists the containers that a command takes: they are asked for when somebody completes.
local LISTS = { running = "luge ps -q", all = "luge ps -a -q" }

local shells = {}

function shells.bash()
  local cases = {}
  for i, command in ipairs(catalogue.commands) do
    local names_of = command.names and (" files= names=$(%s 2>/dev/null)"):format(LISTS[command.names]) or ""
    cases[i] = ("\t%s) words=\"%s\"%s ;;"):format(command[1], long_options(command), names_of)
  end
  return ([[
_luge() {
	local words cur=${COMP_WORDS[COMP_CWORD]} files=-f names="%s"
	if [ "$COMP_CWORD" = 1 ]; then
		COMPREPLY=($(compgen -W "%s" -- "$cur"))
		return
	fi
	case ${COMP_WORDS[1]} in
%s
	esac
	case $cur in
	-*) COMPREPLY=($(compgen -W "$words" -- "$cur")) ;;
	*) COMPREPLY=($(compgen -W "$names" $files -- "$cur")) ;;
	esac
}
complete -o filenames -F _luge luge
]]):format(PROFILES, names(), table.concat(cases, "\n"))
end

function shells.zsh()
  local cases = {}
  for i, command in ipairs(catalogue.commands) do
    local specs = {}
    for _, option in ipairs(command.options) do
      specs[#specs + 1] = ("'%s--%s[%s]%s'"):format(option.list and "*" or "", option[1],
        option.help:gsub("[%[%]':]", " "), option.arg and ":" .. option.arg:gsub("[%[%]:']", " ") or "")
    end
    cases[i] = ("\t%s) _arguments %s '*:%s' ;;"):format(command[1], table.concat(specs, " "),
      command.names and "container:_luge_" .. command.names or "profile:_luge_profiles")
  end
  return ([[
#compdef luge
_luge_profiles() { _alternative 'names:profile:(%s)' 'files:file:_files' }
_luge_running() { compadd ${(f)"$(%s 2>/dev/null)"} }
_luge_all() { compadd ${(f)"$(%s 2>/dev/null)"} }
_luge() {
	if ((CURRENT == 2)); then
		compadd %s
		return
	fi
	local command=$words[2]
	shift words
	((CURRENT--))
	case $command in
%s
	esac
}
compdef _luge luge
]]):format(PROFILES, LISTS.running, LISTS.all, names(), table.concat(cases, "\n"))
end

function shells.fish()
  local lines = {}
  for _, command in ipairs(catalogue.commands) do
    lines[#lines + 1] = ("complete -c luge -n __fish_use_subcommand -f -a %s -d '%s'"):format(command[1],
      command.summary:gsub("'", "\\'"))
    for _, option in ipairs(command.options) do
      lines[#lines + 1] = ("complete -c luge -n '__fish_seen_subcommand_from %s' -l %s%s%s -d '%s'"):format(command[1],
        option[1], option.short and " -s " .. option.short or "", option.arg and " -r" or "", option.help:gsub("'", "\\'"))
    end
  end
  for _, command in ipairs(catalogue.commands) do
    if command.names then
      lines[#lines + 1] = ("complete -c luge -n '__fish_seen_subcommand_from %s' -f -a '(%s 2>/dev/null)'"):format(command[1],
        LISTS[command.names])
    end
  end
  lines[#lines + 1] = ("complete -c luge -n '__fish_seen_subcommand_from run plan check' -a '%s'"):format(PROFILES)
  return table.concat(lines, "\n") .. "\n"
end

function M.run(_, words)
  local make = shells[words[1] or ""]
  if not make then return cli.complain("completion for which shell?", "luge completion bash, zsh or fish") end
  io.write(make())
  return 0
end

return M
