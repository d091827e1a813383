-- SPDX-License-Identifier: MIT
-- The command line: where options go, what mistakes are answered, what is set over a profile, help and completion.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"

local function luge(words, how)
  how = how or {}
  how[1] = "luge"
  for i, word in ipairs(words) do how[i + 1] = word end
  how.env = how.env or { LUGE_STATE = box.state }
  return t.run(how)
end

-- A wrong command line: the code (125), nothing on stdout, each part on stderr.
local function wrong(words, ...)
  local r = luge(words, { cwd = words.cwd })
  local what = table.concat(words, " ")
  t.equal(r.code, words.code or 125, what .. ": " .. r.stderr)
  t.equal(r.stdout, "", what)
  t.matches(r.stderr, "^[^\n]+:")
  t.lacks(r.stderr, "traceback", what)
  for _, part in ipairs { ... } do t.contains(r.stderr, part, what) end
  return r
end

t.test("a command in place of a profile", function()
  wrong({ "run", "make" }, "luge: no profile 'make'; to run a command: luge run default -- make")
  wrong({ "plan", "make" }, "no profile 'make'")
  wrong({ "check", "make", code = 1 }, "no profile 'make'")
end)

t.test("a profile that lies here", function()
  local dir = t.dir()
  t.write(dir .. "/ci2.lua", box.text())
  wrong({ "run", "ci2", cwd = dir }, "luge: no profile 'ci2' on the profile path; for the file here write ./ci2.lua")
  t.equal(luge({ "run", "ci2.lua", "/guest", "exit", "3" }, { cwd = dir }).code, 3)
  t.equal(luge({ "run", "./ci2.lua", "/guest", "exit", "4" }, { cwd = dir }).code, 4)
end)

t.test("a profile that lies here, and one of that name is found elsewhere", function()
  local dir = t.dir()
  t.write(dir .. "/default.lua", box.text())
  wrong({ "run", "default", cwd = dir }, "the profile has no command", "for the file here write ./default.lua")
  wrong({ "run", "default" }, "luge run PROFILE -- COMMAND")
end)

t.test("a slip in a profile's name", function()
  wrong({ "run", "defualt" }, "no profile 'defualt' (did you mean 'default'?)")
end)

t.test("an image in place of a profile", function()
  for _, name in ipairs { "debian", "alpine:latest", "docker.io/library/debian:12" } do
    wrong({ "run", "-it", name, "sh" }, name, "profiles: ", "default", "luge has no images", "root = \"DIR\"")
  end
  t.lacks(wrong({ "run", "./no-such.lua" }, "cannot read ./no-such.lua").stderr, "images")
end)

t.test("options after the profile", function()
  wrong({ "run", "default", "-t" }, "-t: options go before PROFILE", "luge run -t default", "luge run default -- -t")
  wrong({ "run", "default", "--name", "x" }, "--name: options go before PROFILE", "luge run --name x default")
  wrong({ "run", "default", "--name=x" }, "luge run --name=x default")
  t.lacks(wrong({ "run", "sh", "-c", "true" }, "-c: options go before PROFILE", "luge run sh -- -c").stderr, "luge run -c")
  wrong({ "run", "default", "--memory", "1G", "ls" }, "--set limits.memory=SIZE", "luge run default -- --memory")
  t.equal(luge({ "run", "default", "--", "sh", "-c", "exit 8" }).code, 8)
  t.equal(luge({ "run", "default", "sh", "-c", "exit 9" }).code, 9)
  t.equal(luge({ "run", "--", "default", "sh", "-c", "exit 9" }).code, 9)
  t.equal(luge({ "run", "--", "default", "--", "sh", "-c", "exit 10" }).code, 10)
end)

