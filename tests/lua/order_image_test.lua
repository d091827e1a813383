-- SPDX-License-Identifier: MIT
-- The bytes of the stage's orders: where things lie, and what is refused.

local t = dofile "tests/integration/harness.lua"
local C = require "luge.stage"
local I = require "sandbox.container.order_image"

local FIRST = C.base + C.header_size

-- The records of an image: { kind, tolerate, step, nr, six arguments }; and the whole as bytes.
local function records(image)
  local bytes, list = I.tobytes(image, 3, 4), {}
  local magic, size, at, count = ("<I4I4I4I4"):unpack(bytes)
  t.equal({ magic, size }, { C.magic, #bytes })
  t.equal(#bytes, at + count * C.record_size + 8)
  for i = 1, count do
    list[i] = { ("<I2I2I4i8i8i8i8i8i8i8"):unpack(bytes, at + (i - 1) * C.record_size + 1) }
    list[i][#list[i]] = nil -- where the next begins
  end
  return list, bytes
end

local function string_at(bytes, address) return (("z"):unpack(bytes, address - C.base + 1)) end

t.test("data lies where its address says: bytes aligned, texts once, vectors ended", function()
  local image = { I.new() }
  t.equal(I.put(image, "abc"), FIRST)
  local text = I.put_string(image, "text")
  t.equal(text, FIRST + 3)
  t.equal(I.put_string(image, "text"), text)
  t.equal(I.put(image, "x"), FIRST + 8)
  local empty = I.put_string(image, "")
  local vector = I.put_vector(image, { "one", "", "three" })
  local _, bytes = records(image)
  t.equal({ vector % 8, string_at(bytes, text), string_at(bytes, empty) }, { 0, "text", "" })
  local one, none, three, ending = ("<i8i8i8i8"):unpack(bytes, vector - C.base + 1)
  t.equal({ string_at(bytes, one), string_at(bytes, none), string_at(bytes, three), ending }, { "one", "", "three", 0 })
end)

t.test("records hold their step, its tolerated error and the arguments", function()
  local image = { I.new() }
  I.step(image, 7, 13)
  I.call(image, "mount", 1, nil, true, false, -1, 2.0)
  t.equal(I.tolerate(image, C.any_errno), 13)
  I.add(image, "hear")
  I.step(image, 8)
  I.add(image, "open", 5 | 9 << 32, 1)
  t.equal(records(image), {
    { C.kinds.call, 13, 7, C.calls.mount, 1, 0, 1, 0, -1, 2 },
    { C.kinds.hear, C.any_errno, 7, 0, 0, 0, 0, 0, 0, 0 },
    { C.kinds.open, 0, 8, 5 | 9 << 32, 1, 0, 0, 0, 0, 0 },
  })
end)

t.test("what is no integer, no text, no name and no image is refused", function()
  local image = { I.new() }
  local function fails(words, f, ...)
    local ok, err = pcall(f, ...)
    t.equal(ok, false)
    t.contains(err, words)
    t.ok(not err:find(":%d+:"), "no position in " .. err)
  end
  fails("an integer expected, got 0755", I.call, image, "mount", "0755")
  fails("an integer expected, got 1.5", I.call, image, "mount", 1.5)
  fails("an integer expected, got table", I.add, image, "open", {})
  fails("the stage knows no 'mont'", I.call, image, "mont")
  fails("the stage knows no 'nil'", I.add, image)
  fails("six arguments", I.call, image, "mount", 1, 2, 3, 4, 5, 6, 7)
  fails("a string without NUL bytes expected", I.put_string, image, "a\0b")
  fails("a string without NUL bytes expected", I.put_string, image, 5)
  fails("a string without NUL bytes expected", I.put_vector, image, { "a", false })
  for _, no_image in ipairs { {}, { 5 }, { io.stdout } } do fails("the image of the stage's orders", I.step, no_image, 1) end
  t.equal(records(image), {})
end)

t.test("an image may be as large as the stage takes it, and no larger", function()
  local image = { I.new() }
  local room = C.size_max - C.header_size - C.record_size - 8
  I.put(image, ("x"):rep(room))
  I.add(image, "cwd")
  t.equal(#I.tobytes(image, 3, 4), C.size_max)
  I.put_string(image, "")
  t.equal({ pcall(I.tobytes, image, 3, 4) }, { false, "the command and its environment are too long" })
end)
