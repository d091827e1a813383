-- SPDX-License-Identifier: MIT
-- syscall: the kernel's calls as Lua functions. C gives one thin function per call; here they become
-- methods of descriptors, and the few that are better said in Lua are added.

local S = require "syscall.core"
local check = require "syscall.arguments"

-- Every call whose first argument is a descriptor is a method: fd:read(100) is S.read(fd, 100).
local methods = [[
  read pread write pwrite lseek ftruncate fsync fdatasync copy_file_range sendfile dup dup3 fcntl flock ioctl
  openat openat2 mkdirat unlinkat renameat2 linkat readlinkat mknodat getdents fchdir
  fstat fstatat statx fstatfs fchmod fchmodat fchown fchownat faccessat utimensat
  fgetxattr fsetxattr flistxattr fremovexattr
  open_tree move_mount fspick fsconfig fsmount mount_setattr
  isatty tcgetattr tcsetattr tcgetwinsize tcsetwinsize tcgetpgrp tcsetpgrp tcgetsid ptsname unlockpt ptpeer
  setns execveat pidfd_send_signal pidfd_getfd
  signalfd_read epoll_ctl epoll_wait eventfd_read eventfd_write timerfd_settime timerfd_gettime timerfd_read
  inotify_add_watch inotify_rm_watch inotify_read
  bind connect listen accept4 send sendto recv recvfrom sendmsg recvmsg getsockname getpeername
  getsockopt setsockopt socket_filter shutdown finit_module
]]
for name in methods:gmatch "%g+" do
  S.fd_methods[name] = S[name]
end
S.fd_methods.stat, S.fd_methods.truncate = S.fstat, S.ftruncate

--- S.failure(name, text) -> nil, error, errno
--- What a function returns that fails by itself: S.failure("NOENT", "no user 'x'"); text says what errno cannot.
function S.failure(name, text)
  local err = S.error(S.c.E[name])
  err.text = text
  return nil, err, err.errno
end

--- S.getenv(name) -> string
--- A variable of the environment; one that is not set is ENOENT.
function S.getenv(name)
  local value = os.getenv(name)
  if value then return value end
  return S.failure("NOENT", "the variable is not set")
end

-- A letter or a digit for each byte.
local LETTER = {}
for byte = 0, 255 do
  local at = byte % 36 + 1
  LETTER[string.char(byte)] = ("abcdefghijklmnopqrstuvwxyz0123456789"):sub(at, at)
end

--- S.random_name(count) -> string
--- So many small letters and digits at random, at most 256, for the name of what must not meet another. Errors: as of getrandom(2).
function S.random_name(count)
  check.integer(count, "#1")
  local bytes, err, errno = S.getrandom(count)
  if not bytes then return nil, err, errno end
  return (bytes:gsub(".", LETTER))
end

--- S.spawn(argv) -> true
--- Runs a program to its end, with an empty environment; argv[1] is its path, numbers become text. Anything but exit code 0 is
--- ECHILD, whose text is what it wrote on stderr, at most 4 KiB.
function S.spawn(argv)
  check.string(check.table(argv, "#1")[1], "'1'")
  local words = {} -- nothing may raise in the child, which would go on as a second luge
  for i, word in ipairs(argv) do words[i] = tostring(word) end
  local said, pid, status, err, errno
  said, err, errno = S.memfd_create "stderr" -- unlike a pipe it is never full, and nobody's end of it need be waited for
  if said then pid, err, errno = S.fork() end
  if pid == 0 then
    S.dup3(said, 2)
    S.execve(words[1], words, {})
    S.exit(127)
  end
  if pid then status, err, errno = S.waitid("pid", pid, "exited") end
  local text = status and S.pread(said, 4096, 0) or ""
  if said then said:close() end
  if not status then return nil, err, errno end
  if status.code == "exited" and status.status == 0 then return true end
  text = text:gsub("%s+$", "")
  return S.failure("CHILD", text ~= "" and text or ("%s %s"):format(status.code, status.signal or status.status))
end