t.test("options of other launchers name luge's way", function()
  for option, part in pairs { ["-v"] = "--bind", ["--volume"] = "--bind", ["--volume=/a:/b"] = "--bind", ["-p"] = "publish = {",
    ["-m"] = "limits.memory", ["--memory=1G"] = "limits.memory", ["--cpus"] = "limits.cpus",
    ["--pids-limit"] = "limits.pids", ["--env-file"] = "--env NAME=VALUE",
    ["--ro-bind"] = "--bind", ["--cap-add"] = "--set 'capabilities", ["--unshare-all"] = "leave it out",
    ["-v/a:/b"] = "--bind", ["-p8080:80"] = "publish = {", ["--device=/dev/kvm"] = "devices=", ["--restart=always"] = "restart=",
    ["--proc"] = "leave it out", ["--add-host"] = "hosts = {", ["--pull"] = "luge has no images", ["--uidmap"] = "id_map = {",
    ["--privileged"] = "the fields you need", ["--tmpfs"] = "tmpfs {",
      ["--hostname"] = "--set hostname=" } do
    wrong({ "run", option, "default" }, "no such option", part)
  end
end)

t.test("options that are not there, or have the wrong value", function()
  wrong({ "run", "--tiemout", "1s", "default" }, "--tiemout: no such option", "did you mean --timeout?")
  wrong({ "run", "--work", "default" }, "did you mean --workdir?")
  wrong({ "run", "--zzzzzz", "default" }, "luge help run lists its options")
  wrong({ "run", "--timeout" }, "--timeout needs DURATION")
  wrong({ "run", "--timeout", "5 parsecs", "default" }, "--timeout: limits.wall", "no duration")
  wrong({ "run", "--tty=yes", "default" }, "--tty takes no value")
  wrong({ "run", "-w", "relative", "default" }, "--workdir: cwd", "not absolute")
  wrong({ "run", "--name", "not/a/name", "default" }, "--name: name")
  wrong({ "run", "--name", "", "default" }, "--name: name")
  wrong({ "run", "--name", "../up", "default" }, "--name: name")
  wrong({ "run", "-e", "NO_SUCH_VARIABLE_HERE", "default", "--", "true" }, "the variable is not set here")
  wrong({ "run", "-e", "=x", "default", "--", "true" }, "NAME[=VALUE] expected")
  wrong({ "run", "-D", "novalue", "default" }, "NAME=VALUE expected")
  wrong({ "run", "--bind", ":/x", "default" }, "SRC[:DST][:rw] expected")
  wrong({ "run", "--bind", "/a:/b:/c:/d", "default" }, "SRC[:DST][:rw] expected")
  wrong({ "run", "--bind", "/etc:relative", "default", "--", "true" }, "--bind")
  wrong({ "run", "--bind", "/no/such/source:/x", "default", "--", "true" }, "/no/such/source does not exist")
end)

t.test("options of other launchers are none of luge's, and what they lead to is there", function()
  local catalogue, elsewhere = require "sandbox.cli.options", require "sandbox.cli.elsewhere"
  local fields = {}
  for _, path in ipairs(require "sandbox.profile.help".names()) do fields[path] = true end
  local count = 0
  for word, text in pairs(elsewhere.options()) do
    for _, option in ipairs(catalogue.command "run".options) do
      t.ok(word ~= "--" .. option[1] and word ~= "-" .. (option.short or "?"), word .. " is luge's own")
    end
    local field = text:match "%-%-set '?([%l_.]+)="
    if field then t.ok(fields[field], word .. ": there is no " .. field) end
    local help = text:match "luge help ([%l_.]+)"
    if help then t.equal(luge({ "help", help }).code, 0, word) end
    local option = text:match "^%-%-(%l+)"
    if option then
      local known
      for _, one in ipairs(catalogue.command "run".options) do known = known or one[1] == option end
      t.ok(known, word .. ": there is no --" .. option)
    end
    count = count + 1
  end
  t.ok(count > 80, count .. " options")
end)

t.test("signals of kill are names", function()
  wrong({ "kill", "-9", "x" }, "-9: no such option", "-s KILL")
  wrong({ "kill", "-s", "9", "x" }, "9 is called KILL")
  wrong({ "kill", "-s", "99", "x" }, "as TERM, USR1 or RTMIN+3")
end)

