package apikey_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"symbolon/internal/apikey"
	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/principal"
	"symbolon/internal/store"
	"symbolon/internal/store/storetest"
)

type world struct {
	*apikey.Service
	t     *testing.T
	store *store.Store
	now   time.Time
}

func newWorld(t *testing.T, o apikey.Options) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 5, 2, 10, 0, 0, 123456000, time.UTC)}
	so := storetest.SQLite(t)
	so.Now = func() time.Time { return w.now }
	w.store = storetest.Open(t, so)
	w.Service = apikey.New(w.store, so.Now, o)
	return w
}

// raw is a key's text of wire length, different for each n.
func raw(n int) string { return fmt.Sprintf("%032d", n) }

func (w *world) create(n int, entity string, permissions ...string) apikey.Key {
	w.t.Helper()
	k, err := w.Create(w.t.Context(), apikey.Request{Raw: raw(n), Entity: entity, Permissions: permissions})
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

func (w *world) accepts(s *apikey.Service, key, entity string) {
	w.t.Helper()
	p, err := s.Authenticate(w.t.Context(), key)
	if err != nil || p.Entity != entity {
		w.t.Errorf("Authenticate: %q, %v; want %q", p.Entity, err, entity)
	}
}

func (w *world) refuses(s *apikey.Service, key, want string) {
	w.t.Helper()
	p, err := s.Authenticate(w.t.Context(), key)
	if !errs.Is(err, errs.Unauthenticated) || err.Error() != want || !p.IsZero() {
		w.t.Errorf("Authenticate: %+v, %v; want %q", p, err, want)
	}
}

const unknown = "Invalid or expired API key"

func TestAKeyIsItsHolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apikey.Options{})
	k := w.create(1, "Agent:One ", "write", "read", "admin:federation", "read")
	p, err := w.Authenticate(t.Context(), raw(1))
	if err != nil {
		t.Fatal(err)
	}
	if p.Entity != "agent:one" || p.Tenant != "default" || p.KeyID != string(k.ID) ||
		!slices.Equal(p.Permissions, []principal.Permission{principal.AdminFederation, principal.Read, principal.Write}) {
		t.Errorf("Authenticate: %+v", p)
	}
	if k.CreatedAt != "2026-05-02T10:00:00+00:00" || k.ExpiresAt != nil {
		t.Errorf("created at %q, expires %v", k.CreatedAt, k.ExpiresAt)
	}
	for _, bad := range []string{"", raw(2), raw(1) + " ", raw(1)[1:], strings.Repeat("x", 1<<20), "\xff\x00"} {
		w.refuses(w.Service, bad, unknown)
	}
}

func TestTheTextOfAKeyIsNotStored(t *testing.T) {
	t.Parallel()
	o := storetest.SQLite(t)
	s := storetest.Open(t, o)
	keys := apikey.New(s, o.Now, apikey.Options{})
	const secret = "a-key-that-must-not-be-found-anywhere"
	if _, err := keys.Create(t.Context(), apikey.Request{Raw: secret, Entity: "agent:x", Permissions: []string{"read"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Authenticate(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(o.Dir)
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(o.Dir + "/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), secret) {
			t.Errorf("%s holds the key", f.Name())
		}
	}
}

func TestRevocationHoldsWithinASecondEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apikey.Options{})
	other := apikey.New(w.store, func() time.Time { return w.now }, apikey.Options{}) // as in another process
	k := w.create(1, "agent:one", "read")
	w.accepts(w.Service, raw(1), "agent:one")
	w.accepts(other, raw(1), "agent:one")
	if err := w.Revoke(t.Context(), principal.Principal{Entity: "agent:one"}, k.ID); err != nil {
		t.Fatal(err)
	}
	w.refuses(w.Service, raw(1), unknown)
	w.now = w.now.Add(time.Second)
	w.refuses(other, raw(1), unknown)
}

// A clock that goes back makes no verdict last longer.
func TestRevocationHoldsWhenTheClockGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apikey.Options{})
	other := apikey.New(w.store, func() time.Time { return w.now }, apikey.Options{})
	k := w.create(1, "agent:one", "read")
	w.accepts(other, raw(1), "agent:one")
	if err := w.Revoke(t.Context(), principal.Principal{Entity: "agent:one"}, k.ID); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(-time.Hour)
	w.refuses(other, raw(1), unknown)
}

func TestAKeyExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apikey.Options{})
	at := "2026-05-02T12:00:00+02:00" // in the very second
	end := "2026-05-02T12:00:01+02:00"
	for i, e := range []*string{&at, &end} {
		if _, err := w.Create(t.Context(), apikey.Request{Raw: raw(i), Entity: "agent:x", Permissions: []string{"read"}, ExpiresAt: e}); err != nil {
			t.Fatal(err)
		}
	}
	w.refuses(w.Service, raw(0), unknown)
	w.accepts(w.Service, raw(1), "agent:x")
	w.now = w.now.Add(800 * time.Millisecond)
	w.accepts(w.Service, raw(1), "agent:x")
	w.now = w.now.Add(100 * time.Millisecond) // verified less than recheck ago
	w.refuses(w.Service, raw(1), unknown)
}

// legacy stores a key as another node would have.
func (w *world) legacy() {
	w.t.Helper()
	const sum0 = "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"
	err := w.store.UpdateAPIKeys(w.t.Context(), func(tx apikey.Tx) error {
		return tx.InsertAPIKey(w.t.Context(), apikey.Key{ID: "k-legacy", Entity: "agent:old", Tenant: "default", Hash: sum0,
			Permissions: []principal.Permission{principal.Read}, CreatedAt: "2026-01-01T00:00:00+00:00"})
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// The golden vectors' key, whose SHA-256 and an Argon2id string are known.
var goldenRaw = strings.Repeat("a", 64)

func TestLegacyHashes(t *testing.T) {
	t.Parallel()
	t.Run("are accepted once and replaced", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, apikey.Options{LegacyUntil: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)})
		w.legacy()
		w.accepts(w.Service, goldenRaw, "agent:old")
		k, err := w.store.APIKey(t.Context(), "k-legacy")
		if err != nil || !strings.HasPrefix(k.Hash, "$argon2id$v=19$m=19456,t=2,p=1$") || len(k.Lookup) != 32 {
			t.Errorf("after its first use: %+v, %v", k, err)
		}
		w.now = w.now.AddDate(1, 0, 0)
		w.accepts(w.Service, goldenRaw, "agent:old") // replaced in time
		if e := w.event("api_key_rehashed"); string(e.Detail) != `{"from":"sha256","key_id":"k-legacy","to":"argon2id"}` {
			t.Errorf("audited as %s", e.Detail)
		}
	})
	t.Run("are refused past the deadline", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, apikey.Options{LegacyUntil: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)})
		w.legacy()
		w.refuses(w.Service, goldenRaw, "Legacy API key hashes are no longer accepted; rotate the key.")
		w.refuses(w.Service, goldenRaw+"b", unknown)
	})
	t.Run("are no key by themselves", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, apikey.Options{})
		w.legacy()
		w.refuses(w.Service, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb", unknown)
	})
}

func (w *world) event(kind string) audit.Entry {
	w.t.Helper()
	entries, err := w.store.AuditEntries(w.t.Context(), 0, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type == kind {
			return e
		}
	}
	w.t.Fatalf("no %s in the audit log", kind)
	return audit.Entry{}
}

