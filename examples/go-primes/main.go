// Counts the primes below a number, piece by piece: says how far it is, keeps its state, goes on from what an earlier run has
// kept, ends early when somebody cancels it, and gives a result. What it says goes through the files of guest-sdk/CONTRACT.md.
//
//	cargo xtask guests
//	potluck run target/guests/go-primes.wasm 1000000
//	go run ./examples/go-primes 1000000     // outside Potluck
//
// Exit codes: 0 when it has counted, also when it was cancelled and has counted a part; 2 when its argument is no number.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// How many numbers are looked at between two checkpoints.
const pieceLen = 100_000

// All that a run needs to know to go on from here.
type count struct {
	Below   int `json:"below"`
	Primes  int `json:"primes"`
	Largest int `json:"largest"`
}

// The file through which Potluck is spoken to or speaks; empty outside of it.
func file(name string) string {
	if os.Getenv("POTLUCK") != "1" {
		return ""
	}
	return os.Getenv("POTLUCK_" + name)
}

// Says one line of JSON.
func say(event map[string]any) error {
	path := file("EVENTS")
	if path == "" {
		return nil
	}
	line, err := json.Marshal(event)
	if err != nil {
		return err
	}
	events, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer events.Close()
	_, err = events.Write(append(line, '\n'))
	return err
}

func cancelled() bool {
	text, err := os.ReadFile(file("CONTROL"))
	return err == nil && slices.Contains(strings.Split(string(text), "\n"), "cancel")
}

func (c *count) restore() error {
	path := file("RESTORE")
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, c)
}

func (c count) checkpoint() error {
	path := file("EVENTS")
	if path == "" {
		return nil
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+"-primes", text, 0o666); err != nil {
		return err
	}
	return say(map[string]any{"checkpoint": map[string]string{"file": path + "-primes"}})
}

func (c count) progress(end int, message string) error {
	return say(map[string]any{"progress": map[string]any{"done": c.Below, "total": end, "message": message}})
}

// Counts the primes from where it is to `end`: crosses out the multiples of every number whose square is below it.
func (c *count) addPiece(end int) {
	start := max(c.Below, 2)
	crossedOut := make([]bool, max(end-start, 0))
	for factor := 2; factor*factor < end; factor++ {
		first := max(factor*factor, (start+factor-1)/factor*factor)
		for multiple := first; multiple < end; multiple += factor {
			crossedOut[multiple-start] = true
		}
	}
	for place, crossedOut := range crossedOut {
		if !crossedOut {
			c.Primes++
			c.Largest = start + place
		}
	}
	c.Below = end
}

// Counts, and says what that comes to.
func run(end int) (string, error) {
	var c count
	if err := c.restore(); err != nil {
		return "", err
	}
	if c.Below > 0 {
		if err := say(map[string]any{"log": map[string]any{"level": "info", "message": "goes on", "fields": c}}); err != nil {
			return "", err
		}
	}
	for c.Below < end && !cancelled() {
		if err := c.progress(end, "sieving"); err != nil {
			return "", err
		}
		c.addPiece(min(end, c.Below+pieceLen))
		if err := c.checkpoint(); err != nil {
			return "", err
		}
	}
	if err := c.progress(end, "sieved"); err != nil {
		return "", err
	}
	line := fmt.Sprintf("%d primes below %d, the largest %d\n", c.Primes, c.Below, c.Largest)
	return line, say(map[string]any{"result": c})
}

func main() {
	argument := "1000000"
	if len(os.Args) > 1 {
		argument = os.Args[1]
	}
	end, err := strconv.Atoi(argument)
	if err != nil {
		fmt.Fprintln(os.Stderr, "usage: go-primes [NUMBER [FILE]]")
		os.Exit(2)
	}
	line, err := run(end)
	if err == nil && len(os.Args) > 2 {
		err = os.WriteFile(os.Args[2], []byte(line), 0o666)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "go-primes:", err)
		os.Exit(1)
	}
	fmt.Print(line)
}
