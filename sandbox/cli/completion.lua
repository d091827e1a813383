-- SPDX-License-Identifier: MIT
-- sandbox.cli.completion: `luge completion SHELL`: scripts made from the table of options. Containers are asked for when
-- somebody completes; profiles and fields are those of this luge and this user.

local cli = require "sandbox.cli"
local catalogue = require "sandbox.cli.options"

local M = {}

-- ---- what is offered, the same in every shell ----

-- What lists the containers that a command takes.
local LISTS = { running = "luge ps -q", all = "luge ps -a -q" }

local function profiles()
  return require("sandbox.profile.search").names(require("sandbox.plan.facts").gather())
end

-- What stands where a command's own words stand: a list of words, or a kind of its own.
local WORDS = {
  profiles = profiles,
  commands = function()
    local list = catalogue.names()
    return table.move(require("sandbox.profile.help").names(), 1, 1000, #list + 1, list)
  end,
  shells = function() return { "bash", "zsh", "fish" } end,
}

-- What an option takes, by its arg: files, a list of words, or anything (nil).
local ARGUMENTS = {
  FILE = "files", ["SRC[:DST][:rw]"] = "files",
  SIGNAL = { "HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP", "WINCH" },
}

-- How many words of a command are its own: what follows them is a command line, or nothing.
local function own_words(command)
  if command.stops_at_profile then return 1 end
  if command.most then return command.most end
  return command.at or 1000
end

-- { name =, summary =, options = { { long, short, takes } }, words = list, names = kind, files = boolean, own = number,
-- then_files = boolean } for each command.
local function rows()
  local list = {}
  for i, command in ipairs(catalogue.commands) do
    local words = command.words
    list[i] = { name = command[1], summary = command.summary, options = command.options, names = command.names,
      words = WORDS[words] and WORDS[words]() or {}, files = words == "profiles" or words == "files", own = own_words(command),
      then_files = command.stops_at_profile == true and words == "profiles", stops = command.stops_at_profile ~= nil }
  end
  return list
end

-- The options of a command, as they are written, that take a value: all, or those that take it by `kind`.
local function taking(row, accept)
  local list = {}
  for _, option in ipairs(row.options) do
    if option.arg and (not accept or accept(ARGUMENTS[option.arg])) then
      list[#list + 1] = "--" .. option[1]
      if option.short then list[#list + 1] = "-" .. option.short end
    end
  end
  return list
end

local function is_files(kind) return kind == "files" end
local function is_words(kind) return type(kind) == "table" end

local function join(list) return table.concat(list, " ") end

local shells = {}

-- ---- bash ----

local function bash_case(row)
  local options = {}
  for i, option in ipairs(row.options) do options[i] = "--" .. option[1] end
  local signals = taking(row, is_words)
  return ("\t%s) own=%d options=%q takes=%q takes_file=%q takes_signal=%q%s%s%s%s ;;"):format(row.name, row.own,
    join(options), join(taking(row)), join(taking(row, is_files)), join(signals),
    row.files and " files=-f" or "", row.then_files and " after=-f" or "",
    row.stops and " stops=1" or "", row.names and (" words=$(%s 2>/dev/null)"):format(LISTS[row.names])
      or #row.words > 0 and (" words=%q"):format(join(row.words)) or "")
end

function shells.bash()
  local cases = {}
  for i, row in ipairs(rows()) do cases[i] = bash_case(row) end
  return ([==[
_luge() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i n=0
	local own=0 options= takes= takes_file= takes_signal= files= after= stops= words=
	if [ "$COMP_CWORD" = 1 ]; then
		COMPREPLY=($(compgen -W "%s" -- "$cur"))
		return
	fi
	case ${COMP_WORDS[1]} in
%s
	esac
	for ((i = 2; i < COMP_CWORD; i++)); do
		if [ -z "$stops" ] || [ $n = 0 ]; then
			case ${COMP_WORDS[i]} in
			--) stops=1; own=0; after=-f; n=1; continue ;;
			-*) [[ " $takes " == *" ${COMP_WORDS[i]} "* ]] && ((i++)); continue ;;
			esac
		fi
		((n++))
	done
	if ((i > COMP_CWORD)); then
		words=
		[[ " $takes_signal " == *" $prev "* ]] && words="%s"
		[[ " $takes_file " == *" $prev "* ]] && files=-f || files=
	elif [ -n "$stops" ] && ((n > 0)); then
		words= files=$after
	elif [[ $cur == -* ]]; then
		words=$options files=
	elif ((n >= own)); then
		words= files=
	fi
	COMPREPLY=($(compgen -W "$words" $files -- "$cur"))
}
complete -o filenames -F _luge luge
]==]):format(join(catalogue.names()), table.concat(cases, "\n"), join(ARGUMENTS.SIGNAL))
end

-- ---- zsh ----

local function zsh_text(text) return (text:gsub("['%[%]:]", " ")) end

local function zsh_action(kind)
  return kind == "files" and "_files" or kind and "(" .. join(kind) .. ")" or " "
end

local function zsh_option(option)
  local text = ("[%s]%s"):format(zsh_text(option.help),
    option.arg and (":%s:%s"):format(zsh_text(option.arg), zsh_action(ARGUMENTS[option.arg])) or "")
  if not option.short then return ("'%s--%s%s'"):format(option.list and "*" or "", option[1], text) end
  if option.list then return ("'*'{-%s,--%s}'%s'"):format(option.short, option[1], text) end
  return ("'(-%s --%s)'{-%s,--%s}'%s'"):format(option.short, option[1], option.short, option[1], text)
end

local function zsh_words(row)
  if row.own == 0 then return "" end
  local what = row.names and "container:_luge_" .. row.names or row.words[1] and "word:_luge_" .. row.name or "file:_files"
  if row.own == 1 then
    local rest = row.then_files and " '*::word:_files'" or row.stops and " '*:: : '" or ""
    return (" '1:%s'%s"):format(what, rest)
  end
  return (" '*:%s'"):format(what)
end

function shells.zsh()
  local cases, lists = {}, {}
  for _, row in ipairs(rows()) do
    local specs = {}
    for i, option in ipairs(row.options) do specs[i] = zsh_option(option) end
    cases[#cases + 1] = ("\t%s) _arguments -s%s %s%s ;;"):format(row.name, row.stops and " -A '-*'" or "", join(specs),
      zsh_words(row))
    if row.words[1] then
      lists[#lists + 1] = ("_luge_%s() { compadd -- %s%s }"):format(row.name, join(row.words), row.files and "; _files" or "")
    end
  end
  return ([[
#compdef luge
%s
_luge_running() { compadd -- ${(f)"$(%s 2>/dev/null)"} }
_luge_all() { compadd -- ${(f)"$(%s 2>/dev/null)"} }
_luge() {
	if ((CURRENT == 2)); then
		compadd -- %s
		return
	fi
	local command=$words[2]
	shift words
	((CURRENT--))
	case $command in
%s
	esac
}
# Found on fpath the file is the function's body; sourced it defines it.
if [ "$funcstack[1]" = _luge ]; then _luge "$@"; else compdef _luge luge; fi
]]):format(table.concat(lists, "\n"), LISTS.running, LISTS.all, join(catalogue.names()), table.concat(cases, "\n"))
end

-- ---- fish ----

local function fish_text(text) return "'" .. text:gsub("[\\']", "\\%0") .. "'" end

local function fish_option(condition, option)
  local kind = option.arg and ARGUMENTS[option.arg]
  return ("complete -c luge -n %s -l %s%s%s -d %s"):format(condition, option[1], option.short and " -s " .. option.short or "",
    not option.arg and "" or kind == "files" and " -r -F" or kind and (" -x -a %s"):format(fish_text(join(kind))) or " -x",
    fish_text(option.help))
end

local function fish_words(row, out, condition)
  local list = row.names and ("(%s 2>/dev/null)"):format(LISTS[row.names]) or join(row.words)
  if list ~= "" then out[#out + 1] = ("complete -c luge -n %s -a %s"):format(condition, fish_text(list)) end
  if row.files then out[#out + 1] = ("complete -c luge -n %s -F"):format(condition) end
end

function shells.fish()
  local out = { [[
# __luge_at COMMAND FROM BEFORE OPTION…: of COMMAND, FROM words and fewer than BEFORE were written; each OPTION takes one more.
function __luge_at
	set -l words (commandline -opc)
	test (count $words) -ge 2; and test $words[2] = $argv[1]; or return 1
	set -l n 0
	set -l skip 0
	for word in $words[3..-1]
		if test $skip = 1
			set skip 0
		else if contains -- $word $argv[4..-1]
			set skip 1
		else if not string match -q -- '-*' $word
			set n (math $n + 1)
		end
	end
	test $n -ge $argv[2]; and test $n -lt $argv[3]
end
complete -c luge -f]] }
  for _, row in ipairs(rows()) do
    local takes = join(taking(row))
    local function at(from, before)
      return ('"__luge_at %s %d %d %s"'):format(row.name, from, before, takes)
    end
    out[#out + 1] = ("complete -c luge -n __fish_use_subcommand -a %s -d %s"):format(row.name, fish_text(row.summary))
    for _, option in ipairs(row.options) do
      out[#out + 1] = fish_option(at(0, row.stops and 1 or 1000), option)
    end
    if row.own > 0 then fish_words(row, out, at(0, row.own)) end
    if row.then_files then out[#out + 1] = ("complete -c luge -n %s -F"):format(at(1, 1000)) end
  end
  return table.concat(out, "\n") .. "\n"
end

function M.run(_, words)
  local make = shells[words[1] or ""]
  if not make then return cli.complain("completion for which shell?", "luge completion bash, zsh or fish") end
  io.write(make())
  return 0
end

return M
