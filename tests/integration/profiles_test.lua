-- SPDX-License-Identifier: MIT
-- The profiles that come with luge do what their first lines say. distro_test.lua has distro's own tests.

local S = require "syscall"
local t = dofile "tests/integration/harness.lua"

-- The shell's words in a shipped profile; extra words go before its name.
local function sh(name, script, extra)
  local words = { "luge", "run" }
  table.move(extra or {}, 1, #(extra or {}), 3, words)
  for _, word in ipairs { name, "--", "sh", "-c", script } do words[#words + 1] = word end
  for key, value in pairs(extra or {}) do
    if type(key) == "string" then words[key] = value end
  end
  return t.run(words)
end

local function output(...)
  local r = sh(...)
  t.equal(r.code, 0, r.stdout .. r.stderr)
  return r.stdout
end

local function lines_of(text)
  return select(2, text:gsub("\n", "\n"))
end

for _, file in ipairs(t.must(S.dir "profiles")) do
  local name = file:match "^(.*)%.lua$"
  if name then
    t.test(name .. " is short, good, and says what it is for", function()
      local text = t.read("profiles/" .. file)
      t.ok(lines_of(text) <= 40, "40 lines at most")
      t.contains(text, "description = ")
      t.succeed { "luge", "check", name }
      t.succeed { "luge", "check", "profiles/" .. file }
    end)
  end
end

-- ---- default ----

t.test("default: the host's programs, none of its files, no network", function()
  local secret = t.write(t.dir() .. "/secret", "of the host", "0644")
  t.equal(output("default", "ls /home /tmp /root 2>/dev/null; test -e " .. secret .. " && echo seen; true"),
    "/root:\n\n/tmp:\n")
  t.equal(output("default", "tail -n +3 /proc/net/dev | tr -d ' ' | cut -d: -f1"), "lo\n")
  t.differs(sh("default", "echo x > /usr/luge-was-here").code, 0)
  t.equal(output("default", "echo $$; ls -d /proc/[0-9]* | wc -l"):match "^%d+", "2")
end)

-- ---- shell ----

t.test("shell: words from standard input", function()
  local r = t.run { "luge", "run", "shell", stdin = "id -u; echo $PS1\nexit 3\n" }
  t.equal(r.code, 3)
  t.contains(r.stdout, "0\nluge$")
end)

t.test("shell: on a terminal", function()
  local master = t.must(S.open("/dev/ptmx", "rdwr, noctty"))
  t.must(S.unlockpt(master))
  local terminal = t.must(S.ptpeer(master, "rdwr, noctty"))
  local process = t.start { "luge", "run", "shell", timeout = 30, env = { TERM = "vt100" }, before = function()
    for number = 0, 2 do S.dup3(terminal, number) end
  end }
  S.write(master, "echo $((6 * 7)) $TERM; exit 4\n")
  t.equal(process:wait().code, 4)
  local said = t.must(S.read(master, 65536))
  t.contains(said, "luge$ ")
  t.contains(said, "42 vt100")
  t.lacks(said, "job control")
end)

-- ---- ci ----

t.test("ci: debuggers, variables, a limit of time", function()
  local guest = { "--bind", t.guest .. ":/guest" }
  local trace = "sleep 9 & /guest try ptrace $!"
  t.contains(output("ci", trace, guest), '"errno":null')
  t.contains(output("default", trace, guest), '"errno":"EPERM"')
  t.equal(output("ci", "echo $CI $CI_JOB $HIDDEN", { env = { CI = "true", CI_JOB = "7", HIDDEN = "x" } }), "true 7\n")
  local r = sh("ci", "sleep 30", { "--timeout", "500ms" })
  t.equal(r.code, 124)
  t.contains(r.stderr, "time was up after 0.5s")
end)

t.test("ci: a compiler, its sanitizers, and a program of its own", function()
  local text = "int main(void) { return 0; }"
  t.equal(output("ci", ("cd /tmp && echo '%s' > a.c && gcc -fsanitize=address,undefined a.c && ./a.out && echo ran"):format(text)),
    "ran\n")
end)

-- ---- strict ----

t.test("strict: a filter that can do little else", function()
  local r = t.run { "luge", "run", "strict", "--", "tr", "a-z", "A-Z", stdin = "text\n" }
  t.equal(r.stdout, "TEXT\n")
  t.equal(output("strict", "id -u; ulimit -n; ulimit -c; df -m --output=size /tmp | tail -n 1 | tr -d ' '"),
    "65534\n256\n0\n64\n")
  t.equal(output("strict", "cd /tmp && cp /bin/true . && ./true 2>/dev/null || echo refused"), "refused\n")
  local facts = t.decoded { "luge", "run", "--bind", t.guest .. ":/guest", "strict", "--", "/guest", "try", "socket",
    "1", "1", "0" }
  t.equal(facts.errno, "EPERM")
end)

-- ---- compute ----

local PROGRAM = [[
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
	double sum = 0, *table = malloc(8 << 20);
	struct timespec now;

	for (int i = 0; i < 1 << 20; i++)
		table[i] = 1.0 / ((double)i + 1);
	for (int i = 1 << 20; i-- > 0;)
		sum += table[i];
	printf("%.4f %d", sum, clock_gettime(CLOCK_MONOTONIC, &now));
	printf(" %d", fork() < 0 ? 1 : 0);
	printf(" %d\n", socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? 1 : 0);
	return 5;
}
]]

t.test("compute: a static program computes, and no more", function()
  local dir = t.dir()
  t.write(dir .. "/solve.c", PROGRAM)
  t.succeed { "gcc", "-O1", "-static", "-o", dir .. "/solve", dir .. "/solve.c" }
  local r = t.run { "luge", "run", "--bind", dir .. "/solve:/solve", "compute", "--", "/solve", report = true }
  t.equal(r.stdout, "14.4402 0 1 1\n", r.stderr)
  t.equal(r.code, 5)
  for _, row in ipairs(r.report.receipt) do t.ok(row.ok, row.field .. ": " .. tostring(row.got)) end
end)

-- ---- distro ----

t.test("distro: without its directory", function()
  local r = t.run { "luge", "run", "distro", "--", "true", cwd = t.dir() }
  t.equal(r.code, 125)
  t.contains(r.stderr, "/rootfs does not exist")
end)

t.test("distro: a relative ROOT starts where luge was called", function()
  local dir = t.dir()
  local r = t.run { "luge", "run", "-D", "ROOT=trees/none", "distro", "--", "true", cwd = dir }
  t.equal(r.code, 125)
  t.contains(r.stderr, dir .. "/trees/none does not exist")
end)