-- Writes the id maps of process `pid`, for which the parent of its user namespace asked.
local function write_maps(pid, maps)
  local base = "/proc/" .. pid
  local ok, err, errno = true, nil, nil
  if maps.setgroups == false then ok, err, errno = S.writefile(base .. "/setgroups", "deny") end
  for _, kind in ipairs { "uid", "gid" } do
    local lines = {}
    for i, e in ipairs(maps[kind .. "s"]) do lines[i] = ("%d %d %d\n"):format(e[1], e[2], e[3]) end
    if ok then ok, err, errno = S.writefile(("%s/%s_map"):format(base, kind), table.concat(lines)) end
  end
  return ok, err, errno
end

--- S.unshare_mapped(flags, { uids =, gids =, setgroups = }) -> true
--- unshare(2) with a new user namespace whose maps ({ inside, outside, count } each) are written by a child that
--- stays behind: the caller itself could map only one id then. Needs CAP_SETUID and CAP_SETGID where it starts.
function S.unshare_mapped(flags, maps)
  check.table(check.table(maps, "#2").uids, "'uids'")
  check.table(maps.gids, "'gids'")
  local go_read, go_write, errno = S.pipe()
  if not go_read then return nil, go_write, errno end
  local own = S.getpid()
  local helper, err
  helper, err, errno = S.fork()
  if not helper then return nil, err, errno end
  if helper == 0 then
    go_write:close()
    local ok, number = pcall(function()
      if S.read(go_read, 1) ~= "g" then return 1 end
      local written, _, code = write_maps(own, maps)
      return written and 0 or code
    end)
    S.exit(ok and number or 1)
  end
  go_read:close()
  local ok
  ok, err, errno = S.unshare(flags)
  if ok then S.write(go_write, "g") end
  go_write:close()
  local status = S.waitid("pid", helper, "exited")
  if not ok then return nil, err, errno end
  if status.status ~= 0 then
    err = S.error(status.status)
    return nil, err, status.status
  end
  return true
end

