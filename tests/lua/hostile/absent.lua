-- SPDX-License-Identifier: MIT; ends with 1 no function of string 'dump'
return container { name = string.dump(print) }
