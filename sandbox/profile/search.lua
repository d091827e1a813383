-- SPDX-License-Identifier: MIT
-- sandbox.profile.search: which file a profile's name means, and whether root may believe it.
--
-- Names are looked up in $LUGE_PATH, the user's and the system's directory and in luge itself, never in the current
-- directory. When root asks, a file that somebody else could change is refused: its text would become root's word.

local S = require "syscall"
local embedded = require "luge.embedded"

local M = {}

local SOURCE_LIMIT = 1024 * 1024
local INSTALLED = "luge:" -- in front of the label of a file inside the binary
local OVERFLOW_UID = 65534

--- What the word PROFILE of a command line means: a source for load.evaluate, and the container of a group.
function M.parse(word)
  if word == "-" then return { stdin = true } end
  local file, container = word:match("^(.+%.lua):([%w_.-]+)$")
  if file then return { path = file }, container end
  if word:find("/", 1, true) or word:match("%.lua$") then return { path = word } end
  return { name = word }
end

local function is_path(name)
  return name:find("/", 1, true) or name:match("%.lua$")
end

local function parent(path)
  return path:match("^(.*/)[^/]*$") or ""
end

local function join(directory, path)
  path = path:gsub("^%./+", "")
  if path:sub(1, 1) == "/" or directory == "" then return path end
  return directory:sub(-1) == "/" and directory .. path or directory .. "/" .. path
end

local function absolute(path, facts)
  if path:sub(1, 1) == "/" then return path end
  return join(facts.cwd, path)
end

