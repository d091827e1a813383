-- SPDX-License-Identifier: MIT; ends with 1 'format' cannot be changed
string.format = print
