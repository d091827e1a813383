-- SPDX-License-Identifier: MIT; ends with 1 itself_required.lua needs itself
return { require "itself_required" }
