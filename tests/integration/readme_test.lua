-- SPDX-License-Identifier: MIT
-- What README says works: every line of its sh blocks is run as it stands, from the top of the tree. Of `make` only
-- the target is looked for: the suite is itself run by one.

local t = dofile "tests/integration/harness.lua"

-- The commands of the ```sh blocks, each with its line number; a line that ends in \ goes on.
local function commands_of(path)
  local list, inside, number, pending = {}, false, 0, ""
  for line in io.lines(path) do
    number = number + 1
    if line:match "^```" then
      inside = not inside and line == "```sh"
    elseif inside and line:match "\\$" then
      pending = pending .. line:gsub("\\$", "")
    elseif inside and line:match "%S" and not line:match "^#" then
      list[#list + 1] = { text = pending .. line, number = number }
      pending = ""
    end
  end
  return list
end

local function targets()
  local set = {}
  for name in t.read("Makefile"):gmatch "\n([%w-]+):[^=\n]*##" do set[name] = true end
  return set
end

-- The files that README shows with their names in the first line, "-- hello.lua": name → text.
local function shown_files(path)
  local files, name, lines = {}, nil, {}
  for line in io.lines(path) do
    if line:match "^```" then
      if name then files[name] = table.concat(lines, "\n") .. "\n" end
      name, lines = nil, {}
    else
      if #lines == 0 then name = line:match "^%-%- ([%w_-]+%.lua)$" end
      lines[#lines + 1] = line
    end
  end
  return files
end

local shown = shown_files "README.md"

local function copy_of(name)
  return shown[name] and t.write(t.dir "0755" .. "/" .. name, shown[name], "0644")
end

for _, command in ipairs(commands_of "README.md") do
  local name = ("line %d: %s"):format(command.number, command.text)
  t.test(name, function()
    local words = command.text:gsub("%s*#.*", "")
    local target = words:match "^make%s+(.*)$"
    if target then
      for word in target:gmatch "%S+" do
        if not word:find "=" then t.ok(targets()[word], "the Makefile has no target " .. word) end
      end
      return
    end
    local r = t.run { "sh", "-c", (words:gsub("%f[%w_-][%w_-]+%.lua%f[^%w]", copy_of)), timeout = 120 }
    t.equal(r.code, 0, r.stdout .. r.stderr)
  end)
end

t.test("the profiles it shows are good", function()
  t.ok(shown["hello.lua"])
  for name in pairs(shown) do
    local r = t.run { "luge", "check", copy_of(name) }
    t.equal(r.code, 0, name .. ": " .. r.stderr)
  end
end)
