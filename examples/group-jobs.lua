-- SPDX-License-Identifier: MIT
-- A matrix of jobs: a group without a main runs all of its containers, two at a time here, each line of output with the
-- name of its job. The exit code is 1 when one of them failed; the report has those of all.
--
--   $ luge run examples/group-jobs.lua | sort
--   clang-debug   | building with clang, debug
--   clang-release | building with clang, release
--   gcc-debug     | building with gcc, debug
--   gcc-release   | building with gcc, release
--
--   $ luge run -D FAIL=gcc-debug examples/group-jobs.lua 2>&1 >/dev/null
--   luge: gcc-debug ended with exit code 3
--   [exit code 1]

local jobs = {}
for _, compiler in ipairs { "gcc", "clang" } do
  for _, kind in ipairs { "debug", "release" } do
    local name = compiler .. "-" .. kind
    jobs[name] = container {
      command = { "sh", "-c", "echo building with $CC, $KIND; exit $CODE" },
      env = { CC = compiler, KIND = kind, CODE = param.FAIL == name and 3 or 0 },
    }
  end
end

return group { parallel = 2, containers = jobs }
