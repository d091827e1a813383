-- SPDX-License-Identifier: MIT
-- Wrong arguments for the functions of the layer that are written in Lua: each raises in the line of the call, and names what
-- is wrong. Those of C are tested with the rest of them in tests/unit.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"
local nl = require "netns"

local null = assert(S.open("/dev/null", "rdwr"))

-- function, its arguments, which of them is wrong.
local WRONG = {
  { "random_name", { "x" }, "#1" }, { "spawn", { 3 }, "#1" }, { "spawn", { {} }, "'1'" },
  { "unshare_mapped", { "newuser" }, "#2" }, { "unshare_mapped", { "newuser", { uids = {} } }, "'gids'" },
  { "read_bounded", { "/dev/null" }, "#2" }, { "writefile", { "/dev/null", 3 }, "#2" },
  { "replacefile", { null, "x" }, "#3" }, { "sealed_file", { "x", {} }, "#2" },
  { "open_in_root", { null, 3 }, "#2" }, { "open_in_root", { null, "x", 3 }, "#3" },
  { "put_file", { null, {}, "" }, "#2" }, { "put_file", { null, "/x", 3 }, "#3" }, { "put_file", { null, "/x", "", 3 }, "#4" },
  { "put_symlink", { null, 3, "x" }, "#2" }, { "copy_file", { "/dev/null", null, 3 }, "#3" },
  { "new_mount", {}, "#1" }, { "new_mount", { {} }, "'type'" },
  { "lookup_user", { "/", "root" }, "#2" }, { "lookup_user", { "/", { uid = "0" } }, "'uid'" },
  { "lookup_user", { "/", { name = 0 } }, "'name'" },
  { "take_lock", { 3 }, "#1" }, { "note_lock", { null, 3 }, "#2" }, { "process_age", { 1.5 }, "#1" },
  { "note_process", { null, "x" }, "#2" }, { "open_noted", { "/dev/null" }, "#2" },
  { "take_slot", { 3, {} }, "#1" }, { "take_slot", { "/x" }, "#2" }, { "take_slot", { "/x", { first = 0, step = 1 } }, "'count'" },
  { "make_cgroup", {}, "#1" }, { "make_cgroup", { "/nope", 3 }, "#2" }, { "remove_cgroup", { {} }, "#1" },
  { "kill_cgroup", {}, "#1" }, { "listen_at", { 3 }, "#1" }, { "connect_at", { {} }, "#1" },
  { "read_script", { 3 }, "#1" }, { "run_script", {}, "#1" }, { "run_script", { { path = "x", text = "" }, {} }, "'timeout'" },
  { "start_script", { { path = "x" }, { timeout = 1 } }, "'text'" }, { "end_script", { {} }, "#1" },
  { "within", { 3, "getpid" }, "#1" }, { "within", { { user = "x" }, "getpid" }, "'user'" }, { "within", { {}, "no.such" }, "#2" },
  { "within", { {}, 3 }, "#2" }, { "clone_within", { {} }, "#2" }, { "clone_within", { {}, {} }, "'flags'" },
  { "nl.hold_pod", { 3 }, "#1" }, { "nl.hold_users", {}, "#1" }, { "nl.hold_sysctl", { "/x" }, "#2" },
  { "nl.hold_sysctl", { "/x", "net/ipv4/ip_forward", 1 }, "#3" }, { "nl.endhelper", { 3 }, "#1" },
  { "nl.endhelper", { { pidfd = 3 } }, "'pidfd'" }, { "nl.denyhosts", {}, "#1" }, { "nl.denyhosts", { "x", { "nope" } }, "#2[1]" },
  { "nl.nft.learn", { 3 }, "#1" }, { "nl.nft.bytes", { { 3 } }, "#1" }, { "nl.nft.comment_data", {}, "#1" },
}

local function find(name)
  local f = S
  for part in name:gmatch "[^.]+" do f = f[part] end
  return f
end

for i, case in ipairs(WRONG) do
  local name, arguments, which = table.unpack(case)
  t.test(("%s, %d"):format(name, i), function()
    local f = find(name)
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, message = pcall(function() f(table.unpack(arguments)) end)
    t.ok(not ok, "it is taken")
    t.contains(tostring(message), "bad argument " .. which, "which argument")
    t.contains(tostring(message), ("arguments_test.lua:%d:"):format(line), "the line that is blamed")
  end)
end

t.test("what is right is taken", function()
  t.ok(nl.endhelper {}, "a helper that has ended")
  t.ok(S.within({}, "getpid"))
  t.equal((S.read_bounded("/dev/null", 10)), nil)
  t.ok(S.process_age(S.getpid()))
end)
