-- SPDX-License-Identifier: MIT
-- What luge tells about a container is made of what the container chose: no choice holds up who asks.

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

local function luge(side, words)
  -- Processor time, which a busy machine does not use up: what takes longer does not end.
  local command = { "/bin/sh", "-c", 'ulimit -t 3; exec "$@"', "sh", side.luge, table.unpack(words) }
  command.uid, command.cwd, command.env = side.uid, side.dir, { HOME = side.dir, LUGE_STATE = side.state, XDG_RUNTIME_DIR = false }
  return t.run(command)
end

local count = 0

-- A detached container that has become /guest sleep with what the shell's text leaves in "$@".
local function with_words(side, text, body)
  count = count + 1
  local name = ("told%d-%d"):format(S.getpid(), count)
  local r = luge(side, { "run", "-d", "--name", name, side:profile {}, "--", "/bin/sh", "-c",
    text .. '\nexec /guest sleep 100 "$@" end' })
  t.equal({ r.code, r.stdout }, { 0, name .. "\n" }, r.stderr)
  local ok, err = pcall(function()
    -- The kernel has the words later than the name.
    t.until_true("the words", function()
      return luge(side, { "exec", name, "--", "/bin/grep", "-qa", "^/guest", "/proc/2/cmdline" }).code == 0
    end)
    body(name)
  end)
  t.equal(luge(side, { "rm", "-f", "-t", "0", name }).code, 0)
  if not ok then error(err, 0) end
end

A.each("a command line of blanks or of nothing holds no luge top up", function(side)
  local blanks = [[text=$(printf '%130000s.' ''); text=${text%.}; set -- "$text" "$text" "$text" "$text" "$text" "$text" "$text"]]
  local nothing = [[set -- ''; n=0; while [ $n -lt 17 ]; do set -- "$@" "$@"; n=$((n+1)); done]]
  for _, text in ipairs { blanks, nothing } do
    with_words(side, text, function(name)
      for _, options in ipairs { { "top" }, { "top", "--json" } } do
        local r = luge(side, { table.unpack(options), name })
        t.equal({ r.code, r.stderr }, { 0, "" })
        t.ok(r.stdout:find("sleep 100 ", 1, true) and r.stdout:find(" end", 1, true), "the command line")
      end
    end)
  end
end)
