-- SPDX-License-Identifier: MIT
-- Groups for the tests: their text, and runs of them in the foreground in the script's state directory (box.lua).
--
--   local groups = dofile "tests/integration/groups.lua"(t, box)
--   local r = groups.run("main = 'main', ", { main = groups.sh("exit 7", "needs = { db = 'started' }"), db = … })

return function(t, box)
  local M = {}

  M.FOR_EVER = "trap 'exit 0' TERM; while :; do sleep 0.01; done"

  --- A container's text: the shell's words, and more fields.
  function M.sh(script, more) return ("container { command = { '/bin/sh', '-c', %q }, %s }"):format(script, more or "") end

  --- The path of a group: its fields and its containers, name → text.
  function M.path(fields, containers)
    local lines = {}
    for name, text in pairs(containers) do lines[#lines + 1] = ("  [%q] = %s,"):format(name, text) end
    table.sort(lines)
    return t.profile(("return group { %s containers = {\n%s\n} }\n"):format(fields, table.concat(lines, "\n")))
  end

  --- The command line of a run; more: as of t.run.
  function M.words(path, options, more)
    local list = { "luge", "run" }
    for _, word in ipairs(options or {}) do list[#list + 1] = word end
    list[#list + 1] = path
    list.env = { LUGE_STATE = box.state }
    for key, value in pairs(more or {}) do list[key] = value end
    return list
  end

  --- Runs it, after which nothing is left.
  function M.run(fields, containers, options, more)
    local r = t.run(M.words(M.path(fields, containers), options, more))
    box.nothing_left()
    return r
  end

  function M.start(fields, containers, options) return t.start(M.words(M.path(fields, containers), options)) end

  --- A run that is refused, with a message that has each of the parts.
  function M.refused(fields, containers, ...)
    local r = M.run(fields, containers)
    t.equal({ r.code, r.stdout }, { 125, "" }, r.stderr)
    for _, part in ipairs { ... } do t.contains(r.stderr, part) end
    t.lacks(r.stderr, "traceback")
  end

  return M
end
