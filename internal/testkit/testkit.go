// Package testkit is what tests of several packages share.
//
// Three variables of the environment shape a test run, and only this package reads
// them. SYMBOLON_SOAK=1 is the one switch of all longer campaigns: more seeds, more
// rounds, bigger figures. SYMBOLON_CI=1 asks for the middle measure.
// SYMBOLON_REQUIRE_POSTGRES=1 makes a missing PostgreSQL a failure instead of a skip.
package testkit

import "os"

// Soak reports whether the longer campaigns run: SYMBOLON_SOAK=1.
func Soak() bool { return on("SYMBOLON_SOAK") }

// CI reports whether the run is the one that decides: SYMBOLON_CI=1.
func CI() bool { return on("SYMBOLON_CI") }

// RequirePostgres reports whether a test may not do without a PostgreSQL server:
// SYMBOLON_REQUIRE_POSTGRES=1.
func RequirePostgres() bool { return on("SYMBOLON_REQUIRE_POSTGRES") }

// Rounds chooses how often a campaign repeats in a plain run, in CI and in a soak.
func Rounds(plain, ci, soak int) int {
	switch {
	case Soak():
		return soak
	case CI():
		return ci
	}
	return plain
}

func on(name string) bool {
	v := os.Getenv(name)
	return v != "" && v != "0" && v != "false"
}