func TestAStoredHashIsVerified(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apikey.Options{})
	k := w.create(1, "agent:one", "read")
	// Whoever can write the table but does not know the key moves the look-up
	// to a row of another hash.
	for _, hash := range []string{
		"$argon2id$v=19$m=19456,t=2,p=1$IA9jn9AvgApG0BV7EToXMw$XhohTKp+ip8scJhb1Fhfic+S46qZeFS2TuUALP1eEo4", // of another text
		"$argon2id$v=19$m=4294967295,t=2,p=1$IA9jn9AvgApG0BV7EToXMw$XhohTKp+ip8scJhb1Fhfic+S46qZeFS2TuUALP1eEo4",
		"$argon2id$v=19$m=19456,t=2,p=1$IA9jn9AvgApG0BV7EToXMw$", "$argon2i$v=19$m=8,t=1,p=1$aaaa$bbbb", "x", "",
	} {
		err := w.store.UpdateAPIKeys(t.Context(), func(tx apikey.Tx) error {
			_, err := tx.RehashAPIKey(t.Context(), k.ID, k.Hash, k.Lookup, hash)
			k.Hash = hash
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		fresh := apikey.New(w.store, func() time.Time { return w.now }, apikey.Options{})
		if p, err := fresh.Authenticate(t.Context(), raw(1)); err == nil {
			t.Errorf("with the hash %q the key is accepted for %+v", hash, p)
		}
	}
}

func TestGoldenArgon2id(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apikey.Options{})
	k := w.create(1, "agent:one", "read")
	err := w.store.UpdateAPIKeys(t.Context(), func(tx apikey.Tx) error {
		if _, err := tx.DeleteAPIKey(t.Context(), k.ID); err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	k2, err := w.Create(t.Context(), apikey.Request{Raw: goldenRaw, Entity: "agent:golden", Permissions: []string{"read"}})
	if err != nil {
		t.Fatal(err)
	}
	err = w.store.UpdateAPIKeys(t.Context(), func(tx apikey.Tx) error {
		_, err := tx.RehashAPIKey(t.Context(), k2.ID, k2.Hash, k2.Lookup,
			"$argon2id$v=19$m=19456,t=2,p=1$IA9jn9AvgApG0BV7EToXMw$XhohTKp+ip8scJhb1Fhfic+S46qZeFS2TuUALP1eEo4")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.accepts(w.Service, goldenRaw, "agent:golden")
}

func TestRegister(t *testing.T) {
	t.Parallel()
	admin := principal.Principal{Entity: "agent:admin", Tenant: "acme", Permissions: []principal.Permission{principal.Admin}}
	text := func(s string) *string { return &s }
	for _, tt := range []struct {
		name   string
		as     principal.Principal
		maxAge time.Duration
		change func(r *apikey.Request)
		kind   errs.Kind
		msg    string
		check  func(t *testing.T, k apikey.Key)
	}{
		{"a plain one gets the caller's tenant and 90 days", admin, 90 * 24 * time.Hour, func(*apikey.Request) {}, 0, "", func(t *testing.T, k apikey.Key) {
			if k.Tenant != "acme" || *k.ExpiresAt != "2026-07-31T10:00:00+00:00" || k.Entity != "agent:new" {
				t.Errorf("registered %+v until %s", k, *k.ExpiresAt)
			}
		}},
		{"without a policy it never expires", admin, 0, func(*apikey.Request) {}, 0, "", func(t *testing.T, k apikey.Key) {
			if k.ExpiresAt != nil {
				t.Errorf("expires %s", *k.ExpiresAt)
			}
		}},
		{"an end within the policy is kept, in UTC", admin, 90 * 24 * time.Hour,
			func(r *apikey.Request) { r.ExpiresAt = text("2026-06-01T02:00:00+02:00") }, 0, "", func(t *testing.T, k apikey.Key) {
				if *k.ExpiresAt != "2026-06-01T00:00:00+00:00" {
					t.Errorf("expires %s", *k.ExpiresAt)
				}
			}},
		{"not by others than admins", principal.Principal{Entity: "agent:w", Permissions: []principal.Permission{principal.Write}}, 0,
			func(*apikey.Request) {}, errs.Forbidden, "admin permission required to mint API keys", nil},
		{"unknown permissions", admin, 0, func(r *apikey.Request) { r.Permissions = []string{"read", "fly", "a'b"} }, errs.Invalid,
			`unknown permissions: ["a'b", 'fly']; allowed: ['admin', 'audit.read', 'federate', 'instruction:write', 'read', 'write']`, nil},
		{"approving peers is not given over the wire", admin, 0, func(r *apikey.Request) { r.Permissions = []string{"admin:federation"} }, errs.Invalid,
			"unknown permissions: ['admin:federation']; allowed: ['admin', 'audit.read', 'federate', 'instruction:write', 'read', 'write']", nil},
		{"no permission", admin, 0, func(r *apikey.Request) { r.Permissions = nil }, errs.Invalid, "permissions list must be non-empty", nil},
		{"a text in use", admin, 0, func(r *apikey.Request) { r.Raw = raw(1) }, errs.Conflict, "raw_key already exists; generate a new key value", nil},
		{"a text in use as a legacy key", admin, 0, func(r *apikey.Request) { r.Raw = goldenRaw }, errs.Conflict, "raw_key already exists; generate a new key value", nil},
		{"a bad tenant", admin, 0, func(r *apikey.Request) { r.Tenant = text("Bad Tenant!") }, errs.Invalid, "tenant_id_invalid: 'Bad Tenant!'", nil},
		{"an empty tenant", admin, 0, func(r *apikey.Request) { r.Tenant = text(" ") }, errs.Invalid, "tenant_id_empty", nil},
		{"too far an end", admin, 90 * 24 * time.Hour, func(r *apikey.Request) { r.ExpiresAt = text("2026-08-01T00:00:00Z") }, errs.Invalid,
			"expires_at exceeds configured static API key max age (90 days)", nil},
		{"an end that is none", admin, 0, func(r *apikey.Request) { r.ExpiresAt = text("tomorrow") }, errs.Invalid, "expires_at must be an ISO 8601 timestamp", nil},
		{"a blank entity", admin, 0, func(r *apikey.Request) { r.Entity = " " }, errs.Invalid, "invalid_entity_uri: entity URI must not be empty", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, apikey.Options{MaxAge: tt.maxAge})
			w.create(1, "agent:one", "read")
			w.legacy()
			r := apikey.Request{Raw: raw(2), Entity: "agent:new", Permissions: []string{"write", "read"}}
			tt.change(&r)
			k, err := w.Register(t.Context(), tt.as, r)
			if tt.kind == 0 {
				if err != nil {
					t.Fatal(err)
				}
				tt.check(t, k)
				w.accepts(w.Service, r.Raw, "agent:new")
				return
			}
			if !errs.Is(err, tt.kind) || err.Error() != tt.msg {
				t.Errorf("Register: %v (%v), want %q", err, errs.KindOf(err), tt.msg)
			}
		})
	}
}

func TestRegistrationIsAudited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apikey.Options{})
	k := w.create(1, "agent:one", "write", "read")
	e := w.event("admin_action")
	want := fmt.Sprintf(`{"action":"api_key_register","new_key_id":%q,"target_entity_uri":"agent:one","permissions":["read","write"],"has_expiry":false}`, k.ID)
	if string(e.Detail) != want || e.Actor != "system:symbolon" {
		t.Errorf("audited as %s by %s, want %s", e.Detail, e.Actor, want)
	}
	if b, _ := json.Marshal(e); strings.Contains(string(b), raw(1)) {
		t.Error("the audit log holds the key")
	}
}

