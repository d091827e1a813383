-- SPDX-License-Identifier: MIT; ends with 1 keys of type table have no order
for _ in pairs { [{}] = 1, [{}] = 2 } do print "x" end
