-- SPDX-License-Identifier: MIT; ends with 1 more than 64 MiB
return container { name = string.pack("s8", ("x"):rep(10000)):rep(20000) }
