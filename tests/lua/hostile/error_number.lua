-- SPDX-License-Identifier: MIT; ends with 1 error_number.lua:2: 42
error(42)
