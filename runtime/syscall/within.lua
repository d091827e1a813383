-- SPDX-License-Identifier: MIT
-- syscall.within: what an ordinary user may do in a user namespace of his own, by a copy of the process that enters it: there
-- he has every capability, outside none. The process itself stays where it is, since there is no way back.

local check = require "syscall.arguments"

return function(S)
  local RESULT = "<i4" -- a pid, or an errno below zero

  local function check_where(where)
    check.table(where, "#1")
    for _, kind in ipairs { "user", "net" } do
      local namespace = where[kind]
      if namespace ~= nil and type(namespace) ~= "userdata" and math.type(namespace) ~= "integer" then
        check.fail(("'%s'"):format(kind), "a descriptor or a pid", namespace)
      end
    end
  end

  local function enter(where)
    for _, kind in ipairs { "user", "net" } do
      local namespace, err, ok = where[kind], nil, nil
      if math.type(namespace) == "integer" then namespace, err = S.pidfd_open(namespace) end
      if namespace then ok, err = S.setns(namespace, "new" .. kind) end
      if where[kind] and not ok then return nil, err end
    end
    return true
  end

  --- S.clone_within({ user=fd, net=fd }, { flags=, cgroup= }) -> pid, pidfd | 0 in the child
  -- As S.clone3, but the child is born in the user namespace, and in the network namespace where one is given, that the
  -- descriptors name; new ones that flags name belong to that user namespace. It is our child all the same, not the
  -- copy's that made it. Errors: as of S.clone3 and S.setns.
  function S.clone_within(where, how)
    check_where(where)
    check.string(check.table(how, "#2").flags, "'flags'")
    local r, w, number = S.pipe "cloexec"
    if not r then return nil, w, number end
    local copy, err
    copy, err, number = S.fork()
    if not copy then return nil, err, number end
    if copy == 0 then
      local pid
      pid, err = enter(where)
      if pid then
        local flags = "parent" .. (how.flags ~= "" and ", " .. how.flags or "")
        pid, err = S.clone3 { flags = flags, exit_signal = 0, cgroup = how.cgroup }
      end
      if pid == 0 then return 0 end
      S.write(w, RESULT:pack(pid or -err.errno))
      S.exit(0)
    end
    w:close()
    local data = S.read(r, RESULT:packsize())
    r:close()
    S.waitid("pid", copy, "exited")
    local pid = data and #data == RESULT:packsize() and RESULT:unpack(data) or -S.c.E.CHILD
    if pid < 0 then return nil, S.error(-pid), -pid end
    local pidfd
    pidfd, err, number = S.pidfd_open(pid)
    if not pidfd then return nil, err, number end
    return pid, pidfd
  end

  local function find(op)
    local f = S
    for name in check.string(op, "#2"):gmatch "[^.]+" do f = type(f) == "table" and f[name] or nil end
    return type(f) == "function" and f or check.fail("#2", "the name of a function of this layer", op)
  end

  --- S.within({ user=fd, net=fd }, op, …) -> true
  -- Calls a function of this layer, by its name ("nl.veth"), with the arguments that follow, in those namespaces, descriptors or
  -- pids of processes that are in them. Its value is data: no descriptor comes back. Errors: those of the function, and of S.setns.
  function S.within(where, op, ...)
    check_where(where)
    local call = find(op)
    local r, w, number = S.pipe "cloexec"
    if not r then return nil, w, number end
    local copy, err
    copy, err, number = S.fork()
    if not copy then return nil, err, number end
    if copy == 0 then
      local args = table.pack(...)
      local said = {}
      local ok, why = pcall(function()
        local value, wrong = enter(where)
        if value then value, wrong = call(table.unpack(args, 1, args.n)) end
        if value == nil then said = { errno = wrong.errno, text = rawget(wrong, "text") } else said = { value = value } end
      end)
      if not ok then said = { bug = tostring(why) } end
      S.write(w, require("luge.json").encode(said))
      S.exit(0)
    end
    w:close()
    local said = require("luge.json").decode(S.read_all(r) or "")
    r:close()
    S.waitid("pid", copy, "exited")
    if type(said) ~= "table" then return S.failure("CHILD", "the copy ended without a word") end
    if said.bug then error(said.bug, 2) end
    if said.errno then
      err = S.error(said.errno)
      err.text = said.text
      return nil, err, said.errno
    end
    return said.value
  end
end
