-- SPDX-License-Identifier: MIT
-- syscall.tree: names below a root that somebody else may have filled with traps.
--
-- Every component is resolved inside the root (RESOLVE_IN_ROOT) and never through a magic link, so a
-- symlink in the tree cannot lead out of it; what is opened is an O_PATH descriptor to mount on.

local check = require "syscall.arguments"

return function(S)
  local IN_ROOT = "in_root, no_magiclinks"

  local function open_path(root, path)
    return S.openat2(root, path, { flags = "path, cloexec", resolve = IN_ROOT })
  end

  local function parent_of(path)
    local parent, name = path:match("^(.-)/*([^/]+)/*$")
    return parent == "" and "/" or parent, name
  end

  --- S.open_in_root(root, path, how) -> fd
  -- An O_PATH descriptor of `path` below the directory `root`. how.create = "directory" or "file" makes what
  -- is missing, parents included, with how.mode (default "0755", "0644"). Errors: as openat2(2).
  function S.open_in_root(root, path, how)
    check.string(path, "#2")
    check.options(how, "#3")
    local fd, err, number = open_path(root, path)
    local create = how and how.create
    if fd or not create or not err.NOENT then return fd, err, number end
    local above, name = parent_of(path)
    local parent
    parent, err, number = S.open_in_root(root, above, { create = "directory" })
    if not parent then return nil, err, number end
    if create == "directory" then
      local ok
      ok, err, number = S.mkdirat(parent, name, how.mode or "0755")
      if not ok and not err.EXIST then return nil, err, number end
    else
      local file
      file, err, number = S.openat(parent, name, "creat, excl, wronly, nofollow", how.mode or "0644")
      if not file then return nil, err, number end
      file:close()
    end
    return open_path(root, path)
  end

  -- A new file below `root`; the directories above it are made when they turn out to be missing.
  local function create(root, path, mode)
    local how = { flags = "creat, excl, wronly, nofollow, cloexec", mode = mode or "0644", resolve = IN_ROOT }
    local file, err, number = S.openat2(root, path, how)
    if file or not err.NOENT then return file, err, number end
    local parent
    parent, err, number = S.open_in_root(root, (parent_of(path)), { create = "directory" })
    if not parent then return nil, err, number end
    return S.openat2(root, path, how)
  end

  --- S.put_file(root, path, text, how) -> true
  -- Makes a new file below `root` with `text` as content and how.mode; an existing name is an error (EEXIST)
  -- unless how.replace, which removes it first.
  function S.put_file(root, path, text, how)
    check.string(path, "#2")
    check.text(text, "#3")
    how = check.options(how, "#4")
    if how.replace then
      local above, name = parent_of(path)
      local parent = open_path(root, above)
      if parent then S.unlinkat(parent, name) end
    end
    local file, err, number = create(root, path, how.mode)
    if not file then return nil, err, number end
    local sent = 0
    while sent < #text do
      local n
      n, err, number = S.write(file, sent == 0 and text or text:sub(sent + 1))
      if not n then return nil, err, number end
      sent = sent + n
    end
    file:close()
    return true
  end

  --- S.put_symlink(root, path, target) -> true
  -- Makes the symbolic link `path` below `root`; an existing name is an error (EEXIST).
  function S.put_symlink(root, path, target)
    check.string(path, "#2")
    local above, name = parent_of(path)
    local parent, err, number = S.open_in_root(root, above, { create = "directory" })
    if not parent then return nil, err, number end
    return S.symlinkat(target, parent, name)
  end

  --- S.chown_in_root(root, path, uid, gid) -> true
  -- Changes the owner of what `path` is below `root`; a symbolic link at its end is not followed out.
  function S.chown_in_root(root, path, uid, gid)
    local fd, err, number = open_path(root, path)
    if not fd then return nil, err, number end
    return S.fchownat(fd, "", uid, gid, "empty_path")
  end

  --- S.ensure_directory(path, mode, uid, gid) -> true
  -- Makes a host directory unless it is there; a new one gets mode and, where given, owner. An existing name
  -- that is no directory is ENOTDIR.
  function S.ensure_directory(path, mode, uid, gid)
    local ok, err, number = S.mkdir(path, mode or "0755")
    if ok and uid then return S.lchown(path, uid, gid) end
    if ok then return true end
    if not err.EXIST then return nil, err, number end
    local st = S.stat(path)
    if st and st.type == "directory" then return true end
    return S.failure("NOTDIR")
  end

  --- S.copy_file(source, root, path) -> true
  -- Copies a regular file to a new file below `root`, mode 0644.
  function S.copy_file(source, root, path)
    check.string(path, "#3")
    local from, err, number = S.open(source, "rdonly")
    if not from then return nil, err, number end
    local to, copied
    to, err, number = create(root, path)
    if not to then return nil, err, number end
    repeat
      copied, err, number = S.sendfile(to, from, nil, 1 << 20)
      if not copied then return nil, err, number end
    until copied == 0
    from:close()
    to:close()
    return true
  end

  --- S.expect_device(fd, type, major, minor) -> true
  -- Succeeds when fd is the device node that it is said to be; otherwise ENODEV.
  function S.expect_device(fd, kind, major, minor)
    local st, err, number = S.fstat(fd)
    if not st then return nil, err, number end
    local rdev = st.rdev or {}
    if st.type == kind and rdev.major == major and rdev.minor == minor then return true end
    return S.failure("NODEV")
  end

  --- S.expect_bare_root() -> true
  -- Succeeds when nothing is mounted over the root directory of the process; otherwise EBUSY. A lookup of "/"
  -- itself stays below such a mount, one of "/.." steps onto it. Source: path_resolution(7), fs/namei.c.
  function S.expect_bare_root()
    local root, err, number = S.statx(nil, "/", nil, "basic_stats, mnt_id")
    if not root then return nil, err, number end
    local over
    over, err, number = S.statx(nil, "/..", nil, "basic_stats, mnt_id")
    if not over then return nil, err, number end
    if over.mnt_id == root.mnt_id and over.ino == root.ino then return true end
    return S.failure("BUSY")
  end
end
