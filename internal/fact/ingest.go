package fact

import (
	"context"
	"strings"
	"time"

	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/id"
)

// Bounds of texts that a peer chose and that are index keys here.
const (
	MaxForeignID        = 128
	MaxForeignTimestamp = 64
)

// Ingest stores a fact that a peer sent, with the meta fact that says who sent it,
// in the caller's transaction. It reports false, and writes nothing, when the fact
// of that id is there already. The caller has checked what the peer may say, and
// has set ReceivedFrom and HLC; now is the wall clock. An error of kind
// Unprocessable says that the fact cannot be stored as it is.
func Ingest(ctx context.Context, tx Tx, f *Fact, now time.Time) (fresh bool, err error) {
	if err := f.ingestible(); err != nil {
		return false, err
	}
	_, err = tx.Fact(ctx, f.Tenant, f.ID)
	if !errs.Is(err, errs.NotFound) {
		return false, err
	}
	inserted, err := tx.Insert(ctx, f, 0)
	if err == nil && !inserted {
		// We have its content under another id already.
		var count int
		if _, count, err = tx.Latest(ctx, f); err == nil {
			inserted, err = tx.Insert(ctx, f, count)
		}
	}
	if err == nil && !inserted {
		err = errs.E(errs.Internal, "fact: received fact %s cannot be inserted", f.ID)
	}
	if err != nil {
		return false, err
	}
	at := Timestamp(now)
	meta := stated{tenant: f.Tenant, entity: id.Entity(f.ID), scope: id.Local, source: SystemSource, by: SystemSource, at: at}
	if _, err := meta.state(ctx, tx, "stigmem:received_from", canon.Ref, f.ReceivedFrom); err != nil {
		return false, err
	}
	if f.QuarantineStatus == Pending {
		return true, nil
	}
	f.Contradicted, err = follow(ctx, tx, f, at)
	return true, err
}

// ingestible checks what the tables and the order of pages rest on.
func (f *Fact) ingestible() error {
	refuse := func(what string) error {
		return errs.E(errs.Unprocessable, "a received fact's %s cannot be stored", what)
	}
	plain := func(s string, limit int) bool {
		return s != "" && len(s) <= limit && validText(s) && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
	}
	switch {
	case f.ReceivedFrom == "" || f.HLC == "" || f.Tenant == "":
		return errs.E(errs.Internal, "fact: ingest without sender, clock or tenant")
	case !plain(string(f.ID), MaxForeignID):
		return refuse("id")
	case !plain(f.Timestamp, MaxForeignTimestamp):
		return refuse("timestamp")
	case f.Entity == "" || len(f.Entity) > id.MaxEntityLen || !validText(string(f.Entity)):
		return refuse("entity")
	case f.Source == "" || len(f.Source) > id.MaxEntityLen || !validText(string(f.Source)):
		return refuse("source")
	case f.Relation == "" || !validText(f.Relation):
		return refuse("relation")
	case f.Scope == id.NoScope:
		return refuse("scope")
	case !(f.Confidence >= 0 && f.Confidence <= 1):
		return refuse("confidence")
	case f.Value.InterpretAs != Content && f.Value.InterpretAs != Instruction:
		return refuse("interpret_as")
	case f.ValidUntil != nil && !validText(*f.ValidUntil), !validText(f.Value.V):
		return refuse("value")
	}
	_, err := canon.ParseValueType(string(f.Value.Type))
	return err
}
