-- SPDX-License-Identifier: MIT
-- Containers for the tests: a profile's text, the guest inside, and a look at what is left when it is over.
--
--   local box = dofile "tests/integration/box.lua"(t)
--   local r = box.run { "exit", "7", body = "init = false", options = { "--timeout", "5s" } }
--   local facts = box.facts { "/tmp", body = 'user = "5:6"' }
--
-- The words are the guest's; `shell = "…"` runs /bin/sh -c instead, `words = { … }` anything. Each run has a
-- state directory of the script's own, which must be empty when luge has ended; processes that luge leaves
-- behind become children of the test, which is a subreaper.

local S = require "syscall"

return function(t)
  local M = {}

  S.prctl("set_child_subreaper", 1)
  -- Numbers of processes come again.
  local scratch = ("%s/luge-box-%d-%x"):format(os.getenv "TMPDIR" or "/tmp", S.getpid(), S.clock_gettime "realtime" * 1000 // 1 | 0)
  M.state = scratch
  t.must(S.mkdir(scratch, "0700"))
  -- The directory goes with the script, whichever way it ends.
  M.keeper = setmetatable({}, { __gc = function() t.remove_tree(scratch) end })

  --- The text of a profile: its body, with the guest bound to /guest unless guest = false.
  function M.text(body, guest)
    local bound = guest == false and "" or ("container { mounts = { bind { %q, '/guest' } } },"):format(t.guest)
    return "return container { " .. bound .. "\n" .. (body or "") .. "\n}\n"
  end

  local function mounts_of_tests()
    local lines = {}
    for line in (S.readfile "/proc/self/mountinfo" or ""):gmatch "[^\n]+" do
      if line:find("luge-test-", 1, true) or line:find(scratch, 1, true) then lines[#lines + 1] = line end
    end
    return lines
  end

  --- Nothing is left of any container: no process, no mount, no file of state.
  function M.nothing_left(what)
    what = what or "what is left"
    t.equal(S.dir(scratch), {}, what .. ": files of state")
    local pid, status = S.wait4(-1, "nohang")
    if pid and pid ~= 0 and status then error(what .. ": a process was left behind: " .. pid, 2) end
    if pid == 0 or pid == false then error(what .. ": a process is still running", 2) end
    t.equal(mounts_of_tests(), {}, what .. ": mounts")
  end

  --- The command line of a run (see above); `verb` is run unless given.
  function M.words(how)
    local words = { "luge", how.verb or "run" }
    for _, word in ipairs(how.options or {}) do words[#words + 1] = word end
    words[#words + 1] = how.profile or t.profile(M.text(how.body, how.guest))
    local given = how.words or how.shell and { "/bin/sh", "-c", how.shell } or #how > 0 and { "/guest", table.unpack(how) }
    if given then
      words[#words + 1] = "--"
      for _, word in ipairs(given) do words[#words + 1] = word end
    end
    words.env = { LUGE_STATE = scratch }
    for name, value in pairs(how.env or {}) do words.env[name] = value end
    for _, key in ipairs { "stdin", "cwd", "uid", "fds", "before", "timeout", "report",
      "keep_input" } do words[key] = how[key] end
    return words
  end

  function M.start(how) return t.start(M.words(how)) end

  function M.run(how)
    local r = t.run(M.words(how))
    M.nothing_left()
    return r
  end

  function M.succeed(how)
    local r = M.run(how)
    if r.code ~= 0 then error(("ended with %d: %s%s"):format(r.code, r.stdout, r.stderr), 2) end
    return r
  end

  --- The last line of what a shell or the guest said.
  function M.says(how)
    return (M.succeed(how).stdout:gsub("\n$", ""))
  end

  --- The facts that the guest finds inside; the words are paths to write to.
  function M.facts(how)
    local words = table.move(how, 1, #how, 2, { "facts" })
    for key, value in pairs(how) do
      if type(key) == "string" then words[key] = value end
    end
    local r = M.succeed(words)
    return t.ok(t.json.decode(r.stdout), "no JSON: " .. r.stdout)
  end

  --- One call of the guest inside: { result =, errno = … }.
  function M.try(words, how)
    how = how or {}
    local all = table.move(words, 1, #words, 2, { "try" })
    for key, value in pairs(how) do all[key] = value end
    return t.json.decode(M.succeed(all).stdout)
  end

  --- A start that fails: code (125), no output of a command, a message with each of the parts, nothing left.
  function M.refused(how, ...)
    local r = M.run(how)
    t.equal(r.code, how.code or 125, r.stderr)
    t.equal(r.stdout, "", "the command's output")
    for _, part in ipairs { ... } do t.contains(r.stderr, part) end
    t.lacks(r.stderr, "traceback")
    t.lacks(r.stderr, ".lua:%d+: bad argument")
    return r
  end

  return M
end
