package store

import (
	"context"
	"errors"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/federation"
	"symbolon/internal/hlc"
	"symbolon/internal/store/migrations"
	"symbolon/internal/store/sqlite"
)

// A Look is a database opened to be looked at: nothing is made, migrated or written,
// and a node that has it open does not notice. Close it.
type Look struct {
	eng     engine
	pending bool
}

// LookAt opens the database that o names for reading alone. The error is an
// *[OpenError], or fs.ErrNotExist when there is no SQLite file.
func LookAt(ctx context.Context, o Options) (*Look, error) {
	if o.URL != "" {
		e, err := openPostgres(ctx, o, false)
		if err != nil {
			return nil, err
		}
		pending, err := check(ctx, e.Reader())
		if err != nil {
			_ = e.Close(ctx) // what was found says more
			return nil, postgresError(err)
		}
		return &Look{e, pending}, nil
	}
	e, err := sqlite.LookAt(ctx, o.Dir)
	if err != nil {
		return nil, sqliteError(o, err)
	}
	pending, err := inspect(ctx, e)
	if err != nil {
		_ = e.Close(ctx) // what was found says more
		return nil, sqliteError(o, err)
	}
	return &Look{e, pending}, nil
}

// Exists reports whether there is a database to open: PostgreSQL is taken to be
// there.
func Exists(o Options) bool { return o.URL != "" || exists(o) }

// Close closes the database.
func (l *Look) Close(ctx context.Context) error { return l.eng.Close(ctx) }

// Reader runs single statements that only read.
func (l *Look) Reader() Querier { return l.eng.Reader() }

// Pending reports whether the schema is behind this binary's. Then tables may be
// missing.
func (l *Look) Pending() bool { return l.pending }

// Migrated reports whether the database was ever migrated, so that the node's row
// and its settings are there.
func (l *Look) Migrated(ctx context.Context) (bool, error) {
	applied, err := migrations.Applied(ctx, l.Reader())
	return len(applied) > 0, err
}

// A State is what the node's row says, and the instant of the newest audit entry.
type State struct {
	Clock hlc.HLC    // the high-water mark; zero in a store that was never written
	Audit audit.Head // of the chain
	Last  epoch.Micros
}

// State reads the node's row and the newest audit entry.
func (l *Look) State(ctx context.Context) (State, error) {
	var st nodeState
	if err := st.scan(l.Reader().QueryRow(ctx, nodeStateQuery)); err != nil {
		return State{}, err
	}
	out := State{Clock: st.hlc, Audit: st.head}
	err := l.Reader().QueryRow(ctx, "SELECT at FROM audit_log ORDER BY seq DESC LIMIT 1").Scan(&out.Last)
	if errors.Is(err, ErrNoRows) {
		err = nil
	}
	return out, err
}

// Peers returns every federation peer, the oldest first.
func (l *Look) Peers(ctx context.Context) ([]federation.Peer, error) {
	return peerReads{q: l.Reader()}.Peers(ctx)
}

// VerifyAudit is [Store.VerifyAudit].
func (l *Look) VerifyAudit(ctx context.Context, progress func(checked, total int64)) (out Verification, err error) {
	err = l.eng.Snapshot(ctx, func(q Querier) error {
		out, err = VerifyAuditIn(ctx, q, progress)
		return err
	})
	return out, err
}

// VerifyAuditTail verifies the last n entries of the audit log and that it ends where
// the node recorded. What comes before them is taken on trust; whole reports that
// there is nothing before them.
func (l *Look) VerifyAuditTail(ctx context.Context, n int64) (out Verification, whole bool, err error) {
	err = l.eng.Snapshot(ctx, func(q Querier) error {
		var st nodeState
		if err := st.scan(q.QueryRow(ctx, nodeStateQuery)); err != nil {
			return err
		}
		out = Verification{Head: st.head}
		after := max(st.head.Seq-n, 0)
		whole = after == 0
		rows, err := q.Query(ctx, "SELECT "+entryColumns+" FROM audit_log WHERE seq > $1 ORDER BY seq", after)
		if err != nil {
			return err
		}
		defer rows.Close()
		var v audit.Verifier
		for rows.Next() {
			e, err := ScanAuditEntry(rows)
			if err != nil {
				return err
			}
			if out.Entries == 0 && !whole {
				v = audit.Resume(audit.Head{Seq: after, Hash: e.Prev})
			}
			if out.Broken = v.Next(e); out.Broken != nil {
				return nil
			}
			out.Entries++
		}
		if err := rows.Err(); err != nil {
			return err
		}
		out.Broken = v.End(st.head)
		return nil
	})
	return out, whole, err
}

// Check is [Store.Check].
func (l *Look) Check(ctx context.Context, limit int) ([]string, error) {
	return l.eng.Check(ctx, limit)
}
