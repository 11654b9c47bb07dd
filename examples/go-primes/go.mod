module potluck.example/primes

go 1.24