t.test("short options in one word", function()
  t.equal(luge({ "run", "-ie", "A=1", "default", "--", "sh", "-c", "echo $A" }).stdout, "1\n")
  t.equal(luge({ "run", "-ieA=2", "default", "--", "sh", "-c", "echo $A" }).stdout, "2\n")
  wrong({ "run", "-iq", "default" }, "no such option")
  t.equal(luge({ "run", "-it", "default", "--", "tty" }).stdout, "/dev/pts/0\r\n")
end)

t.test("words that are missing or too many", function()
  wrong({ "run" }, "which profile?", "luge run default -- COMMAND")
  wrong({ "plan" }, "which profile?")
  wrong({ "check", code = 2 }, "which profile?")
  wrong({ "version", "x" }, "one word too many")
  wrong({ "doctor", "x" }, "one word too many")
  wrong({ "help", "run", "plan" }, "one word too many")
  wrong({ "completion" }, "bash, zsh or fish")
  wrong({ "completion", "tcsh" }, "bash, zsh or fish")
end)

t.test("commands that are not there", function()
  wrong({ "chek" }, "no command 'chek'", "did you mean luge check?")
  wrong({ "frobnicate" }, "no command 'frobnicate'", "luge help lists the commands")
  for word, part in pairs { ls = "luge ps", images = "luge has no images", pull = "luge has no images", cp = "keep = {",
    unpause = "luge resume", create = "luge run -d", compose = "luge up", volume = "--bind", ["--ro-bind"] = "luge run [OPTION…]" } do
    t.lacks(wrong({ word, "x" }, "no command '" .. word .. "'", part).stderr, "did you mean", word)
  end
  wrong({ "./x.lua" }, "luge run ./x.lua")
  wrong({ "" }, "no command ''")
end)

t.test("check: 0 good, 1 faults, 2 usage", function()
  local good, bad = t.profile(box.text()), t.profile "return container { sise = 1 }"
  local r = luge { "check", good, "default" }
  t.equal({ r.code, r.stdout, r.stderr }, { 0, good .. ": good\ndefault: good\n", "" })
  r = luge { "check", bad, good }
  t.equal({ r.code, r.stdout }, { 1, good .. ": good\n" })
  t.contains(r.stderr, bad .. ":1: sise: no such field")
  t.equal(luge({ "check", "--nope", good }).code, 2)
  t.equal(luge({ "check", "--set", "foo", good }).code, 2)
  t.equal(luge({ "check", "-D", "foo", good, bad }).code, 2)
  t.contains(luge({ "help", "check" }).stdout, "Exit codes:\n  0     good\n  1     faults\n  2     wrong usage\n")
  t.contains(luge({ "help", "luge.1" }).stdout, ".B 2\nluge check: wrong usage.\n")
  t.contains(luge({ "help", "stop" }).stdout, [[Default:  { signal = "TERM", grace = "10s" }]])
  t.equal(luge({ "check", "/no/such/file.lua" }).code, 1)
  t.equal(luge({ "check", "--set", "cwd=/tmp", good }).code, 0)
  t.equal(luge({ "check", "--set", "cwd=tmp", good }).code, 1)
end)

t.test("--set: scalars by the field's type, tables as Lua, the last word", function()
  local function set(...)
    return box.facts { options = { ... }, body = "hostname = 'first', cwd = '/usr', limits = { open_files = 50 }" }
  end
  t.equal(set("--set", "hostname=second").hostname, "second")
  t.equal(set("--set", "hostname=second", "--set", "hostname=third").hostname, "third")
  t.equal(set("--set", "limits.open_files=60").limits.open_files, { 60, 60 })
  t.equal(set("--set", "limits.stack=4M").limits.stack, { 4194304, 4194304 })
  t.equal(set("--set", "no_new_privs=false", "--set", "seccomp=false").status.NoNewPrivs, "0")
  t.equal(set("--set", "env={ A = 'x', B = tostring(1 + 1) }").env.B, "2")
  t.equal(set("--set", "env.A=a = b").env.A, "a = b")
  t.equal(set("--set", "user={ 5, 6 }").gid[1], 6)
  t.equal(set("--set", "limits={ open_files = 70 }").limits.open_files, { 70, 70 })
  t.equal(box.says { options = { "--set", "mounts=append { tmpfs { '/added' } }" }, shell = "test -d /added && echo there" },
    "there")
end)

