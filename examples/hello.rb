#!/usr/bin/env ruby
# Greets whoever is named.
#   potluck run examples/hello.rb Ada

puts "Hello, #{ARGV.fetch(0, 'world')}! This is Ruby #{RUBY_VERSION[/\d+\.\d+/]}."
