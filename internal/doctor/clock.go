package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/store"
)

// aheadNoticed is how far a stored instant may lie ahead of the clock before it is
// worth a word: two processes of one machine agree better than that.
const aheadNoticed = 2 * time.Second

// clock compares the wall clock with what the store says it once was.
func (e *exam) clock(ctx context.Context) {
	now := e.Now().UTC()
	before := len(e.found)
	if !epoch.SecondsOf(now).Plausible() {
		e.problem(areaClock, "set the clock and keep it set, for example with chrony", "the clock says %s, which it cannot be", now.Format(time.RFC3339))
	}
	if e.look != nil {
		st, err := e.look.State(ctx)
		if err != nil {
			e.problem(areaStore, "restore a backup", "the node's row cannot be read: %v", err)
			return
		}
		e.ahead(now, st.Clock.Wall.Time(), "the newest clock value in the store",
			"facts are stamped after that instant until the clock has reached it, and peers may refuse them")
		e.ahead(now, st.Last.Time(), "the newest entry of the audit log", "the order of the log stays right and its times do not")
	}
	if len(e.found) == before {
		e.ok(areaClock, "the clock is plausible and not behind what the store has seen")
	}
}

func (e *exam) ahead(now, stored time.Time, what, so string) {
	d := stored.Sub(now)
	if d <= aheadNoticed {
		return
	}
	severity := Warning
	if e.Config.Federation.MaxFutureSkew > 0 && d > e.Config.Federation.MaxFutureSkew {
		severity = Problem
	}
	e.add(severity, areaClock, fmt.Sprintf("set the clock right if it is behind; if it once was ahead, wait until %s: %s", stored.Format(time.RFC3339), so),
		"%s lies %v ahead of the clock", what, d.Round(time.Second))
}

// quickEntries is how many entries of the audit log are verified without being asked
// for all.
const quickEntries = 20_000

// audit verifies the chain of the audit log, or its end.
func (e *exam) audit(ctx context.Context) {
	if e.look == nil {
		return
	}
	most := int64(quickEntries)
	if e.Full {
		most = 1 << 62
	}
	v, whole, err := e.look.VerifyAuditTail(ctx, most)
	switch {
	case err != nil:
		e.problem(areaAudit, "try `symbolon audit verify`, and restore a backup when it fails too", "the audit log cannot be read: %v", err)
	case v.Broken != nil:
		e.problem(areaAudit, "find out who could write to the store: keep a copy of it as it is, and compare with a backup; `symbolon audit verify` walks the whole log",
			"the audit log does not hold: %s", broken(v))
	case whole:
		e.ok(areaAudit, "the audit log holds, all %d entries of it", v.Entries)
	default:
		e.ok(areaAudit, "the last %d entries of the audit log hold; `symbolon audit verify` walks all", v.Entries)
	}
}

func broken(v store.Verification) string {
	var b *audit.Break
	if errors.As(v.Broken, &b) {
		return fmt.Sprintf("entry %d is %s: %s", b.Seq, b.Fault, b.Detail)
	}
	return v.Broken.Error()
}
