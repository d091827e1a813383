-- SPDX-License-Identifier: MIT
-- syscall.endpoint: sockets with a name in a directory, where messages of one user's processes meet.
--
-- The name is reached through a descriptor of its directory: an address of unix(7) holds 107 bytes, a path may be
-- longer.

local check = require "syscall.arguments"

return function(S)
  local function split(path)
    local dir, name = path:match("^(.*)/([^/]+)$")
    return dir == "" and "/" or dir or ".", name or path
  end

  -- Calls use(socket, address) for the name `path`; the socket, or nil and the error of either.
  local function with_address(path, kind, use)
    local where, name = split(path)
    local dir, err, number = S.open(where, "path, directory, cloexec")
    if not dir then return nil, err, number end
    local socket, ok
    socket, err, number = S.socket("unix", kind)
    if socket then
      ok, err, number = use(socket, { family = "unix", path = ("/proc/self/fd/%d/%s"):format(dir:getfd(), name) })
      if not ok then socket:close() end
    end
    dir:close()
    if not ok then return nil, err, number end
    return socket
  end

  --- S.listen_at(path) -> fd
  -- A "seqpacket" socket of that name (0600) to which others connect, nonblocking. What had the name before is
  -- replaced: the caller must be sure, by a lock, that it is nobody's. unix(7).
  function S.listen_at(path)
    check.string(path, "#1")
    S.unlink(path)
    return with_address(path, "seqpacket, nonblock", function(socket, address)
      -- bind(2) gives the name the socket's mode, less the umask, which may be 0 by now.
      local ok, err, number = S.fchmod(socket, "0600")
      if ok then ok, err, number = S.bind(socket, address) end
      if not ok then return nil, err, number end
      ok, err, number = S.listen(socket)
      if not ok then S.unlink(path) end
      return ok, err, number
    end)
  end

  --- S.connect_at(path [, type]) -> fd
  -- A connection to the socket of that name, "seqpacket" if not given, which must be a socket itself and no link to one. Errors:
  -- NOENT, CONNREFUSED when nobody listens any more, NOTSOCK, LOOP.
  function S.connect_at(path, type)
    check.string(path, "#1")
    local there, err, number = S.open(path, "path, nofollow, cloexec")
    if not there then return nil, err, number end
    local st
    st, err, number = S.fstat(there)
    if not st then
      there:close()
      return nil, err, number
    end
    local kind = st.type
    if kind ~= "socket" then
      there:close()
      if kind == "symlink" then return S.failure("LOOP") end
      return S.failure("NOTSOCK")
    end
    local socket, ok
    socket, err, number = S.socket("unix", type or "seqpacket")
    if socket then
      ok, err, number = S.connect(socket, { family = "unix", path = "/proc/self/fd/" .. there:getfd() })
      if not ok then socket:close() end
    end
    there:close()
    if not ok then return nil, err, number end
    return socket
  end
end