t.test("a duration is seconds, or has units", function()
  for _, text in ipairs { "10", "1.5", "1m30s" } do
    t.equal(luge({ "run", "--timeout", text, "default", "--", "true" }).code, 0, text)
    t.equal(luge({ "run", "--set", "limits.wall=" .. text, "--set", "stop.grace=" .. text, "default", "--", "true" }).code, 0, text)
  end
  wrong({ "run", "--timeout", "1m30", "default" }, "no duration")
end)

t.test("--set: what is wrong says which option", function()
  wrong({ "run", "--set", "hostname", "default" }, "--set hostname: FIELD=VALUE expected")
  for _, field in ipairs { "", ".", "..", "a..b", ".a", "a." } do
    wrong({ "run", "--set", field .. "=1", "default" }, ("--set %s=1: FIELD=VALUE expected"):format(field))
  end
  wrong({ "run", "--set", "limits.wal=1s", "default" }, "--set limits.wal", "did you mean 'wall'?")
  wrong({ "run", "--set", "limits.wall=soon", "default" }, "--set limits.wall", "no duration")
  wrong({ "run", "--set", "mounts={ tmpfs {", "default" }, "--set mounts")
  wrong({ "run", "--set", "mounts={ os.exit() }", "default" }, "--set mounts")
  wrong({ "run", "--set", "mounts={ tmpfs { '/x', sise = 1 } }", "default" }, "did you mean 'size'?")
  wrong({ "run", "--set", "init=maybe", "default" }, "--set init")
  wrong({ "run", "--set", "=1", "default" }, "--set")
end)

t.test("--set of what is no such field, or no Lua, shows what is", function()
  local function set(text, ...) wrong({ "run", "--set", text, "default", "--", "true" }, ...) end
  set("memory=1G", "did you mean 'limits.memory'?", "for example limits = { memory = \"2G\" }")
  set("limits.nofile=9", "did you mean 'open_files'?")
  set("command=ls", "a table is written as Lua: --set 'command={ ")
  set("env=A=b", "a table is written as Lua: --set 'env={ ")
  set("network.publish=8080:80", "network is set whole, as Lua: --set 'network={ … }'")
end)

t.test("-D gives the profile its parameters", function()
  local profile = t.profile("return container { mounts = { bind { " .. ("%q"):format(t.guest)
    .. ", '/guest' } }, command = { '/guest', 'print', param.A or 'none', tostring(param.B) } }")
  t.equal(luge({ "run", profile }).stdout, "none\nnil\n")
  t.equal(luge({ "run", "-D", "A=one", "-D", "B=x=y", profile }).stdout, "one\nx=y\n")
  t.equal(luge({ "run", "-DA=", profile }).stdout, "\nnil\n")
end)

t.test("options are the last word over the profile", function()
  local facts = box.facts { body = "cwd = '/usr', user = '1:1', env = { A = 'profile' }",
    options = { "-w", "/tmp", "-u", "7:8", "-e", "A=option" } }
  t.equal({ facts.cwd, facts.uid[1], facts.gid[1], facts.env.A }, { "/tmp", 7, 8, "option" })
end)

t.test("a profile can be executed", function()
  local dir = t.dir()
  t.must(S.symlink(t.luge, dir .. "/luge"))
  t.write(dir .. "/p", "#!/usr/bin/env -S luge run\n" .. box.text "entrypoint = { '/guest', 'print' }", "0755")
  local r = t.run { "/bin/sh", "-c", ("PATH=%s:$PATH exec ./p 'a b' c"):format(dir), cwd = dir, env = { LUGE_STATE = box.state } }
  t.equal({ r.code, r.stdout }, { 0, "a b\nc\n" }, r.stderr)
end)

