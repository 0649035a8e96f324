package federation_test

import (
	"fmt"
	"testing"

	"symbolon/internal/id"
	"symbolon/internal/testkit/fedtest"
)

// auditCases holds D10: the federation log.
func auditCases(t *testing.T) {
	t.Helper()
	t.Run("D10_every entry is reached exactly once", func(t *testing.T) {
		t.Parallel()
		const path = "/v1/federation/audit"
		n, p := joined(t, fedtest.Options{})
		q := fedtest.Join(t, n, id.Public)
		for range 7 {
			n.Do(t, "GET", pullPath+"?scope=local", "Bearer "+p.Token(n), nil).Want(t, 403, "")
			n.Do(t, "GET", pullPath+"?scope=team", "Bearer "+q.Token(n), nil).Want(t, 403, "")
		}
		n.Do(t, "GET", path, reader, nil).Want(t, 403, "federate permission required")
		n.Do(t, "GET", path, "", nil).Want(t, 401, "")
		type page struct {
			Entries []struct {
				ID, TS string
				PeerID string         `json:"peer_id"`
				Type   string         `json:"event_type"`
				Detail map[string]any `json:"detail"`
			}
			Cursor  *string
			HasMore bool `json:"has_more"`
		}
		read := func(query string) (ids []string) {
			t.Helper()
			seen := map[string]bool{}
			cursor := ""
			for range 100 {
				var got page
				res := n.Do(t, "GET", path+"?limit=3"+query+cursor, federate, nil)
				res.Want(t, 200, "")
				res.JSON(t, &got)
				for _, e := range got.Entries {
					if seen[e.ID] || e.TS == "" || e.PeerID == "" || e.Detail == nil {
						t.Errorf("entry %+v, seen before: %v", e, seen[e.ID])
					}
					seen[e.ID] = true
					ids = append(ids, e.ID)
				}
				if got.HasMore != (got.Cursor != nil) {
					t.Errorf("has_more %v with cursor %v", got.HasMore, got.Cursor)
				}
				if got.Cursor == nil {
					return ids
				}
				cursor = "&cursor=" + *got.Cursor
			}
			t.Fatal("the log does not end")
			return nil
		}
		for query, want := range map[string]int{
			"": 18, "&event_type=scope_violation": 14, "&peer_id=" + p.RowID: 9, "&peer_id=" + q.RowID + "&event_type=scope_violation": 7,
			"&event_type=peer_approved": 2, "&event_type=no_such_type": 0, "&peer_id=nobody": 0,
		} {
			if got := len(read(query)); got != want {
				t.Errorf("%d entries for %q, want %d", got, query, want)
			}
		}
		for _, bad := range []string{"?limit=0", "?limit=501", "?limit=x"} {
			n.Do(t, "GET", path+bad, federate, nil).Want(t, 422, "")
		}
		for _, bad := range []string{"zz", "-1", "01", "9999999999999999999", "1.0"} {
			if res := n.Do(t, "GET", path+"?cursor="+bad, federate, nil); res.Status != 400 {
				t.Errorf("cursor %s: %d %s, want 400", bad, res.Status, res.Body)
			}
		}
		if res := n.Do(t, "GET", path+fmt.Sprint("?cursor=", 1<<40), federate, nil); res.Status != 200 {
			t.Errorf("a cursor of the future: %d", res.Status)
		}
	})
}