--- S.read_all(fd) -> string
--- What a descriptor gives up to its end, which is waited for.
function S.read_all(fd)
  -- Most is short, and what is read into costs more than the reading.
  local parts, size = {}, 4096
  repeat
    local part, err, errno = S.read(fd, size)
    if not part then return nil, err, errno end
    parts[#parts + 1] = part
    if #part == size then size = 65536 end
  until part == ""
  return table.concat(parts)
end

--- S.readfile(path) -> string
--- The whole of a file, also of those of /proc and /sys, whose size is 0.
function S.readfile(path)
  local fd, err, errno = S.open(path, "rdonly")
  if not fd then return nil, err, errno end
  local text
  text, err, errno = S.read_all(fd)
  fd:close()
  return text, err, errno
end

-- How long a pipe's writer may stand still, in milliseconds.
local PATIENCE = 10000

--- S.read_bounded(path, most [, "pipe"]) -> string
--- The whole of a regular file of at most `most` bytes, else FBIG; "pipe": or of a pipe, whose writer may pause for 10 s and
--- writes something. Whatever else is there is INVAL, and is not waited for.
function S.read_bounded(path, most, pipe)
  check.integer(most, "#2")
  local fd, err, errno = S.open(path, "rdonly, cloexec, nonblock, noctty")
  if not fd then return nil, err, errno end
  local st, parts, size, part = S.fstat(fd), {}, 0, nil
  local is_pipe = st and st.type == "fifo" and pipe
  while st and (st.type == "file" or is_pipe) and size <= most and part ~= "" do
    part, err, errno = S.read(fd, 65536)
    if part then
      parts[#parts + 1], size = part, size + #part
    elseif not (is_pipe and err.AGAIN) then
      break
    elseif #(S.poll({ { fd = fd, events = "in" } }, PATIENCE) or {}) == 0 then
      err, errno = S.error(S.c.E.TIMEDOUT), S.c.E.TIMEDOUT
      break
    end
  end
  fd:close()
  if size > most then return S.failure("FBIG", ("%s is longer than %d KiB"):format(path, most >> 10)) end
  if part == "" and (size > 0 or not is_pipe) then return table.concat(parts) end
  if is_pipe and part == "" then return S.failure("INVAL", path .. ": nobody writes to that pipe") end
  if err then return nil, err, errno end
  return S.failure("INVAL", path .. " is no regular file" .. (pipe and " and no pipe" or ""))
end

--- S.writefile(path, text) -> true
--- Writes text over an existing file in one write(2), as the files of /proc, /sys and cgroups want it; the
--- file is neither made nor cut. A short write is ENOSPC.
function S.writefile(path, text)
  check.text(text, "#2")
  local fd, err, errno = S.open(path, "wronly")
  if not fd then return nil, err, errno end
  local n
  n, err, errno = S.write(fd, text)
  local closed, close_err, close_errno = fd:close()
  if not n then return nil, err, errno end
  if not closed then return nil, close_err, close_errno end
  if n < #text then return nil, S.error(S.c.E.NOSPC), S.c.E.NOSPC end
  return true
end

-- A new file of a directory, and its name: that one, which a killed one may have left, or one that nobody had.
local function open_new(dirfd, name, perm)
  local flags = "creat, excl, wronly, nofollow, cloexec"
  if name then
    S.unlinkat(dirfd, name)
    return name, S.openat(dirfd, name, flags, perm)
  end
  local fd, err, errno
  for try = 1, 100 do
    name = (".new-%d-%x-%d"):format(S.getpid(), S.clock_gettime "realtime" * 1e6 // 1 | 0, try)
    fd, err, errno = S.openat(dirfd, name, flags, perm)
    if fd or not err.EXIST then break end
  end
  return name, fd, err, errno
end

--- S.replacefile(dirfd, name, text, perm="0644", durable, temporary) -> true
--- Writes a file of a directory whole or not at all: under another name, then renamed. What was there before stays until
--- then, and no link of that name is followed. durable: it survives a loss of power, as far as the disk does; then
--- dirfd is no "path" descriptor. temporary: the other name, where all that has it is the caller's; else nobody has it.
function S.replacefile(dirfd, name, text, perm, durable, temporary)
  check.text(text, "#3")
  local fd, err, errno
  temporary, fd, err, errno = open_new(dirfd, temporary, perm or "0644")
  if not fd then return nil, err, errno end
  local n, ok
  n, err, errno = S.write(fd, text)
  ok = n == #text
  if ok and durable then ok, err, errno = S.fsync(fd) end
  fd:close()
  if ok then
    ok, err, errno = S.renameat2(dirfd, temporary, dirfd, name)
    if ok and durable then ok, err, errno = S.fsync(dirfd) end
  elseif n and not err then
    err, errno = S.error(S.c.E.NOSPC), S.c.E.NOSPC
  end
  if not ok then
    S.unlinkat(dirfd, temporary)
    return nil, err, errno
  end
  return true
end

--- S.sealed_file(name, text) -> fd
-- A file in memory that nobody can write again. Source: memfd_create(2), F_ADD_SEALS in fcntl(2).
function S.sealed_file(name, text)
  check.text(text, "#2")
  local fd, err, errno = S.memfd_create(name, "allow_sealing")
  if not fd then return nil, err, errno end
  local ok = true
  -- What fits is written; what comes after it says why no more does: the limit of a file's size, or no memory.
  while ok and text ~= "" do
    ok, err, errno = S.write(fd, text)
    text = text:sub((ok or 0) + 1)
  end
  if ok then ok, err, errno = S.fcntl(fd, "add_seals", "seal, shrink, grow, write") end
  if ok then return fd end
  fd:close()
  return nil, err, errno
end

--- S.dir(path) -> list of names
--- The names in a directory, sorted, without "." and "..".
function S.dir(path)
  local fd, err, errno = S.open(path, "rdonly, directory")
  if not fd then return nil, err, errno end
  local entries
  entries, err, errno = S.getdents(fd)
  fd:close()
  if not entries then return nil, err, errno end
  local names = {}
  for i, entry in ipairs(entries) do names[i] = entry.name end
  table.sort(names)
  return names
end

--- S.openpty() -> master, slave, name of the slave
--- A new pseudo-terminal of the /dev/pts of the caller; the slave is opened through the master, not by name.
function S.openpty()
  local master, err, errno = S.posix_openpt()
  if not master then return nil, err, errno end
  local ok, slave, name
  ok, err, errno = S.unlockpt(master)
  if ok then slave, err, errno = S.ptpeer(master) end
  if slave then name, err, errno = S.ptsname(master) end
  if name then return master, slave, name end
  master:close()
  if slave then slave:close() end
  return nil, err, errno
end

for _, part in ipairs { "tree", "newmount", "accounts", "lock", "cgroup", "endpoint", "script", "within" } do
  require("syscall." .. part)(S)
end

return S