t.test("names are looked up on the profile path", function()
  local dir = t.dir()
  t.must(S.mkdir(dir .. "/luge", "0755"))
  t.must(S.mkdir(dir .. "/luge/profiles", "0755"))
  t.write(dir .. "/luge/profiles/own.lua", box.text "command = { '/guest', 'exit', '21' }", "0644")
  t.write(dir .. "/own.lua", box.text "command = { '/guest', 'exit', '22' }", "0644")
  local env = { LUGE_STATE = box.state, XDG_CONFIG_HOME = dir }
  local code = luge({ "run", "own" }, { env = env }).code
  if t.root then
    -- The directory of the tests is one that everybody may write to: not for root.
    t.ok(code == 21 or code == 125)
  else
    t.equal(code, 21)
  end
  env.LUGE_PATH = dir
  code = luge({ "run", "own" }, { env = env }).code
  t.ok(code == 22 or t.root and code == 125, "ended with " .. code)
end)

t.test("help for each command, each option, each field", function()
  local overview = luge({ "help" }).stdout
  for _, command in ipairs { "run", "check", "plan", "ps", "inspect", "top", "wait", "stop", "kill", "pause",
    "resume", "rm", "gc", "lua", "doctor", "help", "completion", "version" } do
    t.contains(overview, "luge " .. command)
    local r = luge { "help", command }
    t.equal(r.code, 0)
    t.contains(r.stdout, "luge " .. command)
    t.equal(luge({ command, "--help" }).stdout, r.stdout)
    for option in r.stdout:gmatch "\n%s+[-%w, ]*(%-%-[%w-]+)" do
      if command ~= "lua" then
        local answer = luge { command, option }
        t.lacks(answer.stderr, "no such option", command .. " " .. option)
      end
    end
  end
  local container = luge({ "help", "container" }).stdout
  for _, word in ipairs { "param.NAME", "profile \"", "host.cwd", "optional(", "  group " } do t.contains(container, word) end
  for _, text in ipairs { overview, container, luge({ "help", "run" }).stdout, luge({ "help", "network" }).stdout } do
    for line in text:gmatch "[^\n]+" do t.ok(utf8.len(line) <= 100, line) end
    t.lacks(text .. "\n", " \n", "blanks at the end of a line")
  end
  t.contains(luge({ "help", "limits" }).stdout, "The most memory of the container, ")
  t.contains(container, "(not in this version)")
  local count = 0
  for field in container:gmatch "\n%s+([%l_]+)%s%s" do
    count = count + 1
    local r = luge { "help", field }
    t.equal(r.code, 0, field .. ": " .. r.stderr)
    t.contains(r.stdout, field)
  end
  t.ok(count >= 30, "fields: " .. count)
  for _, field in ipairs { "limits.wall", "mounts", "bind", "tmpfs", "namespaces.time", "seccomp.allow", "group" } do
    t.equal(luge({ "help", field }).code, 0, field)
  end
  local both = luge({ "help", "network" }).stdout -- a command and a field
  t.contains(both, "luge network reload")
  t.contains(both, "Its interfaces, in order.")
  t.lacks(luge({ "help", "exec" }).stdout, "bind.exec")
  t.contains(luge({ "help", "publish" }).stdout, "network.publish: ")
  t.contains(luge({ "help", "veth" }).stdout, "Is in:    network.interfaces\n")
  t.contains(luge({ "help", "host" }).stdout, "host.env.NAME")
  wrong({ "help", "limts" }, "did you mean 'limits'?")
  wrong({ "help", "limits.mem" }, "did you mean 'limits.memory'?")
  wrong({ "help", "volumes" }, "did you mean 'mounts'?")
  wrong({ "help", "stpo" }, "no command or field 'stpo'", "did you mean 'stop'?")
  wrong({ "help", "size" }, "'size' is a field of several", "tmpfs.size")
  t.equal(luge({}).stdout, overview)
  t.equal(luge({ "--help" }).stdout, overview)
  t.equal(luge({ "-h" }).stdout, overview)
end)