--- The directories of the profile path, in order; what is not absolute does not count.
function M.directories(facts)
  local env, list = facts.env or {}, {}
  for directory in (env.LUGE_PATH or ""):gmatch("[^:]+") do list[#list + 1] = directory end
  local config = env.XDG_CONFIG_HOME
  if not config or config:sub(1, 1) ~= "/" then config = env.HOME and env.HOME .. "/.config" end
  if config then list[#list + 1] = config .. "/luge/profiles" end
  list[#list + 1] = "/etc/luge/profiles"
  local found = {}
  for _, directory in ipairs(list) do
    if directory:sub(1, 1) == "/" then found[#found + 1] = directory end
  end
  return found
end

-- Reading ----------------------------------------------------------------------------------------------------------

local KINDS = { directory = "a directory", fifo = "a FIFO", socket = "a socket", char = "a device", block = "a device" }

local function read_all(fd, shown)
  local parts, size = {}, 0
  while true do
    local part, err = S.read(fd, 65536)
    if not part and not err.INTR then return nil, ("cannot read %s: %s"):format(shown, tostring(err)) end
    if part == "" then break end
    size = size + #(part or "")
    if size > SOURCE_LIMIT then return nil, shown .. " is longer than 1 MiB" end
    parts[#parts + 1] = part
  end
  return table.concat(parts)
end

local function check_kind(stat, shown)
  if stat.type ~= "file" then return ("%s is %s, not a Lua file"):format(shown, KINDS[stat.type] or "no file") end
  if stat.size > SOURCE_LIMIT then return shown .. " is longer than 1 MiB" end
end

-- The text and the identity of what was opened. A FIFO must not block, and a device must not even be opened.
local function read_file(path, shown)
  local stat, err = S.stat(path)
  local fault = stat and check_kind(stat, shown)
  if fault then return nil, fault end
  local fd
  if stat then fd, err = S.open(path, "rdonly, cloexec, nonblock, noctty") end
  if not fd then return nil, ("cannot read %s: %s"):format(shown, tostring(err)), err end
  stat, err = S.fstat(fd)
  fault = not stat and tostring(err) or check_kind(stat, shown)
  local text
  if not fault then text, fault = read_all(fd, shown) end
  fd:close()
  if not text then return nil, fault end
  return text, stat
end

-- Trust ------------------------------------------------------------------------------------------------------------

local STICKY, GROUP_WRITE, OTHER_WRITE = 512, 16, 2 -- 01000, 020, 02

-- Why somebody else can change what `path` (an entry of a directory that is fine) is, or nil.
local function weakness(path, stat, trusted)
  if not trusted[stat.uid] then return ("%s belongs to uid %d"):format(path, stat.uid) end
  if stat.type == "symlink" then return nil end
  if stat.type == "directory" and stat.mode & STICKY ~= 0 then return nil end -- its entries belong to their owners
  if stat.mode & OTHER_WRITE ~= 0 then return path .. " can be written by everyone" end
  if stat.mode & GROUP_WRITE ~= 0 and stat.gid ~= 0 then
    return ("%s can be written by group %d"):format(path, stat.gid)
  end
end

--- Why somebody who is not in `trusted` (a set of uids) could change what the absolute path leads to, or nil. Every
--- directory on the way counts, those of links too.
function M.distrust(path, trusted)
  local done, links = "", 0
  local left = {}
  local function push(text)
    local parts = {}
    for part in text:gmatch("[^/]+") do parts[#parts + 1] = part end
    for i = #parts, 1, -1 do left[#left + 1] = parts[i] end
  end
  push(path)
  local why = weakness("/", S.lstat("/"), trusted)
  while not why and #left > 0 do
    local part = table.remove(left)
    local entry = done .. "/" .. part
    if part == ".." then
      done = done:match("^(.*)/[^/]*$") or ""
    elseif part ~= "." then
      local stat = S.lstat(entry)
      -- Whoever opens it will say so; nobody else can put something there, as far as we came.
      if not stat then return nil end
      why = weakness(entry, stat, trusted)
      if stat.type == "symlink" then
        links = links + 1
        if links > 40 then return path .. ": too many links" end
        local target = S.readlink(entry) or ""
        if target:sub(1, 1) == "/" then done = "" end
        push(target)
      else
        done = entry
      end
    end
  end
  return why
end

-- Files of one evaluation ------------------------------------------------------------------------------------------

local files = {}
files.__index = files

--- A set of files that one evaluation reads. `facts` needs cwd, uid and env.
function M.new(facts)
  local trusted = { [0] = true }
  -- In a user namespace the machine's root is shown as the overflow id.
  if facts.initial_userns == false then trusted[OVERFLOW_UID] = true end
  return setmetatable({ facts = facts, known = {}, list = {}, size = 0, trusted = trusted }, files)
end

local function add(self, file)
  self.size = self.size + #file.text
  if self.size > 8 * SOURCE_LIMIT then return nil, "the profile and its parents are longer than 8 MiB" end
  if #self.list >= 256 then return nil, "a profile may read 256 files, not more" end
  self.known[file.label] = file
  self.list[#self.list + 1] = file
  return file
end

--- Adds a text that is no file: standard input, or the value of an option.
function files:add_text(text, label, directory)
  return add(self, { label = label, text = text, directory = directory or self.facts.cwd, beside = "" })
end

-- `place` is where on the profile path the file was found. The caller's own word is not questioned.
local function open(self, path, label, place, is_word)
  if self.known[label] then return self.known[label] end
  local full = absolute(path, self.facts)
  if self.facts.uid == 0 and not is_word then
    local why = M.distrust(full, self.trusted)
    if why then
      return nil, ("%s is refused: %s, and root takes only files that nobody else can change"):format(label, why)
    end
  end
  local text, stat, err = read_file(path, label)
  if not text then return nil, stat, err end
  -- Whoever owns a file that root named has its say anyway: what lies beside it may be theirs too.
  if is_word then self.trusted[stat.uid] = true end
  return add(self, {
    label = label, text = text, path = full, directory = (parent(full):gsub("(.)/$", "%1")), beside = parent(label),
    place = place, name = label:match("([^/]*)%.lua$"),
    dev = stat.dev, ino = stat.ino, size = stat.size, mtime = stat.mtime,
  })
end

local function open_installed(self, relative)
  local label = INSTALLED .. relative
  if self.known[label] then return self.known[label] end
  local text = embedded("profiles/" .. relative)
  if not text then return nil end
  return add(self, {
    label = label, text = text, directory = "/", installed = true, place = math.huge,
    name = relative:match("([^/]*)%.lua$"),
  })
end

-- The file on the profile path, from its place `first` on; `except` is a file that is not meant.
local function open_on_path(self, relative, first, except)
  for place, directory in ipairs(M.directories(self.facts)) do
    local path = directory .. "/" .. relative
    local stat = place >= first and S.stat(path)
    if stat and not (except and except.ino == stat.ino and except.dev == stat.dev) then
      return open(self, path, path, place)
    end
  end
  if first == math.huge then return nil end
  return open_installed(self, relative)
end

--- All names that could be looked up, sorted.
function M.names(facts)
  local names, seen = {}, {}
  local function collect(list)
    for _, entry in ipairs(list or {}) do
      local name = entry:match("^([^/.][^/]*)%.lua$")
      if name and not seen[name] then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  for _, directory in ipairs(M.directories(facts)) do collect(S.dir(directory)) end
  local installed = {}
  for _, path in ipairs(embedded()) do installed[#installed + 1] = path:match("^profiles/([^/]+)$") end
  collect(installed)
  table.sort(names)
  return names
end

local function suggest(facts, name)
  local near = require "luge.cage".nearest(name, M.names(facts))
  return near and (" (did you mean '%s'?)"):format(near)
end

local function check_name(name)
  return name:match("^[%w_][%w_.-]*$") ~= nil
end

-- What there is, for who expected something else: most of all an image.
local function offer(facts)
  return ("profiles: %s, and files: ./FILE.lua\n  luge has no images; a root directory is written root = \"DIR\" (luge help root)")
    :format(table.concat(M.names(facts), ", "))
end

--- The file that the caller names: a path. nil, message, hint.
function files:open_path(path)
  local file, message, err = open(self, path, path, nil, true)
  if file then return file end
  return nil, message, err and err.NOENT and not path:match "%.lua$" and offer(self.facts) or nil
end

--- The file that the caller's name means. nil, message, hint.
function files:open_name(name)
  local facts = self.facts
  if not check_name(name) then return nil, ("'%s' is no name of a profile"):format(name), offer(facts) end
  local file, message = open_on_path(self, name .. ".lua", 1)
  if file or message then return file, message end
  local beside = name .. ".lua"
  if S.stat(join(facts.cwd, beside)) then
    return nil, ("no profile '%s' on the profile path; for the file here write ./%s"):format(name, beside)
  end
  local near = suggest(facts, name)
  if near then return nil, ("no profile '%s'%s"):format(name, near) end
  return nil, ("no profile '%s'; to run a command: luge run default -- %s"):format(name, name), offer(facts)
end

--- The file that `profile "name"` means in the file `from`. nil, message.
function files:open_profile(name, from)
  if is_path(name) then
    if from.installed and name:sub(1, 1) ~= "/" then
      return nil, ("no %s: an installed profile has nothing beside it"):format(name)
    end
    return open(self, join(from.directory or "/", name), join(from.beside or "", name))
  end
  if not check_name(name) then return nil, ("'%s' is no name of a profile"):format(name) end
  local again = name == from.name
  local first = again and from.place and from.place + 1 or 1
  local file, message = open_on_path(self, name .. ".lua", first, again and from)
  if file or message then return file, message end
  if again then return nil, ("no profile '%s' further down the profile path"):format(name) end
  return nil, ("no profile '%s'%s"):format(name, suggest(self.facts, name) or "")
end

--- The file that `require "a.b"` means in the file `from`: beside it, beside the profile, on the profile path.
function files:open_module(name, from)
  if not name:match("^[%w_-][%w_.-]*$") or name:find("..", 1, true) then
    return nil, ("'%s' is no name of a module"):format(name)
  end
  local relative = name:gsub("%.", "/") .. ".lua"
  for _, near in ipairs { from, self.list[1] } do
    -- Standard input lies beside nothing.
    local path = near.path and join(near.directory, relative)
    if path and S.stat(path) then return open(self, path, join(near.beside, relative)) end
  end
  local file, message = open_on_path(self, relative, 1)
  if file or message then return file, message end
  return nil, ("no module '%s': no %s beside the profile or on the profile path"):format(name, relative)
end

--- Standard input, read to its end. nil, message.
function files:open_stdin()
  local text, message = read_all(0, "standard input")
  if not text then return nil, message end
  return self:add_text(text, "stdin")
end

return M
