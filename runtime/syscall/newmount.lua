-- SPDX-License-Identifier: MIT
-- syscall.newmount: a file system made by the new mount API in one call.

local check = require "syscall.arguments"

return function(S)
  -- What the kernel wrote into the context's log: "e overlay: …" lines say what errno cannot.
  local function context_log(context)
    local lines = {}
    for _ = 1, 16 do
      local line = S.read(context, 1024)
      if not line or line == "" then break end
      lines[#lines + 1] = line:gsub("^%a ", ""):gsub("%s+$", "")
    end
    return lines[1] and table.concat(lines, "; ") or nil
  end

  local function failed(context, err, number)
    err.text = context_log(context)
    return nil, err, number
  end

  --- S.new_mount{ type =, options = { { key, value }… }, attrs = } -> fd
  -- A detached mount of a new file system: fsopen, an fsconfig for each option (true: a flag), fsmount. It is
  -- nobody's until move_mount and goes away with the descriptor. err.text is the kernel's own message. An
  -- overlay that came up read-only although it has an upper directory is an error (EROFS): the kernel itself
  -- only says so in its log. Source: fsopen(2), mount_setattr(2) for attrs.
  function S.new_mount(how)
    check.string(check.table(how, "#1").type, "'type'")
    local context, err, number = S.fsopen(how.type, "cloexec")
    if not context then return nil, err, number end
    local ok, has_upper
    ok, err, number = S.fsconfig(context, "set_string", "source", how.source or how.type)
    for _, option in ipairs(how.options or {}) do
      if not ok then return failed(context, err, number) end
      local key, value = option[1], option[2]
      has_upper = has_upper or key == "upperdir"
      if value == true then
        ok, err, number = S.fsconfig(context, "set_flag", key)
      else
        ok, err, number = S.fsconfig(context, "set_string", key, tostring(value))
      end
    end
    if ok then ok, err, number = S.fsconfig(context, "cmd_create") end
    if not ok then return failed(context, err, number) end
    local mount
    mount, err, number = S.fsmount(context, "cloexec", how.attrs)
    if not mount then return failed(context, err, number) end
    if has_upper and S.fstatfs(mount).flags & S.c.ST.RDONLY ~= 0 then
      return S.failure("ROFS", "the kernel could not set up the upper directory and mounted read-only")
    end
    return mount
  end
end
