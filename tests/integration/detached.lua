-- SPDX-License-Identifier: MIT
-- Detached containers for the tests: started, asked, and an end to which nothing is left of them.
--
--   local d = dofile "tests/integration/detached.lua"(t, box)
--   d.start("det-web", { shell = "exec sleep 1000" })
--
-- A container's name is that of its cgroups, which all of the machine share: what is "det-" in a test is that and the
-- test's pid outside, so that suites that run at once do not meet.

local S = require "syscall"

return function(t, box)
  local OWN = ("det%d-"):format(S.getpid())
  local M = { prefix = OWN } -- of the names of a script's containers: cgroups of others' may be there

  --- The text with the names that containers really have.
  function M.own(text) return (text:gsub("det%-", OWN)) end

  --- And with those of the test.
  function M.plain(text) return (text:gsub("det%d+%-", "det-")) end

  local function words_of(...)
    local words = { "luge", ... }
    for i, word in ipairs(words) do words[i] = M.own(word) end
    words.env = { LUGE_STATE = box.state }
    return words
  end

  local function plain_result(r)
    r.stdout, r.stderr = M.plain(r.stdout), M.plain(r.stderr)
    return r
  end

  --- `luge WORDS…` in the script's state directory.
  function M.luge(...) return plain_result(t.run(words_of(...))) end

  --- The same, which must succeed: what it printed.
  function M.ok(...) return plain_result(t.succeed(words_of(...))).stdout end

  --- What `luge gc` has taken away of the script's containers. Numbers of ranges and networks are those of all luges of
  -- the machine, and others may be killed while we look.
  function M.gc()
    local own = {}
    for line in M.ok "gc":gmatch "[^\n]+\n" do
      if line:find "^det%-" then own[#own + 1] = line end
    end
    return table.concat(own)
  end

  --- The same, as JSON.
  function M.json(...) return t.ok(t.json.decode(M.ok(...)), "no JSON") end

  --- The words of a run in the foreground; how: as of box.words.
  function M.words(how)
    local words = box.words(how)
    for i, word in ipairs(words) do words[i] = M.own(word) end
    return words
  end

  --- `run -d --name NAME`; how: as of box.words. Its result.
  function M.run(name, how)
    local words = { options = table.move(how.options or {}, 1, #(how.options or {}), 4, { "-d", "--name", name }) }
    for key, value in pairs(how) do words[key] = words[key] or value end
    return plain_result(t.run(M.words(words)))
  end

  function M.start(name, how)
    local r = M.run(name, how)
    t.equal({ r.code, r.stdout, r.stderr, r.held }, { 0, name .. "\n", "" })
  end

  --- The container as ps knows it, or nil.
  function M.seen(name)
    for _, row in ipairs(M.json("ps", "-a", "--json").containers) do
      if row.name == name then return row end
    end
  end

  M.until_true = t.until_true

  --- Everything that was started has ended, and its processes, children of the test by now, are gone.
  function M.reap()
    M.until_true("the end of every process", function()
      local pid, err
      repeat pid, err = S.wait4(-1, "nohang") until not pid or pid == 0 -- a soak leaves thousands
      return pid == nil and err.CHILD
    end)
  end

  --- SIGKILL for the luge of a container; its processes end with it.
  function M.lose(name)
    local row = M.seen(name)
    S.kill(row.luge, "kill")
    M.until_true("the end of the luge", function() return not S.kill(row.luge, 0) or M.is_zombie(row.luge) end)
    return row
  end

  -- Who has been let in at the socket of a container, "socket:[…]" as keys: of all that its luge opens nothing else has that
  -- address.
  local function clients(row)
    local ours, inside = {}, {}
    for line in S.readfile("/proc/net/unix"):gmatch "[^\n]+" do
      local inode = line:match("(%d+) [^ ]*/" .. M.own(row.name):gsub("[-.]", "%%%0") .. "%.sock$")
      if inode then ours[("socket:[%s]"):format(inode)] = true end
    end
    for _, number in ipairs(S.dir(("/proc/%d/fd"):format(row.luge)) or {}) do
      local socket = S.readlink(("/proc/%d/fd/%s"):format(row.luge, number))
      if socket and ours[socket] then inside[socket] = true end
    end
    return inside
  end

  --- Starts `luge WORDS…` beside, which waits for the end of a container that is known by its row of ps: when this
  -- returns, the container's luge has it among its clients.
  function M.beside(row, ...)
    local before = clients(row)
    local process = t.start(words_of(...))
    M.until_true("a client", function()
      for socket in pairs(clients(row)) do
        if not before[socket] then return true end -- one of those may be on its way out
      end
    end)
    return process
  end

  function M.is_zombie(pid)
    return (S.readfile(("/proc/%d/stat"):format(pid)) or ") Z"):match("^.*%) (%a)") == "Z"
  end

  --- A test that, when it fails, leaves no container to run on.
  function M.test(name, body)
    t.test(name, function()
      local ok, err = pcall(body)
      if ok then return end
      M.luge("rm", "--force", "--all", "-t", "1s")
      error(err, 0)
    end)
  end

  --- No file of state, no process, no mount, no cgroup.
  function M.nothing_left()
    M.reap()
    box.nothing_left()
    for _, at in ipairs(S.dir "/sys/fs/cgroup" or {}) do
      for _, name in ipairs(S.dir(("/sys/fs/cgroup/%s/luge"):format(at)) or {}) do
        t.lacks(name, M.prefix, "a cgroup is left in " .. at)
      end
    end
  end

  return M
end
