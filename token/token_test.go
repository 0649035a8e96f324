package token

import (
	"bytes"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"symbolon/epoch"
)

func TestTheListOfReasonsIsClosedAndDocumented(t *testing.T) {
	rs := Reasons()
	if len(rs) != 26 {
		t.Errorf("%d reasons, want 26", len(rs))
	}
	sorted := slices.Clone(rs)
	slices.Sort(sorted)
	if len(slices.Compact(sorted)) != len(rs) {
		t.Error("a reason is listed twice")
	}
	book, err := os.ReadFile("../docs/tokens.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rs {
		if !bytes.Contains(book, []byte("`"+string(r)+"`")) {
			t.Errorf("docs/tokens.md does not say what %s means", r)
		}
	}
}

func TestEveryFaultOfTimeHasItsReason(t *testing.T) {
	seen := map[Reason]bool{}
	for f := epoch.Expired; f <= epoch.LifetimeTooLong; f++ {
		r := ReasonOf(f)
		if r == "" || seen[r] || !slices.Contains(Reasons(), r) {
			t.Errorf("ReasonOf(%d) = %q", f, r)
		}
		seen[r] = true
	}
	if ReasonOf(epoch.Fine) != "" {
		t.Error("no fault has a reason")
	}
}

func TestARejectionTellsAnOperatorWhatItKnows(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	r := &Rejection{
		Reason: UnitMismatch, Kind: Peer, KeyID: "k", Peer: "stigmem:node:b", Now: now, IssuedAt: now.Add(-90 * time.Second), Expires: now.Add(time.Hour),
		Leeway: 30 * time.Second, LooksLike: epoch.UnitSeconds, Claim: "exp", Detail: "why",
	}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("auth.rejected", "r", r)
	for _, want := range []string{"r.kind=peer", "r.reason=unit_mismatch", "r.key_id=k", "r.peer=stigmem:node:b", "r.claim=exp", "r.looks_like=seconds", "r.skew_seconds=-90",
		"r.leeway_seconds=30", "r.expires=2026-01-01T13:00:00Z", "r.detail=why"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
	if got := r.Error(); got != "peer token refused: unit_mismatch: why" {
		t.Errorf("Error: %q", got)
	}
	if bare := (&Rejection{Reason: Malformed, Kind: Identity}); bare.Skew() != 0 || len(bare.LogValue().Group()) != 2 || bare.Error() != "identity token refused: malformed" {
		t.Errorf("a bare rejection: %v, %v", bare, bare.LogValue())
	}
}
