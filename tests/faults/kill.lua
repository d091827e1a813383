-- SPDX-License-Identifier: MIT
-- SIGKILL before and after the calls of a scenario (faults.lua), and what must hold then.
--
--   local sweep = dofile "tests/faults/kill.lua"(t, f)
--   sweep(s, { "luge", "child" }, 160)      -- so many points of these processes' calls; in a soak all of them

return function(t, f)
  local LUGE = { luge = true, caller = true, monitor = true }

  -- Whether the run may end so, where a process of this name was killed.
  local function right_code(s, call, r)
    if call.name == "luge" or call.name == "caller" then return r.code == 137 end
    -- The caller hears of its monitor's end, unless the command ran before.
    if call.name == "monitor" then return r.code == 125 and r.stderr ~= "" or r.code == 0 end
    if s.detached then return r.code == 0 or r.code == 125 and r.stderr ~= "" or r.code == 137 end
    return r.code == 137 or r.code == 125 and r.stderr:find("^luge: ") or r.code == 0 and r.stdout == s.expected
  end

  -- Words where a point went wrong.
  local function try(s, call, where)
    local r = s:trace("--kill", call.role, tostring(call.index), where)
    s.tried = s.tried + 1
    local at = ("%s: killed %s %s"):format(s.name, where == "entry" and "before" or "after", f.describe(call))
    if r.hung[1] then
      s:settle()
      return ("%s: hangs: %s"):format(at, table.concat(r.hung, ", "))
    end
    if not r.hit then
      local why = s:settle()
      return why and ("%s: %s"):format(at, why)
    end
    s.hits = (s.hits or 0) + 1
    local wrong = not right_code(s, call, r) and ("ended with %d: %s"):format(r.code, r.stderr)
    if not LUGE[call.name] and not s.detached and not wrong and #s:files() > 0 then wrong = "state was left without gc" end
    wrong = s:settle() or wrong
    return wrong and ("%s: %s"):format(at, wrong)
  end

  -- Kills at a sample of the calls of these processes.
  local function sweep(s, names, most)
    local points, faults = {}, {}
    local calls = s:count()
    for _, call in ipairs(f.of(calls, names, s.only)) do
      points[#points + 1] = { call, "entry" }
      points[#points + 1] = { call, "exit" }
    end
    for _, point in ipairs(f.sample(points, most)) do
      local fault = try(s, table.unpack(point))
      if fault then faults[#faults + 1] = fault end
    end
    f.conclude(s, table.concat(names, ", "), faults)
    t.ok((s.hits or 0) * 10 >= s.tried * 9, "too many points were not met: " .. (s.hits or 0))
  end

  return sweep
end