func TestListingAndRevoking(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apikey.Options{})
	one := w.create(1, "agent:one", "read")
	w.now = w.now.Add(time.Hour)
	two := w.create(2, "agent:one", "write", "read")
	other := w.create(3, "agent:other", "read")
	soon := "2026-05-12T11:00:00.123456+00:00"
	brief, err := w.Create(t.Context(), apikey.Request{Raw: raw(4), Entity: "agent:brief", Permissions: []string{"read"}, ExpiresAt: &soon})
	if err != nil {
		t.Fatal(err)
	}
	mine, err := w.Mine(t.Context(), principal.Principal{Entity: "agent:one"})
	if err != nil || len(mine) != 2 || mine[0].ID != two.ID || mine[1].ID != one.ID || !slices.Equal(mine[0].Permissions, two.Permissions) {
		t.Errorf("Mine: %+v, %v", mine, err)
	}
	admin := principal.Principal{Entity: "agent:admin", Permissions: []principal.Permission{principal.Admin}}
	if list, err := w.ExpiringSoon(t.Context(), admin, 9); err != nil || len(list) != 0 {
		t.Errorf("within 9 days: %+v, %v", list, err)
	}
	list, err := w.ExpiringSoon(t.Context(), admin, 10)
	if err != nil || len(list) != 1 || list[0].ID != brief.ID || list[0].Days != 10 {
		t.Errorf("within 10 days: %+v, %v", list, err)
	}
	if _, err := w.ExpiringSoon(t.Context(), principal.Principal{}, 10); !errs.Is(err, errs.Forbidden) {
		t.Errorf("a stranger lists: %v", err)
	}
	for _, tt := range []struct {
		key  string
		kind errs.Kind
		msg  string
	}{
		{string(other.ID), errs.Forbidden, "Cannot revoke another entity's key"},
		{"nosuch", errs.NotFound, "Key not found"},
		{"\x00", errs.NotFound, "Key not found"},
	} {
		if err := w.Revoke(t.Context(), principal.Principal{Entity: "agent:one"}, id.UUID(tt.key)); !errs.Is(err, tt.kind) || err.Error() != tt.msg {
			t.Errorf("Revoke(%q): %v, want %q", tt.key, err, tt.msg)
		}
	}
	w.accepts(w.Service, raw(3), "agent:other")
	if err := w.Remove(t.Context(), other.ID); err != nil {
		t.Error(err)
	}
	w.refuses(w.Service, raw(3), unknown)
	if err := w.Remove(t.Context(), other.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// The cost of a request does not grow with the keys, and a warm one computes no
// Argon2id: 64 callers at once with a key among a hundred take next to no time.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apikey.Options{})
	for i := range 100 {
		key := apikey.Key{ID: id.UUID(fmt.Sprint("k", i)), Entity: "agent:filler", Tenant: "default", Hash: fmt.Sprint("h", i),
			Permissions: []principal.Permission{principal.Read}, CreatedAt: "2026-01-01T00:00:00+00:00", Lookup: []byte(fmt.Sprint("l", i))}
		if err := w.store.UpdateAPIKeys(t.Context(), func(tx apikey.Tx) error { return tx.InsertAPIKey(t.Context(), key) }); err != nil {
			t.Fatal(err)
		}
	}
	w.create(1, "agent:last", "read")
	w.accepts(w.Service, raw(1), "agent:last")
	start := time.Now()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 20 {
				w.accepts(w.Service, raw(1), "agent:last")
				w.refuses(w.Service, raw(2), unknown)
			}
		})
	}
	wg.Wait()
	// One Argon2id each would be 1280 times some 20 ms.
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("2560 requests took %v", took)
	}
}
