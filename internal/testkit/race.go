//go:build race

package testkit

// Race reports whether the race detector is in the program. It makes pools forget
// at random, so budgets of allocations do not hold under it.
const Race = true
