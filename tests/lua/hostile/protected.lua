-- SPDX-License-Identifier: MIT; ends with 1 a table with a metatable is no data
return container { env = host.env }
