# Counts the primes below a number, piece by piece: says how far it is, keeps its state, goes on from what an earlier run has
# kept, ends early when somebody cancels it, and gives a result. What it says goes through the files of guest-sdk/CONTRACT.md.
#
#     potluck run examples/primes.rb 1000000
#     ruby examples/primes.rb 1000000     # outside Potluck

require "json"

# How many numbers are looked at between two checkpoints.
PIECE_LEN = 100_000

# The file through which Potluck is spoken to or speaks; nil outside of it.
def file(name)
  ENV["POTLUCK"] == "1" ? ENV["POTLUCK_#{name}"] : nil
end

def say(event)
  path = file("EVENTS") and File.write(path, JSON.generate(event) + "\n", mode: "a")
end

def cancelled?
  path = file("CONTROL") and File.readlines(path, chomp: true).include?("cancel")
end

def restore
  path = file("RESTORE") and JSON.parse(File.read(path), symbolize_names: true)
end

def checkpoint(state)
  path = file("EVENTS") or return
  kept = File.join(File.dirname(path), "primes.json")
  File.write(kept, JSON.generate(state))
  say(checkpoint: { file: kept })
end

# Counts the primes from where it is to `stop`: crosses out the multiples of every number whose square is below it.
def add_piece(count, stop)
  start = [count[:below], 2].max
  prime = Array.new([stop - start, 0].max, true)
  (2..Integer.sqrt([stop - 1, 0].max)).each do |factor|
    first = [factor * factor, (start + factor - 1) / factor * factor].max
    first.step(stop - 1, factor) { |multiple| prime[multiple - start] = false }
  end
  if (last = prime.rindex(true))
    count[:primes] += prime.count(true)
    count[:largest] = start + last
  end
  count[:below] = stop
end

stop = Integer(ARGV[0] || "1000000")
count = restore || { below: 0, primes: 0, largest: 0 }
say(log: { level: "info", message: "goes on", fields: count }) if count[:below] > 0
while count[:below] < stop && !cancelled?
  say(progress: { done: count[:below], total: stop, message: "sieving" })
  add_piece(count, [stop, count[:below] + PIECE_LEN].min)
  checkpoint(count)
end
say(progress: { done: count[:below], total: stop, message: "sieved" })
say(result: count)
line = "#{count[:primes]} primes below #{count[:below]}, the largest #{count[:largest]}"
puts line
File.write(ARGV[1], "#{line}\n") if ARGV[1]
