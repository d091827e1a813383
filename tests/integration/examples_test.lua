-- SPDX-License-Identifier: MIT
-- Every example is run as its comment says, and must print what its comment says:
--   --   $ COMMAND                 a shell's, at the top of the checkout
--   --   what it prints, stdout and stderr; "…" stands for anything within a line
--   --   [exit code 124, reason wall]   the code where it is not 0; the reason is looked for in the run's report
-- examples/ci.lua says it in words: it is run with a small checkout, and by the demo with luge's own.

local S = require "syscall"
local t = dofile "tests/integration/harness.lua"
local apart = dofile "tests/integration/apart.lua"(t)

-- The runs that a file's comment tells: { command =, lines = { pattern… }, code =, reason = or nil }.
local function runs_of(path)
  local runs = {}
  for line in t.read(path):gmatch "[^\n]*" do
    local text = line:match "^%-%-   (.*)$"
    local current = runs[#runs]
    if text and text:find "^%$ " then
      runs[#runs + 1] = { command = text:sub(3), lines = {}, code = 0 }
    elseif text and current and not current.over then
      local code = text:match "^%[exit code (%d+)"
      if code then current.code, current.reason = tonumber(code), text:match ", reason ([%l_]+)%]$" end
      if not text:find "^%[exit code" then current.lines[#current.lines + 1] = text end
    elseif current then
      current.over = true
    end
  end
  return runs
end

-- "env…x" matches any line that starts with env and ends with x.
local function matches(line, wanted)
  local pattern = wanted:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("…", ".*")
  return line:find("^" .. pattern .. "$") ~= nil
end

local function compare(run, output)
  local got = {}
  for line in output:gmatch "([^\n]*)\n" do got[#got + 1] = line end
  for i = 1, math.max(#got, #run.lines) do
    t.ok(got[i] and run.lines[i] and matches(got[i], run.lines[i]),
      ("%s\nline %d: got %s, the comment says %s"):format(run.command, i, got[i] or "nothing", run.lines[i] or "nothing"))
  end
end

-- Has the run of a command write its report, where the comment tells the reason of its end.
local function with_report(run, directory, i)
  if not run.reason then return run.command end
  run.report = ("%s/%d.json"):format(directory, i)
  local command, n = run.command:gsub("luge run ", "%0--report " .. run.report .. " ", 1)
  t.equal(n, 1, "no luge run in: " .. run.command)
  return command
end

local function check_report(run)
  local report = t.ok(t.json.decode(t.ok(t.read(run.report), "no report")), "the report is no JSON")
  t.equal({ report.reason, report.exit_code }, { run.reason, run.code }, run.command)
  for _, row in ipairs(report.receipt) do t.ok(row.ok, row.field) end
end

-- One shell runs all of an example's commands, since one may use what another made.
local function try(path)
  local runs = runs_of(path)
  t.ok(#runs > 0, "the comment tells no command")
  local script, reports = { "exec 2>&1\n" }, t.dir()
  for i, run in ipairs(runs) do script[#script + 1] = with_report(run, reports, i) .. "\nprintf '\\a%s\\a' $?\n" end
  local bin = t.dir()
  t.must(S.symlink(t.luge, bin .. "/luge"))
  local r = t.run { "sh", "-c", table.concat(script), timeout = 60,
    env = { PATH = bin .. ":" .. os.getenv "PATH", LANG = false } }
  local outputs = {}
  for text, code in r.stdout:gmatch "([^\a]*)\a(%d+)\a" do outputs[#outputs + 1] = { text = text, code = tonumber(code) } end
  t.equal(#outputs, #runs, "commands that came to their end")
  for i, run in ipairs(runs) do
    compare(run, outputs[i].text)
    t.equal(outputs[i].code, run.code, run.command)
    if run.report then check_report(run) end
  end
end

-- What an example's cgroup takes, where an ordinary user may have none.
local CONTROLLERS = { ["limits-memory.lua"] = "memory", ["limits-pids.lua"] = "pids", ["limits-cpus.lua"] = "cpu",
  ["limits-cpuset.lua"] = "cpuset", ["limits-io.lua"] = "io", ["16-device.lua"] = "devices" }

-- An ordinary user's container is wired to those that were made for it: of one group, or of one private network.
local function refuses_wire()
  t.equal(t.run { "luge", "run", "-d", "--name", "net-router", "examples/01-hello.lua", "--", "sleep", "1000" }.code, 0)
  local r = t.run { "luge", "run", "examples/net-link.lua" }
  t.equal(r.code, 125, r.stderr)
  t.contains(r.stderr, "put both into one group, or run luge as root")
  t.equal(t.run { "luge", "rm", "-f", "net-router" }.code, 0)
  return false
end

-- Whether this user can have the example's limit; one who cannot is told so, with the way out.
local function allowed(name)
  if name == "net-link.lua" and not t.root then return refuses_wire() end
  if name:find "^net%-" and not t.root then
    local r = t.run { "luge", "plan", "examples/" .. name }
    if r.code == 0 then return true end
    t.equal(r.code, 125, r.stderr)
    local by_helper = name == "net-user.lua" or name == "net-internet.lua"
    t.contains(r.stderr, by_helper and "/dev/net/tun" or "= run luge as root")
    return false
  end
  local controller = CONTROLLERS[name]
  if not controller then return true end
  local layout = require("sandbox.plan.cgroup_layout").gather()
  local hierarchy = layout:find(controller) or controller == "devices" and t.root and layout.v2
  if hierarchy and layout:place(hierarchy, nil, S.geteuid()) then return true end
  local r = t.run { "luge", "run", "examples/" .. name }
  t.equal(r.code, 125, r.stderr)
  t.contains(r.stderr, "= ")
  if t.root then t.skip("no-" .. controller .. ": this host lacks what the example shows") end
  return false
end

local count = 0
for _, name in ipairs(t.must(S.dir "examples")) do
  if name:find "%.lua$" and name ~= "ci.lua" then
    count = count + 1
    t.test(name, function()
      if not allowed(name) then return end
      if name:find "^net%-" and t.root then -- links of a host that nobody else is on
        apart.run(function()
          t.must(require "netns".up "lo")
          try("examples/" .. name)
        end)
      else
        try("examples/" .. name)
      end
    end)
  end
end

t.test("there are ten at least", function() t.ok(count >= 10) end)

t.test("ci.lua builds a checkout that stays as it is", function()
  local source = t.dir()
  t.write(source .. "/Makefile", ".PHONY: check\nbuild/made:\n\techo text > $@; echo more > beside\n" ..
    "check:\n\ttest -s build/made && test -s beside && ! test -e build/old\n")
  t.must(S.mkdir(source .. "/build", "0755"))
  t.write(source .. "/build/old", "hidden")
  local r = t.succeed { "luge", "run", "-D", "SOURCE=" .. source, "examples/ci.lua", report = true }
  t.equal(r.report.reason, "exit")
  for _, row in ipairs(r.report.receipt) do t.ok(row.ok, row.field) end
  t.equal(S.dir(source), { "Makefile", "build" })
  t.equal(S.dir(source .. "/build"), { "old" })
end)

t.test("the demo builds and checks luge, and what was asked holds", function()
  local r = t.run { "luge", "lua", "tests/demo.lua", t.luge, timeout = 600 }
  t.equal(r.code, 0, r.stdout:sub(-2000) .. r.stderr:sub(-2000))
  t.matches(r.stdout, "\nok +no_new_privs ")
  t.lacks(r.stdout, "\nBAD")
  t.contains(r.stdout, "the checkout is as it was")
end)
