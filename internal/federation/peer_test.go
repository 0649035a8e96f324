package federation

import (
	"testing"

	"symbolon/internal/errs"
)

// TestTransitions walks every event from every status: what is in the table goes
// where the table says, and everything else is a conflict that changes nothing.
func TestTransitions(t *testing.T) {
	t.Parallel()
	events := []Event{Verified, Refused, Approve, Suspend, Resume, Revoke, Rekey, Remove}
	want := map[Status]string{ // the statuses that the events lead to, "-" for a conflict
		removed:             "pending_approval rejected - - - - - -",
		PendingVerification: "pending_approval rejected - - - revoked - removed",
		Rejected:            "pending_approval rejected - - - - - removed",
		PendingApproval:     "- - active - - revoked - removed",
		Active:              "- - - suspended - revoked active removed",
		Suspended:           "- - - - active revoked suspended removed",
		Revoked:             "- - - - - - - removed",
	}
	for from, row := range want {
		got := ""
		for _, ev := range events {
			to, err := from.next(ev)
			name := string(to)
			switch {
			case err != nil && (!errs.Is(err, errs.Conflict) || to != from):
				t.Errorf("%q, %s: %q, %v; want a conflict that keeps the status", from, ev, to, err)
			case err != nil:
				name = "-"
			case to == removed:
				name = "removed"
			}
			got += " " + name
		}
		if got[1:] != row {
			t.Errorf("from %q the events %v lead to\n%s, want\n%s", from, events, got[1:], row)
		}
	}
	if len(want) != len(transitions) {
		t.Errorf("%d statuses have transitions, %d are tested", len(transitions), len(want))
	}
	for _, ev := range events {
		if audited[ev] == "" {
			t.Errorf("the event %s is not audited", ev)
		}
	}
}

func TestOnlyAnOperatorMakesAPeerActive(t *testing.T) {
	t.Parallel()
	for from, row := range transitions {
		for ev, to := range row {
			if to == Active && ev != Approve && ev != Resume {
				t.Errorf("%q becomes active by %s", from, ev)
			}
		}
	}
}

func TestConflictTextsAreTheWires(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		from Status
		ev   Event
		want string
	}{
		{Active, Approve, "peer is not pending approval (status=active)"},
		{Active, Verified, "peer already registered (status=active)"},
		{PendingApproval, Refused, "peer already registered (status=pending_approval)"},
	} {
		if _, err := tt.from.next(tt.ev); err == nil || err.Error() != tt.want {
			t.Errorf("%s, %s: %v, want %q", tt.from, tt.ev, err, tt.want)
		}
	}
}
