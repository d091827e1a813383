-- SPDX-License-Identifier: MIT
-- sandbox.container.log_journal: `log = "journald"`: what a detached container writes, to systemd's journal.
--
-- One entry a line, in the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram of fields, whose
-- values have a length and so may be any bytes. A journal that does not keep up, or is gone, is not waited for: what it
-- does not take is dropped and counted, and an entry of its own as soon as it takes one again.

local S = require "syscall"

local M = {}

M.SOCKET = "/run/systemd/journal/socket"

-- A longer line becomes several entries: its beginning waits here for its end.
M.LINE_MAX = 1 << 20

-- What is larger goes as a sealed file: a datagram has to fit into the socket's buffer (net.core.wmem_default, 208 KiB).
local DATAGRAM_MAX = 98304

local PRIORITY = { "6", "3", h = "6", warning = "4" }
local STREAM = { "stdout", "stderr", h = "hook", warning = "luge" }

local Journal = {}
Journal.__index = Journal

local function datagram(self, stream, line)
  return ("PRIORITY=%s\nSYSLOG_IDENTIFIER=%s\nLUGE_CONTAINER=%s\nLUGE_STREAM=%s\nMESSAGE\n%s\n"):format(PRIORITY[stream],
    self.name, self.name, STREAM[stream], ("<s8"):pack(line))
end

-- The same as a file in memory whose descriptor is sent, which journald takes when nobody can change it any more.
local function send_file(self, text)
  local file, err = S.sealed_file("luge-line", text)
  if not file then return nil, err end
  local n
  n, err = S.sendmsg(self.socket, { data = "", fds = { file }, to = self.address, flags = "dontwait" })
  file:close()
  return n, err
end

local function send(self, stream, line)
  local text = datagram(self, stream, line)
  if #text > DATAGRAM_MAX then return send_file(self, text) end
  return S.sendto(self.socket, text, "dontwait", self.address)
end

function Journal:tell()
  if self.untold == 0 then return true end
  local ok, err = send(self, "warning", ("%d bytes of the output were lost: %s"):format(self.untold, self.why))
  if ok then self.untold = 0 end
  return ok, err
end

function Journal:entry(stream, line)
  local ok, err = self:tell()
  if ok then ok, err = send(self, stream, line) end
  if ok then
    self.written = self.written + #line
  else
    self.lost, self.untold, self.why = self.lost + #line, self.untold + #line, tostring(err)
  end
end

--- Sends the lines that came from a stream, 1, 2 or "h"; the beginning of one waits for its end.
function Journal:append(stream, data)
  local rest = self.rest[stream] .. data
  local from = 1
  while true do
    local stop = rest:find("\n", from, true)
    if not stop and #rest - from + 1 < M.LINE_MAX then break end
    local last = math.min(stop and stop - 1 or #rest, from + M.LINE_MAX - 1)
    self:entry(stream, rest:sub(from, last))
    from = last + 1
    if from == stop then from = from + 1 end
  end
  self.rest[stream] = rest:sub(from)
end

function Journal:finish()
  for stream, rest in pairs(self.rest) do
    if rest ~= "" then self:entry(stream, rest) end
    self.rest[stream] = ""
  end
  self:tell()
end

-- What the journal has is the journal's.
function Journal:remove() end -- luacheck: ignore self

function Journal:close() self.socket:close() end

--- Begins the entries of a container. how: { name = }.
---@return table|nil log  with path, written and lost (bytes)
---@return table|nil err
function M.open(how)
  local socket, err = S.socket("unix", "dgram")
  if not socket then return nil, err end
  return setmetatable({ socket = socket, address = { family = "unix", path = M.SOCKET }, name = how.name, path = "journald",
    rest = { "", "", h = "" }, written = 0, lost = 0, untold = 0 }, Journal)
end

return M
