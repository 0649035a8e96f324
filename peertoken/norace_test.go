//go:build !race

package peertoken_test

const raceEnabled = false
