#!/usr/bin/env lua
-- Counts the primes below a number, piece by piece: says how far it is, keeps its state, goes on from what an earlier run has
-- kept, ends early when somebody cancels it, and gives a result. What it says goes through the files of guest-sdk/CONTRACT.md.
--
--     potluck run examples/primes.lua 1000000
--     lua examples/primes.lua 1000000     -- outside Potluck

-- How many numbers are looked at between two checkpoints.
local PIECE_LEN = 100000

-- The file through which Potluck is spoken to or speaks; nil outside of it.
local function path(name)
  return os.getenv("POTLUCK") == "1" and os.getenv("POTLUCK_" .. name) or nil
end

local function write(name, mode, text)
  local file = assert(io.open(name, mode))
  file:write(text)
  file:close()
end

-- Says one line of JSON.
local function say(line, ...)
  local events = path("EVENTS")
  if events then write(events, "a", line:format(...) .. "\n") end
end

local function cancelled()
  local control = path("CONTROL")
  if not control then return false end
  for line in io.lines(control) do
    if line == "cancel" then return true end
  end
  return false
end

-- What an earlier run has kept: three numbers.
local function restore()
  local kept = path("RESTORE")
  if not kept then return { below = 0, primes = 0, largest = 0 } end
  local file = assert(io.open(kept))
  local below, primes, largest = file:read("n", "n", "n")
  file:close()
  return { below = below, primes = primes, largest = largest }
end

local function checkpoint(count)
  local events = path("EVENTS")
  if not events then return end
  local kept = events .. "-primes"
  write(kept, "w", ("%d %d %d"):format(count.below, count.primes, count.largest))
  say('{"checkpoint":{"file":"%s"}}', kept)
end

-- Counts the primes from where it is to `stop`: crosses out the multiples of every number whose square is below it.
local function add_piece(count, stop)
  local start, crossed_out = math.max(count.below, 2), {}
  local factor = 2
  while factor * factor < stop do
    local first = math.max(factor * factor, (start + factor - 1) // factor * factor)
    for multiple = first, stop - 1, factor do crossed_out[multiple] = true end
    factor = factor + 1
  end
  for candidate = start, stop - 1 do
    if not crossed_out[candidate] then
      count.primes, count.largest = count.primes + 1, candidate
    end
  end
  count.below = stop
end

local stop = math.tointeger(arg[1] or 1000000) or error(("%q is no whole number"):format(arg[1]))
local count = restore()
if count.below > 0 then say('{"log":{"level":"info","message":"goes on","fields":{"below":%d}}}', count.below) end
while count.below < stop and not cancelled() do
  say('{"progress":{"done":%d,"total":%d,"message":"sieving"}}', count.below, stop)
  add_piece(count, math.min(stop, count.below + PIECE_LEN))
  checkpoint(count)
end
say('{"progress":{"done":%d,"total":%d,"message":"sieved"}}', count.below, stop)
say('{"result":{"below":%d,"primes":%d,"largest":%d}}', count.below, count.primes, count.largest)
local line = ("%d primes below %d, the largest %d"):format(count.primes, count.below, count.largest)
print(line)
if arg[2] then write(arg[2], "w", line .. "\n") end
