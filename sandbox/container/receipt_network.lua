-- SPDX-License-Identifier: MIT
-- sandbox.container.receipt_network: the rows of the receipt that tell what a container's firewall is, read back from the
-- kernel: a rule by the comment that says which line of the profile it is for.

local Steps = require "sandbox.plan.steps"

local M = {}

-- Which comments stand in which chain: chain → comment → true.
local function comments_of(name)
  local found = {}
  for _, rule in ipairs(require("netns").nft.rules("inet", name) or {}) do
    found[rule.chain] = found[rule.chain] or {}
    if rule.comment then found[rule.chain][rule.comment] = true end
  end
  return found
end

local function where(entry)
  local address = entry.address or "*"
  return ("%s %s:%d to %s:%d"):format(entry.proto, address, entry.port, entry.to, entry.to_port)
end

local function published(row, known, found)
  local texts, order, from_outside = {}, {}, {}
  for _, entry in ipairs(known.publish) do
    from_outside[entry.why] = not (entry.address and require("netns.check").is_loopback(entry.address))
    if not texts[entry.why] then order[#order + 1] = entry.why end
    texts[entry.why] = (texts[entry.why] and texts[entry.why] .. ", " or "") .. where(entry)
  end
  for _, why in ipairs(order) do
    local is_there = (found.output or {})[why] and (not from_outside[why] or (found.prerouting or {})[why])
    row(why, texts[why], is_there and texts[why] or "", is_there == true)
  end
end

local function egress(row, known, found)
  local asked, got = {}, {}
  for _, entry in ipairs(known.egress.allow) do
    local text = ("%s%s%s"):format(entry.cidr, entry.port and ":" .. entry.port or "", entry.proto and "/" .. entry.proto or "")
    asked[#asked + 1] = text
    if (found.egress or {})[entry.why] or (found.host or {})[entry.why] then got[#got + 1] = text end
  end
  if known.egress.internet then
    asked[#asked + 1] = "internet"
    if found.egress then got[#got + 1] = "internet" end
  end
  if known.egress.open then asked, got = { "anywhere" }, { found.egress and "anywhere" } end
  local function words(list) return #list > 0 and table.concat(list, " ") or found.deny and "nowhere" or "" end
  row("network.egress", #asked > 0 and table.concat(asked, " ") or "nowhere", words(got), #asked == #got and found.egress ~= nil)
end

-- What the tokens at the host's end of each link come to; of what is sent, half-way to the container (netns.plan_between).
local function bandwidth(row, rates, links)
  local function held(direction, place_of)
    local asked, got = rates[direction], {}
    local holds = asked and #links > 0
    for i, link in ipairs(asked and links or {}) do
      local q = (require("netns").qdiscs(place_of(link)) or {})[1]
      got[i] = q and q.rate or 0
      holds = holds and got[i] == asked
    end
    if asked then row("network.bandwidth." .. direction, tostring(asked), table.concat(got, " "), holds) end
  end
  held("down", function(link) return { link = link.link } end)
  held("up", function(link) return { link = require("netns.plan_between").OUT, netns = link.between } end)
end

--- Adds the rows; row(field, asked, got, ok).
function M.read(row, run, symbols)
  if not run.firewall then return end
  local known = Steps.resolve(run.firewall, symbols)
  local found = comments_of(known.table)
  published(row, known, found)
  egress(row, known, found)
  if run.spec.network.bandwidth then bandwidth(row, run.spec.network.bandwidth, known.links) end
end

return M
