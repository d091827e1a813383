-- SPDX-License-Identifier: MIT
-- sandbox.cli.columns: rows as a table for people.

local M = {}

local function pad(text, width, left)
  local blanks = (" "):rep(width - (utf8.len(text) or #text))
  return left and text .. blanks or blanks .. text
end

--- The text. columns: a list of { "TITLE", function(row) → what to show, left = whether it is aligned there }.
function M.text(columns, rows)
  local lines = { {} }
  for n in ipairs(rows) do lines[n + 1] = {} end
  for i, column in ipairs(columns) do
    local cells, width = { column[1] }, #column[1]
    for n, row in ipairs(rows) do
      cells[n + 1] = tostring(column[2](row))
      width = math.max(width, utf8.len(cells[n + 1]) or #cells[n + 1])
    end
    for n, text in ipairs(cells) do lines[n][i] = pad(text, width, column.left) end
  end
  -- From the end: a container's command line may be blanks by the million, and is not searched from each of them.
  for n, line in ipairs(lines) do lines[n] = (table.concat(line, "  "):match("^(.*%S)") or "") .. "\n" end
  return table.concat(lines)
end

return M
