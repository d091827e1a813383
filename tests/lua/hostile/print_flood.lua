-- SPDX-License-Identifier: MIT; ends with 1 a profile may print 1 MiB
while true do print(("x"):rep(1000)) end
