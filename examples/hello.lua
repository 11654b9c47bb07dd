#!/usr/bin/env lua
-- Greets whoever is named.
--   potluck run examples/hello.lua Ada

print(("Hello, %s! This is %s."):format(arg[1] or "world", _VERSION))
