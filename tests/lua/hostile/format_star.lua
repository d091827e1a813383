-- SPDX-License-Identifier: MIT; ends with 1 .
return container { name = ("%s"):rep(300):format(("x"):rep(100)) }