t.test("the examples of help are commands that can be typed", function()
  local catalogue, parse = require "sandbox.cli.options", require "sandbox.cli.parse"
  local count = 0
  for _, command in ipairs(catalogue.commands) do
    for line in (luge({ "help", command[1] }).stdout:match "For example:(\n.*)" or ""):gmatch "\n  (luge [^\n]+)" do
      local text = line:match "^(.-)%s%s" or line
      local words = {}
      for word in text:gsub("%s+>.*", ""):gmatch "%S+" do words[#words + 1] = word end
      t.equal(words[2], command[1])
      if not command.raw then
        local options, message = parse.parse(command, table.move(words, 3, #words, 1, {}))
        t.ok(options, text .. ": " .. tostring(message))
      end
      if text:find "^luge run .*default" or text:find "^luge plan" then
        table.remove(words, 1)
        t.equal(luge(words).code, 0, text)
      end
      count = count + 1
    end
  end
  t.ok(count >= 18, count .. " examples")
end)

t.test("the version", function()
  t.matches(luge({ "version" }).stdout, "^luge %d+%.%d+%.%d+\n$")
  t.equal(luge({ "--version" }).stdout, luge({ "version" }).stdout)
end)

t.test("completion loads in bash, and completes", function()
  local script = luge({ "completion", "bash" }).stdout
  local dir = t.dir()
  t.write(dir .. "/luge.bash", script)
  local r = t.run { "/bin/bash", "-c", [[source "$1"; COMP_WORDS=(luge run --ti); COMP_CWORD=2; _luge; echo "${COMPREPLY[@]}"
    COMP_WORDS=(luge pl); COMP_CWORD=1; _luge; echo "${COMPREPLY[@]}"
    COMP_WORDS=(luge run str); COMP_CWORD=2; _luge; echo "${COMPREPLY[@]}"]],
    "bash", dir .. "/luge.bash", cwd = dir }
  t.equal({ r.code, r.stdout, r.stderr }, { 0, "--timeout\nplan\nstrict\n", "" })
  for _, shell in ipairs { "zsh", "fish" } do t.contains(luge({ "completion", shell }).stdout, "timeout") end
end)

t.test("doctor changes nothing and says what there is", function()
  local r = luge { "doctor" }
  t.ok(r.code == 0 or r.code == 1)
  t.contains(r.stdout, "user namespaces")
  local checks = t.json.decode(luge({ "doctor", "--json" }).stdout)
  t.equal(checks.schema, 1)
  t.ok(#checks.checks >= 8)
  box.nothing_left()
end)

t.test("output that cannot be written is an error, a closed pipe is none", function()
  for _, words in ipairs { "help", "version", "plan default", "plan --json default", "doctor --json", "completion bash" } do
    local code = t.run({ "/bin/sh", "-c", ("%q %s"):format(t.luge, words) }).code
    local r = t.run { "/bin/sh", "-c", ("%q %s > /dev/full"):format(t.luge, words) }
    t.equal(r.code, 125, words)
    t.contains(r.stderr, "No space left")
    r = t.run { "/bin/bash", "-c", ("%q %s | true; echo ${PIPESTATUS[0]}"):format(t.luge, words) }
    t.equal({ r.stdout, r.stderr }, { code .. "\n", "" }, words)
  end
end)

t.test("colour only on a terminal", function()
  local bad = t.profile "return container { sise = 1 }"
  t.lacks(luge({ "check", bad }).stderr, "\27")
end)

t.test("variables of Lua change nothing", function()
  local r = luge({ "version" }, { env = { LUA_INIT = "error('x')", LUA_INIT_5_3 = "error('y')", LUA_PATH = "/x/?.lua",
    LUA_CPATH = "/x/?.so" } })
  t.equal({ r.code, r.stderr }, { 0, "" })
end)
