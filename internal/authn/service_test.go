package authn_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"symbolon/internal/authn"
	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/issuer"
	"symbolon/internal/testkit/cloud"
)

// request is a login by password.
func request(t *testing.T, c *cloud.Cloud, userID, password string) authn.Request {
	t.Helper()
	data, err := json.Marshal(map[string]any{"user": map[string]string{"id": userID, "password": password}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := c.Logins.Parse([]string{"password"}, map[string]json.RawMessage{"password": data})
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// A comparison of a password that a test holds back.
type comparison struct {
	t       *testing.T
	free    func()
	waiting func() int64
	result  chan error
}

// hold lets do begin and waits until it has to wait for a slot of the pool, which is
// after it has read what it will compare with.
func hold(t *testing.T, c *cloud.Cloud, do func() error) comparison {
	t.Helper()
	free, waiting := c.Hasher.Hold(t.Context())
	h := comparison{t, free, waiting, make(chan error, 1)}
	go func() { h.result <- do() }()
	for end := time.Now().Add(5 * time.Second); waiting() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no comparison came to wait")
		}
	}
	return h
}

func (h comparison) goOn() error {
	h.free()
	return <-h.result
}

// A lock that falls between reading the count and comparing the password holds.
func TestALockDuringTheComparisonHolds(t *testing.T) {
	c := cloud.New(t, cloud.Config{Authn: authn.Config{LockoutAttempts: 3}})
	u := c.User(t, "alice", "alice password")
	h := hold(t, c, func() error { return c.Logins.CheckPassword(t.Context(), u.ID, "alice password") })
	err := c.Store.UpdateIdentity(t.Context(), func(tx identity.Tx) error {
		for range 3 {
			if _, err := tx.RecordFailure(t.Context(), u.ID, c.Clock.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.goOn(); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("a guess compared while the account was locked: %v", err)
	}
	if got := c.Failures(); len(got) != 1 || got[0].Reason != authn.Locked {
		t.Errorf("failures %+v", got)
	}
}

// setPassword changes a password as an administrator does.
func setPassword(t *testing.T, c *cloud.Cloud, userID, password string) {
	t.Helper()
	other, err := authn.NewHasher(authn.HasherConfig{Params: authn.Params{Cost: 4}})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := other.Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Store.UpdateIdentity(t.Context(), func(tx identity.Tx) error {
		if err := tx.SetPassword(t.Context(), userID, identity.Password{Hash: hash, CreatedAt: c.Clock.Now()}, 1); err != nil {
			return err
		}
		return identity.Revoke(t.Context(), tx, identity.RevocationEvent{UserID: userID}, c.Clock.Now(), time.Hour)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Somebody who knows the old password begins to log in; the user changes it; then
// the comparison succeeds. No token comes of it, whatever the clock says by then.
func TestALoginDoesNotOutliveItsPassword(t *testing.T) {
	for _, later := range []time.Duration{0, time.Millisecond, 10 * time.Second} {
		c := cloud.New(t, cloud.Config{})
		u := c.User(t, "alice", "old")
		c.Clock.Advance(time.Minute)
		var text string
		h := hold(t, c, func() (err error) {
			text, _, err = c.Logins.Login(t.Context(), request(t, c, u.ID, "old"))
			return err
		})
		setPassword(t, c, u.ID, "new")
		c.Clock.Advance(later)
		if err := h.goOn(); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("%v later: the old password gave %.10q, %v", later, text, err)
		}
		text, _, err := c.Logins.Login(t.Context(), request(t, c, u.ID, "new"))
		if err != nil {
			t.Errorf("%v later: the new password: %v", later, err)
		}
		if _, err := c.Issuer.Validate(t.Context(), text, issuer.Options{}); err != nil {
			t.Errorf("%v later: the token of the new password: %v", later, err)
		}
	}
}

// The same when the password is changed by another process, of which this one has
// not heard yet.
func TestALoginDoesNotOutliveItsPasswordElsewhere(t *testing.T) {
	a := cloud.New(t, cloud.Config{})
	u := a.User(t, "alice", "old")
	b := a.Peer(t)
	h := hold(t, b, func() error {
		_, _, err := b.Logins.Login(t.Context(), request(t, b, u.ID, "old"))
		return err
	})
	setPassword(t, a, u.ID, "new")
	if err := h.goOn(); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the old password: %v", err)
	}
	if _, _, err := b.Logins.Login(t.Context(), request(t, b, u.ID, "new")); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

// What somebody else's event revokes does not fail a login, and what revokes the
// user for another reason only makes it prove itself once more.
func TestALoginIsProvedAgainAfterAnEvent(t *testing.T) {
	c := cloud.New(t, cloud.Config{})
	u, other := c.User(t, "alice", "pw"), c.User(t, "bob", "pw")
	for _, about := range []string{other.ID, u.ID} {
		h := hold(t, c, func() error {
			_, _, err := c.Logins.Login(t.Context(), request(t, c, u.ID, "pw"))
			return err
		})
		err := c.Store.UpdateIdentity(t.Context(), func(tx identity.Tx) error {
			return identity.Revoke(t.Context(), tx, identity.RevocationEvent{UserID: about}, c.Clock.Now(), time.Hour)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.goOn(); err != nil {
			t.Errorf("an event about %s: %v", about, err)
		}
	}
}

// A change of password that was proved with a password which is no longer the
// user's does nothing.
func TestAChangeProvesThePasswordItReplaces(t *testing.T) {
	c := cloud.New(t, cloud.Config{})
	u := c.User(t, "alice", "old")
	change := c.Logins.ChangePassword(c.Dir)
	h := hold(t, c, func() error { return change(t.Context(), u.ID, "old", "the thief's") })
	setPassword(t, c, u.ID, "the administrator's")
	if err := h.goOn(); !errs.Is(err, errs.Conflict) {
		t.Errorf("the change: %v, want a conflict", err)
	}
	if err := c.Logins.CheckPassword(t.Context(), u.ID, "the administrator's"); err != nil {
		t.Errorf("the administrator's password: %v", err)
	}
}

func TestPasswordsExpire(t *testing.T) {
	c := cloud.New(t, cloud.Config{})
	u := c.User(t, "alice", "pw")
	ps, err := c.Store.Passwords(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	p := ps[0]
	p.ExpiresAt = c.Clock.Now().Add(time.Hour)
	if err := c.Store.UpdateIdentity(t.Context(), func(tx identity.Tx) error { return tx.SetPassword(t.Context(), u.ID, p, 1) }); err != nil {
		t.Fatal(err)
	}
	c.Clock.Advance(time.Hour - 1)
	if _, _, err := c.Logins.Login(t.Context(), request(t, c, u.ID, "pw")); err != nil {
		t.Errorf("before it expires: %v", err)
	}
	c.Clock.Advance(1)
	c.Failures()
	if _, _, err := c.Logins.Login(t.Context(), request(t, c, u.ID, "pw")); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("when it has expired: %v", err)
	}
	if got := c.Failures(); len(got) != 1 || got[0].Reason != authn.PasswordExpired {
		t.Errorf("failures %+v", got)
	}
	if err := c.Logins.CheckPassword(t.Context(), u.ID, "pw"); err != nil {
		t.Errorf("to choose a new one: %v", err)
	}
}

// A hash of another algorithm or of less work is made anew by the next login.
func TestLoginsRenewWeakHashes(t *testing.T) {
	c := cloud.New(t, cloud.Config{})
	u := c.User(t, "alice", "pw")
	weak, err := authn.NewHasher(authn.HasherConfig{Params: authn.Params{Algorithm: authn.PBKDF2SHA512, Cost: 10}})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := weak.Hash(t.Context(), "pw")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Store.UpdateIdentity(t.Context(), func(tx identity.Tx) error {
		return tx.SetPassword(t.Context(), u.ID, identity.Password{Hash: hash, CreatedAt: c.Clock.Now()}, 1)
	}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := c.Logins.Login(t.Context(), request(t, c, u.ID, "pw")); err != nil {
			t.Fatal(err)
		}
	}
	ps, err := c.Store.Passwords(t.Context(), u.ID)
	if err != nil || len(ps) != 1 || !strings.HasPrefix(string(ps[0].Hash), "$2b$04$") {
		t.Errorf("the hash is %.8s of %d, %v", string(ps[0].Hash), len(ps), err)
	}
}

// A pool that is full sends logins away, to come back later, and validation goes on.
func TestAFullPoolSendsLoginsAway(t *testing.T) {
	c := cloud.New(t, cloud.Config{})
	u := c.User(t, "alice", "pw")
	text, _, err := c.Logins.Login(t.Context(), request(t, c, u.ID, "pw"))
	if err != nil {
		t.Fatal(err)
	}
	free, waiting := c.Hasher.Hold(t.Context())
	results := make(chan error, 200)
	for range 200 {
		go func() {
			_, _, err := c.Logins.Login(t.Context(), request(t, c, u.ID, "pw"))
			results <- err
		}()
	}
	away := 0
	for range 200 - 128 { // four workers with a queue of 32 each
		err := <-results
		var e *errs.Error
		if !errs.Is(err, errs.Unavailable) || !errors.As(err, &e) || e.RetryAfter <= 0 {
			t.Fatalf("a login too many: %v", err)
		}
		away++
	}
	if waiting() != 128 {
		t.Errorf("%d wait", waiting())
	}
	start := time.Now()
	if _, err := c.Issuer.Validate(t.Context(), text, issuer.Options{}); err != nil || time.Since(start) > time.Second {
		t.Errorf("validation beside a full pool: %v after %v", err, time.Since(start))
	}
	free()
	for range 200 - away {
		if err := <-results; err != nil {
			t.Fatalf("a login that waited: %v", err)
		}
	}
}
