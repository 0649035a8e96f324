// Package doctor says what is wrong with a node, and what to do.
//
// It looks at the data directory, the store, the keys, the configuration, the clock, the
// audit log and, when it is named one, at a peer. It changes nothing: the store is
// opened for reading alone, beside a running node or without one.
package doctor

import (
	"context"
	"fmt"
	"os"
	"time"

	"symbolon/internal/config"
	"symbolon/internal/federation"
	"symbolon/internal/store"
)

// A Severity is how bad a finding is.
type Severity string

// The severities. A node with a Problem does not start, or will fail somebody.
const (
	Fine    Severity = "ok"
	Warning Severity = "warning"
	Problem Severity = "problem"
)

// A Finding is one thing that was looked at.
type Finding struct {
	Severity Severity `json:"severity"`
	Area     string   `json:"area"`
	What     string   `json:"what"`
	// Do says what to do about it; empty when there is nothing to do.
	Do string `json:"do"`
}

// The areas of findings.
const (
	areaConfig  = "configuration"
	areaData    = "data"
	areaStore   = "store"
	areaKeys    = "keys"
	areaNodeKey = "node key"
	areaClock   = "clock"
	areaAudit   = "audit"
	areaPeer    = "peer"
)

// Options are what an examination needs. Config and Now are required.
type Options struct {
	Config *config.Config
	// ConfigFile is the configuration's file, or empty.
	ConfigFile string
	// Ignored are the variables of another system that mean nothing here.
	Ignored []string
	Now     func() time.Time
	// Full reads the whole database file and the whole audit log, which takes
	// as long as they are large.
	Full bool
	// PeerURL is a node to ask, through Remote; empty asks none.
	PeerURL string
	Remote  federation.Remote
}

// An exam is one examination and what it found so far.
type exam struct {
	Options
	found []Finding
	// What the store says, while it can be read.
	look    *store.Look
	blocked map[string]bool // areas in which something keeps the node from starting
}

func (e *exam) add(s Severity, area, do, format string, args ...any) {
	e.found = append(e.found, Finding{s, area, fmt.Sprintf(format, args...), do})
}

func (e *exam) ok(area, format string, args ...any) { e.add(Fine, area, "", format, args...) }

func (e *exam) warn(area, do, format string, args ...any) { e.add(Warning, area, do, format, args...) }

func (e *exam) problem(area, do, format string, args ...any) {
	e.add(Problem, area, do, format, args...)
}

// Examine looks at everything and returns what it found, the areas in a fixed order.
func Examine(ctx context.Context, o Options) []Finding {
	e := &exam{Options: o, blocked: map[string]bool{}}
	e.configuration()
	if !e.data() {
		return e.peerOnly(ctx)
	}
	e.start(ctx)
	e.store(ctx)
	if e.look != nil {
		defer func() {
			if err := e.look.Close(context.WithoutCancel(ctx)); err != nil {
				e.problem(areaStore, "", "closing the store failed: %v", err)
			}
		}()
	}
	e.keys()
	e.clock(ctx)
	e.audit(ctx)
	e.peer(ctx)
	return e.found
}

// peerOnly ends an examination that has nothing else to look at.
func (e *exam) peerOnly(ctx context.Context) []Finding {
	e.clock(ctx)
	e.peer(ctx)
	return e.found
}

// Worst returns the worst severity among findings.
func Worst(found []Finding) Severity {
	worst := Fine
	for _, f := range found {
		switch {
		case f.Severity == Problem:
			return Problem
		case f.Severity == Warning:
			worst = Warning
		}
	}
	return worst
}

// The space on the disk below which there is something to say, in bytes.
const (
	littleSpace = 1 << 30
	noSpace     = 100 << 20
)

// data looks at the data directory and reports whether there is one.
func (e *exam) data() bool {
	dir := e.Config.Data
	st, err := os.Stat(dir)
	switch {
	case os.IsNotExist(err):
		e.problem(areaData, "name another with --data, or make this one with `symbolon serve`", "there is no data directory %s", dir)
		return false
	case err != nil:
		e.problem(areaData, "run as its owner, or name another with --data", "the data directory cannot be looked at: %v", err)
		return false
	case !st.IsDir():
		e.problem(areaData, "name a directory with --data", "%s is no directory", dir)
		return false
	}
	e.ok(areaData, "%s is a directory", dir)
	if mode := st.Mode().Perm(); mode&0o077 != 0 {
		e.warn(areaData, "chmod 700 "+dir, "other users of this machine can enter %s (mode %04o)", dir, mode)
	}
	if !writable(dir) {
		e.problem(areaData, "run as its owner, give it to the node's user with chown, or remount its file system for writing", "%s cannot be written", dir)
	}
	switch free, known := freeSpace(dir); {
	case !known:
	case free < noSpace:
		e.problem(areaData, "free some: a node that cannot write refuses every change", "the disk of %s has %s left", dir, bytes(free))
	case free < littleSpace:
		e.warn(areaData, "free some before it runs out", "the disk of %s has %s left", dir, bytes(free))
	default:
		e.ok(areaData, "the disk has space left")
	}
	return true
}

func bytes(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", n)
}
