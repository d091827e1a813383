-- SPDX-License-Identifier: MIT
-- syscall.accounts: users and groups of a root directory that somebody else may have filled.
--
-- The files are opened inside the root, must be regular and are read up to a cap; a line that is not well
-- formed, or holds a NUL, counts as absent.

local check = require "syscall.arguments"

return function(S)
  local CAP = 4 * 1024 * 1024

  local function read_regular(root, path)
    local fd, err, number = S.openat2(root, path, { flags = "rdonly, nonblock, noctty, cloexec",
      resolve = "in_root, no_magiclinks" })
    if not fd then return nil, err, number end
    local st
    st, err, number = S.fstat(fd)
    if not st then return nil, err, number end
    if st.type ~= "file" then return S.failure("INVAL", path .. " is no regular file") end
    if st.size > CAP then return S.failure("FBIG", path .. " is over 4 MiB") end
    local parts, total = {}, 0
    while total <= CAP do
      local part
      part, err, number = S.read(fd, 65536)
      if not part then return nil, err, number end
      if part == "" then break end
      parts[#parts + 1] = part
      total = total + #part
    end
    fd:close()
    return table.concat(parts)
  end

  -- Whether there is no such file for us, rather than one that the kernel could not read now.
  local function is_without(err)
    return rawget(err, "text") or err.NOENT or err.NOTDIR or err.ACCES or err.LOOP or err.XDEV or err.NXIO
  end

  local function id_of(text)
    local digits = text:match "^0*(%d+)$"
    local id = digits and #digits <= 10 and tonumber(digits) -- more would begin again at 0
    if id and id < 4294967295 then return id end
  end

  local function passwd_entry(text, match)
    for line in text:gmatch("[^\n]+") do
      local name, uid, gid, home = line:match("^([^:]+):[^:]*:(%d+):(%d+):[^:]*:([^:]*)")
      uid, gid = id_of(uid or ""), id_of(gid or "")
      if uid and gid and not line:find("\0", 1, true) and match(name, uid) then
        return { name = name, uid = uid, gid = gid, home = home:sub(1, 1) == "/" and home or "/" }
      end
    end
  end

  local function groups_of(text, user, found)
    for line in text:gmatch("[^\n]+") do
      local name, gid, members = line:match("^([^:]+):[^:]*:(%d+):(.*)$")
      gid = id_of(gid or "")
      if gid then
        found.by_name[name] = found.by_name[name] or gid
        if user and ("," .. members .. ","):find("," .. user .. ",", 1, true) then
          found.list[#found.list + 1] = gid
        end
      end
    end
    return found
  end

  --- S.lookup_user(root, want) -> { uid, gid, groups, home, name }
  -- Who `want` is in the passwd and group files below the directory `root` (a path or descriptor). want is
  -- { name = "build" } or { uid =, gid = }, with group_name = where the group is named and groups = { … } where
  -- they are given. An unknown name is ENOENT with err.text; an unknown number is itself, with home "/".
  function S.lookup_user(root, want)
    check.table(want, "#2")
    if want.name ~= nil then check.string(want.name, "'name'") else check.integer(want.uid, "'uid'") end
    local dir, err, number = root, nil, nil
    if type(root) == "string" then dir, err, number = S.open(root, "path, directory, cloexec") end
    if not dir then return nil, err, number end
    local passwd, why, code = read_regular(dir, "/etc/passwd")
    if not passwd and not is_without(why) then return nil, why, code end
    local unread = not passwd and rawget(why, "text")
    local groups
    groups, why, code = read_regular(dir, "/etc/group")
    if not groups and not is_without(why) then return nil, why, code end
    local user = passwd_entry(passwd or "", function(name, uid)
      if want.name then return name == want.name end
      return uid == want.uid
    end)
    if not user and want.name then
      return S.failure("NOENT", passwd and ("no user '%s' in its /etc/passwd"):format(want.name)
        or "it has no readable /etc/passwd" .. (unread and ": " .. unread or ""))
    end
    user = user or { uid = want.uid, gid = want.gid or want.uid, home = "/" }
    local found = groups_of(groups or "", user.name, { by_name = {}, list = {} })
    user.gid = want.gid or user.gid
    if want.group_name then
      user.gid = found.by_name[want.group_name]
      if not user.gid then
        return S.failure("NOENT", ("no group '%s' in its /etc/group"):format(want.group_name))
      end
    end
    user.groups = want.groups or found.list
    return user
  end
end
