package store

import (
	"context"
	"strings"
	"testing"
	"time"

	"symbolon/internal/fact"
	"symbolon/internal/id"
)

// explainer answers with the plan of each statement instead of its rows.
type explainer struct {
	Querier
	plans []string
}

func (e *explainer) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	rows, err := e.Querier.Query(ctx, "EXPLAIN QUERY PLAN "+query, args...)
	plan, err := Collect(rows, err, func(r Row) (string, error) {
		var step string
		return step, r.Scan(new(any), new(any), new(any), &step)
	})
	if err != nil {
		return nil, err
	}
	e.plans = append(e.plans, strings.Join(plan, "; "))
	return e.Querier.Query(ctx, "SELECT 1 WHERE FALSE")
}

func (e *explainer) QueryRow(ctx context.Context, query string, args ...any) Row {
	if rows, err := e.Query(ctx, query, args...); err == nil { // a bad statement shows as a missing plan
		rows.Close()
	}
	return e.Querier.QueryRow(ctx, "SELECT 1 WHERE FALSE")
}

// Each query of facts is led by an index that gives its rows, where they are many in
// their order, so that its cost does not grow with the table.
func TestFactQueriesUseTheirIndexes(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	cursor := fact.Cursor{At: "1"}
	for _, tt := range []struct {
		name   string
		run    func(r factReads) error
		want   []string // in each plan, in order
		sorted bool     // no temporary table for the order
	}{
		{"current of an entity", func(r factReads) error {
			_, _, err := r.Current(ctx, fact.Query{Tenant: "t", Entity: "e", Limit: 10}, "n")
			return err
		}, []string{"SEARCH h USING INDEX sqlite_autoindex_fact_heads_1 (tenant=? AND entity=?)"}, false},
		{"current of an entity and a relation", func(r factReads) error {
			_, _, err := r.Current(ctx, fact.Query{Tenant: "t", Entity: "e", Relation: "r", Scope: id.Local, Limit: 10, Cursor: cursor}, "n")
			return err
		}, []string{"SEARCH h USING INDEX sqlite_autoindex_fact_heads_1 (tenant=? AND entity=? AND relation_hash=? AND scope=?)"}, false},
		{"current of all", func(r factReads) error {
			_, _, err := r.Current(ctx, fact.Query{Tenant: "t", Scope: id.Public, Limit: 10, Cursor: cursor}, "n")
			return err
		}, []string{"SEARCH h USING INDEX fact_heads_hlc (tenant=? AND hlc<?)"}, true},
		{"current of a relation", func(r factReads) error {
			_, _, err := r.Current(ctx, fact.Query{Tenant: "t", Relation: "r", Limit: 10, Cursor: cursor}, "n")
			return err
		}, []string{"SEARCH h USING INDEX fact_heads_relation (tenant=? AND relation_hash=? AND hlc<?)"}, true},
		{"history of an entity", func(r factReads) error {
			_, err := r.History(ctx, fact.Query{Tenant: "t", Entity: "e", Limit: 10, Cursor: cursor}, "n")
			return err
		}, []string{"SEARCH h USING INDEX sqlite_autoindex_fact_heads_1 (tenant=? AND entity=?)", "SEARCH h USING PRIMARY KEY (tenant=? AND entity=? AND hlc<?)"}, false},
		{"history of all", func(r factReads) error {
			_, err := r.History(ctx, fact.Query{Tenant: "t", Limit: 10}, "n")
			return err
		}, []string{"SEARCH f USING INDEX facts_outbound (tenant=?)", "SEARCH f USING INDEX facts_inward (tenant=?)"}, true},
		{"what may go to a peer", func(r factReads) error {
			_, err := r.Replicable(ctx, id.ScopesOf(id.Public), "1", 10)
			return err
		}, []string{"SEARCH f USING INDEX facts_outbound (tenant=? AND hlc>?)"}, true},
		{"a fact by id", func(r factReads) error { _, err := r.Fact(ctx, "t", "f"); return ignoreMissing(err) },
			[]string{"SEARCH f USING INDEX sqlite_autoindex_facts_1 (tenant=? AND id=?)"}, true},
		{"a fact by content id", func(r factReads) error {
			_, err := r.FactByCID(ctx, "t", id.CIDOf([32]byte{}))
			return ignoreMissing(err)
		}, []string{"SEARCH f USING INDEX facts_cid (tenant=? AND cid=?)"}, false},
		{"heads of a key", func(r factReads) error { _, err := r.Heads(ctx, fact.Key{}); return err },
			[]string{"SEARCH h USING INDEX sqlite_autoindex_fact_heads_1 (tenant=? AND entity=? AND relation_hash=? AND scope=? AND garden_id=?)"}, true},
		{"conflicts", func(r factReads) error {
			_, err := r.Conflicts(ctx, fact.ConflictQuery{Tenant: "t", Limit: 10})
			return err
		}, []string{"SEARCH conflicts USING INDEX conflicts_detected (tenant=?)"}, true},
		{"conflicts of a status", func(r factReads) error {
			_, err := r.Conflicts(ctx, fact.ConflictQuery{Tenant: "t", Status: "unresolved", Limit: 10, After: fact.Cursor{At: "1", ID: "2"}})
			return err
		}, []string{"SEARCH conflicts USING INDEX conflicts_status (tenant=? AND status=? AND (detected_at,id)<(?,?))"}, true},
	} {
		e := &explainer{Querier: s.Reader()}
		if err := tt.run(factReads{q: e}); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if len(e.plans) != len(tt.want) {
			t.Errorf("%s: plans %q, want %q", tt.name, e.plans, tt.want)
			continue
		}
		for i, plan := range e.plans {
			if !strings.HasPrefix(plan, tt.want[i]) {
				t.Errorf("%s: plan %q, want it led by %q", tt.name, plan, tt.want[i])
			}
			if tt.sorted && strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("%s: the rows are sorted: %q", tt.name, plan)
			}
		}
	}
}

func ignoreMissing(err error) error {
	if err == errNoFact { //nolint:errorlint // the very value
		return nil
	}
	return err
}
