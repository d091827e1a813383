-- SPDX-License-Identifier: MIT
-- bpf: an interpreter of the classic BPF that seccomp takes, so that a filter can be asked about a call that
-- nobody makes. What each opcode does is written in Documentation/networking/filter.rst of the kernel.

local M = {}

local LOW = 0xffffffff

-- struct seccomp_data: nr, arch, instruction pointer, six arguments of 64 bits; little endian.
local function field(data, offset)
  if offset == 0 then return data.nr & LOW end
  if offset == 4 then return data.arch & LOW end
  local value = offset < 16 and (data.ip or 0) or (data[(offset - 16) // 8] or 0)
  return offset % 8 == 0 and value & LOW or value >> 32
end

local LOAD_ABS, LOAD_IMM, LOAD_LEN, LOAD_MEM, STORE = 0x20, 0x00, 0x80, 0x60, 0x02
local X_IMM, X_LEN, X_MEM, STORE_X, TAX, TXA = 0x01, 0x81, 0x61, 0x03, 0x07, 0x87
local JUMP, RETURN_K, RETURN_A = 0x05, 0x06, 0x16

local JUMPS = {
  [0x10] = function(a, b) return a == b end,
  [0x20] = function(a, b) return a > b end,
  [0x30] = function(a, b) return a >= b end,
  [0x40] = function(a, b) return a & b ~= 0 end,
}

local ALU = {
  [0x00] = function(a, b) return a + b end,
  [0x10] = function(a, b) return a - b end,
  [0x20] = function(a, b) return a * b end,
  [0x30] = function(a, b) return a // b end,
  [0x40] = function(a, b) return a | b end,
  [0x50] = function(a, b) return a & b end,
  [0x60] = function(a, b) return a << b end,
  [0x70] = function(a, b) return a >> b end,
  [0x80] = function(a) return -a end,
  [0xa0] = function(a, b) return a ~ b end,
}

--- The instructions of a program: raises when it is none that the kernel would take.
function M.decode(bpf)
  assert(#bpf > 0 and #bpf % 8 == 0 and #bpf // 8 <= 4096, "no BPF program")
  local program = {}
  for i = 1, #bpf // 8 do
    local code, yes, no, k = string.unpack("<I2BBI4", bpf, i * 8 - 7)
    program[i] = { code = code, yes = yes, no = no, k = k }
  end
  assert(program[#program].code & 7 == 6, "the last instruction does not return")
  return program
end

local function jump(op, a, x)
  local operand = op.code & 8 == 0 and op.k or x
  local test = JUMPS[op.code & 0xf0] or error(("bad jump %#x"):format(op.code))
  return test(a, operand) and op.yes or op.no
end

local function calculate(op, a, x)
  local operand = op.code & 8 == 0 and op.k or x
  local f = ALU[op.code & 0xf0] or error(("bad operation %#x"):format(op.code))
  return f(a, operand) & LOW
end

--- What a program answers about one call, and how many instructions that takes.
---@param program table  from decode()
---@param data table  { nr=, arch=, ip=, [0]= … [5]= } the arguments
---@return integer action, integer instructions
function M.run(program, data)
  local a, x, memory, at = 0, 0, {}, 1
  for count = 1, #program do
    local op = program[at] or error("the program runs past its end")
    local code = op.code
    at = at + 1
    if code == LOAD_ABS then
      a = field(data, op.k)
    elseif code == RETURN_K then
      return op.k, count
    elseif code == RETURN_A then
      return a, count
    elseif code == JUMP then
      at = at + op.k
    elseif code & 7 == 5 then
      at = at + jump(op, a, x)
    elseif code & 7 == 4 then
      a = calculate(op, a, x)
    elseif code == LOAD_IMM then a = op.k
    elseif code == LOAD_MEM then a = memory[op.k] or 0
    elseif code == LOAD_LEN then a = 64
    elseif code == STORE then memory[op.k] = a
    elseif code == STORE_X then memory[op.k] = x
    elseif code == X_IMM then x = op.k
    elseif code == X_MEM then x = memory[op.k] or 0
    elseif code == X_LEN then x = 64
    elseif code == TAX then x = a
    elseif code == TXA then a = x
    else error(("bad instruction %#x"):format(code)) end
  end
  error "the program does not end"
end

-- The kernel compares actions as signed numbers, without their data; kill_process is the smallest.
local function rank(answer)
  local action = answer & 0xffff0000
  return action >= 0x80000000 and action - 0x100000000 or action
end

--- What several filters answer together: the strictest; of equals the one that was loaded last.
---@param programs table[]  in the order of loading
function M.run_all(programs, data)
  local answer, total = nil, 0
  for i = #programs, 1, -1 do
    local one, count = M.run(programs[i], data)
    total = total + count
    if not answer or rank(one) < rank(answer) then answer = one end
  end
  return answer, total
end

return M
