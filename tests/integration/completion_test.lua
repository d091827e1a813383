-- SPDX-License-Identifier: MIT
-- luge completion: the scripts, in the shells that they are for.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local screens = dofile "tests/integration/screen.lua"(t, box)
local S = require "syscall"

local function installed(shell)
  for dir in (os.getenv "PATH" or "/usr/bin:/bin"):gmatch "[^:]+" do
    if S.access(dir .. "/" .. shell, "x") then return dir .. "/" .. shell end
  end
  t.skip(("no-%s: %s is not installed"):format(shell, shell))
end

-- A directory to complete files in, and the environment in which luge is found.
local function place(shell)
  local dir = t.dir()
  t.write(dir .. "/report.json", "")
  t.must(S.mkdir(dir .. "/bin", "0755"))
  t.must(S.symlink(t.luge, dir .. "/bin/luge"))
  local script = t.write(dir .. "/script", t.succeed({ "luge", "completion", shell }).stdout)
  return dir, script, { PATH = dir .. "/bin:" .. os.getenv "PATH", LUGE_STATE = box.state, HOME = dir, TERM = "dumb" }
end

-- What is typed, and what of the offers must be there, all of them where `exactly`.
local CASES = {
  { "luge atta", "attach" }, { "luge sto", "stop" }, { "luge run --deta", "--detach" }, { "luge run stri", "strict" },
  { "luge run --name run stri", "strict" }, { "luge run --report repo", "report.json" }, { "luge run strict repo", "report.json" },
  { "luge exec --work", "--workdir" }, { "luge attach --detach-k", "--detach-keys" }, { "luge completion zs", "zsh" },
  { "luge help atta", "attach" }, { "luge help limits.outpu", "limits.output" }, { "luge lua repo", "report.json" },
  { "luge kill -s WIN", "WINCH" }, { "luge kill --signal WIN", "WINCH" },
  { "luge stop det-ru", "det-run" }, { "luge exec det-ru", "det-run" }, { "luge attach det-ru", "det-run" }, { "luge rm det-en", "det-end" },
  { "luge logs -n 3 det-en", "det-end" }, { "luge inspect det-run det-en", "det-end" },
}
-- Nothing is offered.
local NOTHING = { "luge stop det-en", "luge exec det-run det-ru", "luge attach det-run det-ru", "luge ps repo", "luge run --name repo",
  "luge completion bash zs", "luge exec det-run --work" }

-- Containers to complete, one that runs and one that has ended.
local function with_containers(body)
  return function()
    d.start("det-run", { "sleep", "1000" })
    d.start("det-end", { "exit", "0" })
    d.luge("wait", "det-end")
    local ok, err = pcall(body)
    d.ok("rm", "-f", "-t", "0", "det-run", "det-end")
    d.nothing_left()
    if not ok then error(err, 0) end
  end
end

local function check(offers)
  for _, case in ipairs(CASES) do
    t.equal(d.plain(offers(d.own(case[1]))), case[2], case[1])
  end
  for _, line in ipairs(NOTHING) do t.equal(d.plain(offers(d.own(line))), "", line) end
end

d.test("bash", with_containers(function()
  local bash = installed "bash"
  local dir, script, env = place "bash"
  check(function(line)
    local r = t.run { bash, "--norc", "-c", [[. "$1"; read -ra COMP_WORDS <<<"$2"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _luge
      echo "${COMPREPLY[*]}"]], "bash", script, line, cwd = dir, env = env }
    t.equal({ r.code, r.stderr }, { 0, "" }, line)
    return (r.stdout:gsub("\n$", ""))
  end)
end))

d.test("fish", with_containers(function()
  local fish = installed "fish"
  local dir, script, env = place "fish"
  check(function(line)
    local r = t.run { fish, "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", script, line, cwd = dir, env = env }
    t.equal({ r.code, r.stderr }, { 0, "" }, line)
    local names = {}
    for name in r.stdout:gmatch "([^\t\n]+)[^\n]*\n" do names[#names + 1] = name end
    return table.concat(names, " ")
  end)
end))

-- zsh completes at a prompt only. One offer is put into the line; the key after it shows the line as it is by then.
local function zsh_offers(dir, script, env)
  local zsh = installed "zsh"
  local s = screens.new(50, 200)
  local words = { zsh, "-f", "-i", cwd = dir, env = env }
  s:start_words(words)
  s:type "PS1='ready''> '; unsetopt prompt_sp zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; unsetopt auto_list beep\r"
  s:expect "ready> "
  s:type(("source %s; show() { print -r -- \"<$BUFFER>\"; BUFFER=; zle reset-prompt }; zle -N show; bindkey '^X' show; echo lo''aded\r"):format(script))
  s:expect "loaded"
  s:expect "ready> "
  return s, function(line)
    s:type(line .. "\t\24")
    local shown = s:expect "<([^>\n]*)>"
    local word = line:match "%S*$"
    local last = shown:gsub("%s+$", ""):match "%S*$"
    return last == word and "" or last
  end
end

d.test("zsh", with_containers(function()
  installed "zsh"
  local dir, script, env = place "zsh"
  local s, offers = zsh_offers(dir, script, env)
  local ok, err = pcall(check, offers)
  s:type "exit\r"
  s:finish(true)
  if not ok then error(err, 0) end
end))

d.test("zsh finds the script by its name, too", function()
  local zsh = installed "zsh"
  local dir, script, env = place "zsh"
  t.must(S.mkdir(dir .. "/functions", "0755"))
  t.must(S.rename(script, dir .. "/functions/_luge"))
  local s = screens.new(50, 200)
  s:start_words { zsh, "-f", "-i", cwd = dir, env = env }
  s:type(("PS1='ready''> '; unsetopt zle_bracketed_paste; fpath=(%s/functions $fpath); autoload -Uz compinit; compinit -u -D\r"):format(dir))
  s:expect "ready> "
  s:type "luge atta\t"
  s:expect "luge attach "
  s:type "\21exit\r"
  s:finish(true)
  s.master:close()
  s.slave:close()
end)
