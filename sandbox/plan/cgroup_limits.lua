-- SPDX-License-Identifier: MIT
-- sandbox.plan.cgroup_limits: each limit that a cgroup holds: its controller, and the files that say it in both versions.
--
-- A row is { field =, controller =, files = function(c, value, version, put) }; put(file, text, how) asks for a file to
-- be written, in order. how.optional: its absence is accepted, how.got: what it reads back as, when not as written.
-- Returning nil and words says that this version has no such limit.

local M = {}

local NOENT = 2 -- where the kernel does not count swap, the file is missing
local PERIOD = 100000 -- microseconds, the kernel's own default

local function integer(value) return ("%d"):format(value) end

local function memory(c, value, version, put)
  local swap = c.spec.limits.swap
  if version == 2 then
    put("memory.max", integer(value))
    -- Swap is an addition, and none unless somebody writes it.
    if swap == nil then put("memory.swap.max", "0", { optional = NOENT }) end
  else
    put("memory.limit_in_bytes", integer(value))
    -- Version 1 counts both together. A kernel without swap accounting lacks the file.
    if swap == nil then put("memory.memsw.limit_in_bytes", integer(value), { optional = NOENT }) end
  end
end

local function swap(c, value, version, put)
  if version == 2 then return put("memory.swap.max", integer(value)) end
  local base = c.spec.limits.memory
  if not base then return nil, "cgroup v1 limits swap only together with memory", "write limits.memory too" end
  put("memory.memsw.limit_in_bytes", integer(base + value))
end

local function memory_high(_, value, version, put)
  if version == 2 then return put("memory.high", integer(value)) end
  return nil, "cgroup v1 has no such limit (its soft limit only says who is reclaimed first)"
end

local function oom_group(_, value, version, put)
  if not value then return end
  if version == 2 then return put("memory.oom.group", "1") end
  return nil, "cgroup v1 kills one process at a time"
end

-- luge's own PID 1 does not count.
local function pids(c, value, _, put)
  put("pids.max", integer(value + (c.spec.init and 1 or 0)))
end

local function cpus(_, value, version, put)
  local quota = math.max(1000, math.floor(value * PERIOD + 0.5)) -- the kernel takes 1 ms at least
  if version == 2 then return put("cpu.max", ("%d %d"):format(quota, PERIOD)) end
  put("cpu.cfs_period_us", integer(PERIOD))
  put("cpu.cfs_quota_us", integer(quota))
end

-- Both versions share in proportion; 100 of version 2 is 1024 of version 1.
local function cpu_weight(_, value, version, put)
  if version == 2 then return put("cpu.weight", integer(value)) end
  put("cpu.shares", integer(math.max(2, value * 1024 // 100)))
end

--- "0-2,5" of a list of numbers, as the kernel writes it.
function M.ranges(cpus_)
  local sorted, parts = table.move(cpus_, 1, #cpus_, 1, {}), {}
  table.sort(sorted)
  local first, last
  local function flush()
    if first then parts[#parts + 1] = first == last and integer(first) or ("%d-%d"):format(first, last) end
  end
  for _, cpu in ipairs(sorted) do
    if last and cpu <= last + 1 then
      last = cpu
    else
      flush()
      first, last = cpu, cpu
    end
  end
  flush()
  return table.concat(parts, ",")
end

local function in_set(text, number)
  for from, to in text:gmatch("(%d+)%-?(%d*)") do
    if number >= tonumber(from) and number <= tonumber(to ~= "" and to or from) then return true end
  end
end

-- The kernel would take CPUs that are not there, and give those of the parent when none is left.
local function cpuset(c, value, version, put)
  local mount = c.facts.cgroups:find("cpuset").mount
  local all = c.facts.cgroups:read(mount .. (version == 2 and "/cpuset.cpus.effective" or "/cpuset.cpus")) or ""
  for _, cpu in ipairs(value) do
    if all:find("%d") and not in_set(all, cpu) then
      return nil, ("CPU %d is not among those of this host: %s"):format(cpu, all), "name others"
    end
  end
  put("cpuset.cpus", M.ranges(value))
end

-- A device, or the disk that a directory or a partition lies on: "254:0", or nil and why not.
local function disk_of(c, path)
  local st = c.facts:stat(path)
  if not st then return nil, path .. " does not exist" end
  if st.type ~= "block" and st.type ~= "directory" then
    return nil, path .. " is neither a block device nor a directory"
  end
  local disk = c.facts:disk(path)
  if not disk then return nil, path .. " lies on no disk: its file system has none, or hides it" end
  return disk
end

local RATES = { { "read", "rbps", "read_bps" }, { "write", "wbps", "write_bps" }, { "read_ops", "riops", "read_iops" },
  { "write_ops", "wiops", "write_iops" } }

local function io(c, devices, version, put)
  local paths = {}
  for path in pairs(devices) do paths[#paths + 1] = path end
  table.sort(paths)
  for _, path in ipairs(paths) do
    local disk, message = disk_of(c, path)
    if not disk then return nil, message, "name a disk, or a directory on one" end
    local words = { disk }
    for _, rate in ipairs(RATES) do
      local value = devices[path] and devices[path][rate[1]]
      if value and version == 2 then
        words[#words + 1] = ("%s=%d"):format(rate[2], value)
      elseif value then
        put(("blkio.throttle.%s_device"):format(rate[3]), ("%s %d"):format(disk, value))
      end
    end
    if #words > 1 then put("io.max", table.concat(words, " ")) end
  end
end

local UNITS = { { 1 << 30, "GB" }, { 1 << 20, "MB" }, { 1 << 10, "KB" } }

local function page_name(size)
  for _, unit in ipairs(UNITS) do
    if size >= unit[1] then return ("%d%s"):format(size // unit[1], unit[2]) end
  end
  return tostring(size)
end

-- Both what is touched (else SIGBUS) and what is reserved (else ENOMEM): the second is what programs can handle.
local function hugetlb(c, sizes, version, put)
  local order = {}
  for size in pairs(sizes) do order[#order + 1] = size end
  table.sort(order)
  for _, size in ipairs(order) do
    local bytes = require("sandbox.profile.values").size(size)
    if not bytes or not c.facts:stat(("/sys/kernel/mm/hugepages/hugepages-%dkB"):format(bytes >> 10)) then
      return nil, ("this kernel has no huge pages of %s"):format(size), "ls /sys/kernel/mm/hugepages shows the sizes"
    end
    if sizes[size] then
      for _, file in ipairs(version == 2 and { "max", "rsvd.max" } or { "limit_in_bytes", "rsvd.limit_in_bytes" }) do
        put(("hugetlb.%s.%s"):format(page_name(bytes), file), integer(sizes[size]))
      end
    end
  end
end

M.list = {
  { field = "memory", controller = "memory", files = memory },
  { field = "swap", controller = "memory", files = swap },
  { field = "memory_high", controller = "memory", files = memory_high },
  { field = "oom_group", controller = "memory", files = oom_group },
  { field = "pids", controller = "pids", files = pids },
  { field = "cpus", controller = "cpu", files = cpus },
  { field = "cpu_weight", controller = "cpu", files = cpu_weight },
  { field = "cpuset", controller = "cpuset", files = cpuset },
  { field = "io", controller = "io", files = io },
  { field = "hugetlb", controller = "hugetlb", files = hugetlb },
}

for _, row in ipairs(M.list) do M[row.field] = row end

return M
