package federation_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/federation"
	"symbolon/internal/id"
	"symbolon/internal/sign"
	"symbolon/internal/testkit/fedtest"
	"symbolon/token"
)

const (
	peersPath = "/v1/federation/peers"
	admin     = "Bearer " + fedtest.AdminKey
	federate  = "Bearer " + fedtest.FederateKey
	reader    = "Bearer " + fedtest.ReaderKey
)

// body is a declaration as it is posted.
func body(d federation.Declaration) map[string]any {
	scopes := d.Scopes
	if scopes == nil {
		scopes = []string{}
	}
	return map[string]any{
		"node_url": d.NodeURL, "node_id": d.NodeID, "federation_pubkey": d.PubKey, "allowed_scopes": scopes,
		"declaration_sig": d.Signature, "signed_at": d.SignedAt,
	}
}

type registered struct {
	PeerID     string  `json:"peer_id"`
	Status     string  `json:"status"`
	VerifiedAt *string `json:"verified_at"`
}

func register(t *testing.T, n *fedtest.Node, b map[string]any, status string) registered {
	t.Helper()
	res := n.Do(t, "POST", peersPath, federate, b)
	res.Want(t, 201, "")
	var out registered
	res.JSON(t, &out)
	if out.Status != status || out.PeerID == "" || out.VerifiedAt != nil {
		t.Errorf("registered %+v, want %s", out, status)
	}
	return out
}

func statusOf(t *testing.T, n *fedtest.Node, nodeID string) federation.Status {
	t.Helper()
	p, err := n.Store.PeerByNode(t.Context(), nodeID)
	if err != nil && !errs.Is(err, errs.NotFound) {
		t.Fatal(err)
	}
	return p.Status
}

// peerCases holds B8 to B16 and G15: how a node becomes a peer.
func peerCases(t *testing.T) {
	t.Helper()
	scopes := []string{"company", "public"}
	fingerprint := func(f string) map[string]any { return map[string]any{"pubkey_fingerprint": f} }

	t.Run("B8_a good declaration makes nobody active", func(t *testing.T) {
		t.Parallel()
		n, p := fedtest.Start(t, fedtest.Options{}), fedtest.NewPeer(t)
		register(t, n, body(p.Declaration(scopes)), "pending_approval")
		if got := statusOf(t, n, p.ID); got != federation.PendingApproval {
			t.Errorf("the peer is %s", got)
		}
	})

	t.Run("B9_a peer is nobody before it is approved", func(t *testing.T) {
		t.Parallel()
		n, p := fedtest.Start(t, fedtest.Options{}), fedtest.NewPeer(t)
		out := register(t, n, body(p.Declaration(scopes)), "pending_approval")
		n.Do(t, "GET", pullPath, "Bearer "+p.Token(n), nil).Want(t, 401, "peer_not_approved")
		expired := p.Claims(n).With("exp", 1)
		n.Do(t, "GET", pullPath, "Bearer "+p.Sign(expired), nil).Want(t, 401, "peer_not_approved")
		d := n.AuditDetails(t, out.PeerID, "rejected_token")
		if len(d) != 2 || d[0]["reason"] != "peer_not_approved" || d[0]["iss"] != p.ID || d[0]["status"] != "pending_approval" {
			t.Errorf("audited %v", d)
		}
		if r := n.LastRejection(); r.Reason != token.IssuerNotApproved {
			t.Errorf("refused for %s", r.Reason)
		}
	})

	t.Run("B10_a wrong fingerprint approves nobody", func(t *testing.T) {
		t.Parallel()
		n, p := fedtest.Start(t, fedtest.Options{}), fedtest.NewPeer(t)
		p.Register(t, n, id.Public)
		for _, f := range []string{"sha256:" + strings.Repeat("0", 64), "x", strings.ToUpper(p.Fingerprint()), p.Fingerprint()[7:]} {
			n.Do(t, "POST", peersPath+"/"+p.RowID+"/approve", admin, fingerprint(f)).Want(t, 400, "fingerprint mismatch")
		}
		if got := statusOf(t, n, p.ID); got != federation.PendingApproval {
			t.Errorf("the peer is %s", got)
		}
		d := n.AuditDetails(t, p.RowID, "peer_approval_failed")
		if len(d) != 4 || d[0]["node_id"] != p.ID || d[0]["reason"] != "fingerprint_mismatch" {
			t.Errorf("audited %v", d)
		}
	})

	t.Run("B11_the fingerprint approves", func(t *testing.T) {
		t.Parallel()
		n, p := fedtest.Start(t, fedtest.Options{}), fedtest.NewPeer(t)
		p.Register(t, n, id.Public)
		res := n.Do(t, "POST", peersPath+"/"+p.RowID+"/approve", admin, fingerprint(p.Fingerprint()))
		res.Want(t, 200, "")
		var out map[string]any
		res.JSON(t, &out)
		if out["peer_id"] != p.RowID || out["node_id"] != p.ID || out["status"] != "active" || out["approved_at"] == nil || len(out) != 4 {
			t.Errorf("approved %v", out)
		}
		n.Do(t, "GET", pullPath, "Bearer "+p.Token(n), nil).Want(t, 200, "")
		if d := n.AuditDetails(t, p.RowID, "peer_approved"); len(d) != 1 || d[0]["node_id"] != p.ID || d[0]["approved_by"] != "agent:admin" {
			t.Errorf("audited %v", d)
		}
	})

	t.Run("B12_who may approve what", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		path := peersPath + "/" + p.RowID + "/approve"
		n.Do(t, "POST", path, federate, fingerprint(p.Fingerprint())).Want(t, 403, "admin:federation required")
		n.Do(t, "POST", path, reader, fingerprint(p.Fingerprint())).Want(t, 403, "admin:federation required")
		n.Do(t, "POST", path, "", fingerprint(p.Fingerprint())).Want(t, 401, "")
		n.Do(t, "POST", peersPath+"/none/approve", admin, fingerprint("x")).Want(t, 404, "peer not found")
		n.Do(t, "POST", peersPath+"/"+id.NewUUID().String()+"/approve", admin, fingerprint("x")).Want(t, 404, "peer not found")
		n.Do(t, "POST", path, admin, fingerprint(p.Fingerprint())).Want(t, 409, "peer is not pending approval (status=active)")
		n.Do(t, "POST", path, admin, map[string]any{}).Want(t, 422, "")
	})

	t.Run("B13_a declaration changed after signing is rejected", func(t *testing.T) {
		t.Parallel()
		for name, edit := range map[string]func(d *federation.Declaration){
			"scopes added":       func(d *federation.Declaration) { d.Scopes = append(d.Scopes, "team") },
			"scopes reordered":   func(d *federation.Declaration) { d.Scopes = []string{"public", "company"} },
			"another time":       func(d *federation.Declaration) { d.SignedAt = "2027-01-01T00:00:00Z" },
			"a slash at the URL": func(d *federation.Declaration) { d.NodeURL += "/" },
			"another's signature": func(d *federation.Declaration) {
				d.Signature = sign.GenerateKey().SignText(d.Canonical())
			},
			"a short signature": func(d *federation.Declaration) { d.Signature = "AAAA" },
		} {
			n, p := fedtest.Start(t, fedtest.Options{}), fedtest.NewPeer(t)
			d := p.Declaration(scopes)
			edit(&d)
			out := register(t, n, body(d), "rejected")
			n.Do(t, "GET", pullPath, "Bearer "+p.Token(n), nil).Want(t, 401, "peer_not_approved")
			n.Do(t, "POST", peersPath+"/"+out.PeerID+"/approve", admin, fingerprint(p.Fingerprint())).
				Want(t, 409, "peer is not pending approval (status=rejected)")
			if a := n.AuditDetails(t, out.PeerID, "peer_rejected"); len(a) != 1 || a[0]["why"] == nil {
				t.Errorf("%s: audited %v", name, a)
			}
		}
	})

	t.Run("B14_a declaration that the node itself does not bear out is rejected", func(t *testing.T) {
		t.Parallel()
		n := fedtest.Start(t, fedtest.Options{})
		liar := fedtest.NewPeer(t)
		resign := func(edit func(d *federation.Declaration, key *sign.PrivateKey)) map[string]any {
			key := liar.Key
			d := liar.Declaration(scopes)
			d.NodeID = "stigmem:node:" + id.NewUUID().String()
			edit(&d, &key)
			d.Signature = key.SignText(d.Canonical())
			return body(d)
		}
		serve := func(h http.HandlerFunc) string {
			srv := httptest.NewServer(h)
			t.Cleanup(srv.Close)
			return srv.URL
		}
		for name, b := range map[string]map[string]any{
			"another key than it publishes": resign(func(d *federation.Declaration, key *sign.PrivateKey) {
				*key = sign.GenerateKey()
				d.NodeID, d.PubKey = liar.ID, key.Public().String()
			}),
			"another id than it publishes": resign(func(*federation.Declaration, *sign.PrivateKey) {}),
			"nobody there":                 resign(func(d *federation.Declaration, _ *sign.PrivateKey) { d.NodeURL = "http://127.0.0.1:1" }),
			"no URL":                       resign(func(d *federation.Declaration, _ *sign.PrivateKey) { d.NodeURL = "node" }),
			"a URL with a user":            resign(func(d *federation.Declaration, _ *sign.PrivateKey) { d.NodeURL = "http://u:p@127.0.0.1:1" }),
			"another scheme":               resign(func(d *federation.Declaration, _ *sign.PrivateKey) { d.NodeURL = "file:///etc/passwd" }),
			"a private address":            resign(func(d *federation.Declaration, _ *sign.PrivateKey) { d.NodeURL = "http://169.254.169.254" }),
			"no key at all":                resign(func(d *federation.Declaration, _ *sign.PrivateKey) { d.PubKey = "AAAA" }),
			"a redirect to the node": resign(func(d *federation.Declaration, _ *sign.PrivateKey) {
				d.NodeURL = serve(func(w http.ResponseWriter, r *http.Request) {
					http.Redirect(w, r, liar.URL+r.URL.Path, http.StatusFound)
				})
			}),
			"an endless document": resign(func(d *federation.Declaration, _ *sign.PrivateKey) {
				d.NodeURL = serve(func(w http.ResponseWriter, _ *http.Request) {
					for {
						if _, err := w.Write(make([]byte, 4096)); err != nil {
							return
						}
					}
				})
			}),
		} {
			if res := n.Do(t, "POST", peersPath, federate, b); res.Status != 201 || !strings.Contains(string(res.Body), `"status":"rejected"`) {
				t.Errorf("%s: %d %s, want 201 rejected", name, res.Status, res.Body)
			}
		}
	})

	t.Run("B15_a registered node cannot register again", func(t *testing.T) {
		t.Parallel()
		n, p := fedtest.Start(t, fedtest.Options{}), fedtest.NewPeer(t)
		b := body(p.Declaration(scopes))
		out := register(t, n, b, "pending_approval")
		again := func(status federation.Status) {
			t.Helper()
			n.Do(t, "POST", peersPath, federate, b).Want(t, 409, "peer already registered (status="+string(status)+")")
		}
		again(federation.PendingApproval)
		n.Do(t, "POST", peersPath+"/"+out.PeerID+"/approve", admin, fingerprint(p.Fingerprint())).Want(t, 200, "")
		again(federation.Active)
		n.Do(t, "POST", peersPath+"/"+out.PeerID+"/suspend", admin, nil).Want(t, 200, "")
		again(federation.Suspended)
		n.Do(t, "POST", peersPath+"/"+out.PeerID+"/revoke", admin, nil).Want(t, 200, "")
		again(federation.Revoked)
		n.Do(t, "DELETE", peersPath+"/"+out.PeerID, admin, nil).Want(t, 204, "")
		register(t, n, b, "pending_approval")
	})

	t.Run("B15_of simultaneous registrations one is kept", func(t *testing.T) {
		t.Parallel()
		n, p := fedtest.Start(t, fedtest.Options{}), fedtest.NewPeer(t)
		b := body(p.Declaration(scopes))
		var wg sync.WaitGroup
		got := make(chan int, 6)
		for range cap(got) {
			wg.Go(func() { got <- n.Do(t, "POST", peersPath, federate, b).Status })
		}
		wg.Wait()
		close(got)
		count := map[int]int{}
		for s := range got {
			count[s]++
		}
		if count[201] != 1 || count[409] != 5 {
			t.Errorf("answers %v, want one 201 and 409 for the rest", count)
		}
	})

	t.Run("B16_a signature that is no base64 leaves nothing behind", func(t *testing.T) {
		t.Parallel()
		n, p := fedtest.Start(t, fedtest.Options{}), fedtest.NewPeer(t)
		for _, sig := range []string{"!!!", "a", "ä", "AAAA\nAAAA"} {
			d := p.Declaration(scopes)
			d.Signature = sig
			n.Do(t, "POST", peersPath, federate, body(d)).Want(t, 400, "declaration_sig must be base64url")
			if got := statusOf(t, n, p.ID); got != "" {
				t.Errorf("after %q the node is %s", sig, got)
			}
		}
		register(t, n, body(p.Declaration(scopes)), "pending_approval")
	})

	t.Run("G15_a rejected node may register again", func(t *testing.T) {
		t.Parallel()
		n, p := fedtest.Start(t, fedtest.Options{}), fedtest.NewPeer(t)
		wrong := p.Declaration(scopes)
		wrong.Scopes = []string{"public"}
		first := register(t, n, body(wrong), "rejected")
		register(t, n, body(wrong), "rejected")
		second := register(t, n, body(p.Declaration(scopes)), "pending_approval")
		if first.PeerID != second.PeerID {
			t.Errorf("the row was %s and is %s: its history is lost", first.PeerID, second.PeerID)
		}
		n.Do(t, "POST", peersPath+"/"+second.PeerID+"/approve", admin, fingerprint(p.Fingerprint())).Want(t, 200, "")
		n.Do(t, "GET", pullPath, "Bearer "+p.Token(n), nil).Want(t, 200, "")
	})
}

func TestRegistrationIsValidated(t *testing.T) {
	t.Parallel()
	n, p := fedtest.Start(t, fedtest.Options{}), fedtest.NewPeer(t)
	good := body(p.Declaration([]string{"public"}))
	with := func(k string, v any) map[string]any {
		out := map[string]any{}
		for name, x := range good {
			out[name] = x
		}
		out[k] = v
		return out
	}
	n.Do(t, "POST", peersPath, reader, map[string]any{}).Want(t, 422, "") // fields before permissions
	n.Do(t, "POST", peersPath, reader, good).Want(t, 403, "federate permission required")
	n.Do(t, "POST", peersPath, "", good).Want(t, 401, "")
	for name, b := range map[string]any{
		"no JSON": "{", "no object": []any{}, "a scope": with("allowed_scopes", []string{"zz"}), "scopes as text": with("allowed_scopes", "public"),
		"a number": with("node_id", 5), "nothing": with("node_url", ""), "a novel": with("node_id", strings.Repeat("n", 300)),
		"a zero byte": with("node_id", "a\x00b"), "many scopes": with("allowed_scopes", make([]string, 50)),
	} {
		if res := n.Do(t, "POST", peersPath, federate, b); res.Status != 422 {
			t.Errorf("%s: %d %s, want 422", name, res.Status, res.Body)
		}
	}
	res := n.Do(t, "POST", peersPath, federate, with("allowed_scopes", []string{"public", "zz"}))
	if !strings.Contains(string(res.Body), `"msg":"Value error, invalid scopes: {'zz'}"`) {
		t.Errorf("unknown scope: %s", res.Body)
	}
	n.Do(t, "POST", peersPath, federate, with("node_id", strings.Repeat("ä", 200))).Want(t, 400, "node_id must be text of 1 to 256 bytes")
	n.Do(t, "POST", peersPath, federate, with("node_id", n.ID)).Want(t, 400, "node_id is that of this node")
}

func TestPeersAreListedAsClientsReadThem(t *testing.T) {
	t.Parallel()
	n, p := joined(t, fedtest.Options{})
	n.Do(t, "GET", peersPath, reader, nil).Want(t, 403, "federate permission required")
	list := func() map[string]any {
		t.Helper()
		res := n.Do(t, "GET", peersPath, federate, nil)
		res.Want(t, 200, "")
		var out struct{ Peers []map[string]any }
		res.JSON(t, &out)
		if len(out.Peers) != 1 {
			t.Fatalf("%d peers", len(out.Peers))
		}
		return out.Peers[0]
	}
	got := list()
	if got["peer_id"] != p.RowID || got["node_id"] != p.ID || got["node_url"] != p.URL || got["status"] != "active" ||
		got["established_at"] == nil || len(got["allowed_scopes"].([]any)) != 2 || len(got) != 6 {
		t.Errorf("listed %v", got)
	}
	n.Do(t, "POST", peersPath+"/"+p.RowID+"/suspend", admin, map[string]any{"reason": "noisy"}).Want(t, 200, "")
	if got := list(); got["status"] != "revoked" || got["suspended"] != true {
		t.Errorf("suspended, it is listed as %v; want a status that clients know", got)
	}
	res := n.Do(t, "GET", peersPath+"/"+p.RowID, federate, nil)
	res.Want(t, 200, "")
	var shown map[string]any
	res.JSON(t, &shown)
	if shown["state"] != "suspended" || shown["reason"] != "noisy" || shown["pubkey_fingerprint"] != p.Fingerprint() {
		t.Errorf("shown as %v", shown)
	}
	n.Do(t, "GET", peersPath+"/"+p.ID, federate, nil).Want(t, 200, "") // by node id as well
	n.Do(t, "GET", peersPath+"/"+p.RowID, reader, nil).Want(t, 403, "federate permission required")
}

// Every change of a peer takes effect on its next request, is audited and needs
// admin:federation.
func TestLifeOfAPeer(t *testing.T) {
	t.Parallel()
	n, p := joined(t, fedtest.Options{})
	path := peersPath + "/" + p.RowID
	pulls := func(status int, detail string) {
		t.Helper()
		n.Do(t, "GET", pullPath, "Bearer "+p.Token(n), nil).Want(t, status, detail)
	}
	for _, op := range []struct{ method, path string }{
		{"POST", "/suspend"}, {"POST", "/resume"}, {"POST", "/revoke"}, {"DELETE", ""},
	} {
		n.Do(t, op.method, path+op.path, federate, nil).Want(t, 403, "admin:federation required")
		n.Do(t, op.method, peersPath+"/none"+op.path, admin, nil).Want(t, 404, "peer not found")
	}
	pulls(200, "")
	n.Do(t, "POST", path+"/resume", admin, nil).Want(t, 409, "cannot resume a peer that is active")
	n.Do(t, "POST", path+"/suspend", admin, map[string]any{"reason": strings.Repeat("x", 2000)}).Want(t, 422, "")
	n.Do(t, "POST", path+"/suspend", admin, nil).Want(t, 200, "")
	pulls(401, "peer_not_approved")
	n.Do(t, "POST", path+"/resume", admin, nil).Want(t, 200, "")
	pulls(200, "")
	n.Do(t, "POST", path+"/revoke", admin, map[string]any{"reason": "stolen"}).Want(t, 200, "")
	pulls(401, "peer_not_approved")
	n.Do(t, "POST", path+"/resume", admin, nil).Want(t, 409, "cannot resume a peer that is revoked")
	used := "Bearer " + p.Token(n)
	n.Do(t, "DELETE", path, admin, nil).Want(t, 204, "")
	n.Do(t, "GET", pullPath, used, nil).Want(t, 401, "peer not registered")
	for _, kind := range []string{"peer_registered", "peer_approved", "peer_suspended", "peer_resumed", "peer_revoked", "peer_removed"} {
		if d := n.AuditDetails(t, p.RowID, kind); len(d) != 1 || d[0]["node_id"] != p.ID {
			t.Errorf("%s audited as %v", kind, d)
		}
	}
	v, err := n.Store.VerifyAudit(t.Context(), nil)
	if err != nil || v.Broken != nil {
		t.Errorf("the audit chain: %v, %v", v.Broken, err)
	}
}

// A token used before its peer was removed is not good again after the node came
// back under the same key.
func TestRemovalForgetsNoNonce(t *testing.T) {
	t.Parallel()
	n, p := joined(t, fedtest.Options{})
	used := "Bearer " + p.Token(n)
	n.Do(t, "GET", pullPath, used, nil).Want(t, 200, "")
	n.Do(t, "DELETE", peersPath+"/"+p.RowID, admin, nil).Want(t, 204, "")
	p.Register(t, n, id.Public)
	n.Do(t, "POST", peersPath+"/"+p.RowID+"/approve", admin, map[string]any{"pubkey_fingerprint": p.Fingerprint()}).Want(t, 200, "")
	n.Do(t, "GET", pullPath, used, nil).Want(t, 401, "nonce_already_seen")
}

func TestRekey(t *testing.T) {
	t.Parallel()
	n, p := joined(t, fedtest.Options{})
	path := peersPath + "/" + p.RowID + "/rekey"
	oldKey, oldPrint := p.Key, p.Fingerprint()
	oldToken := func() string {
		return "Bearer " + fedtest.SignToken(oldKey, `{"alg":"EdDSA","typ":"JWT"}`, p.Claims(n))
	}
	p.Key = sign.GenerateKey()
	newPrint := map[string]any{"pubkey_fingerprint": p.Fingerprint()}

	n.Do(t, "GET", pullPath, "Bearer "+p.Token(n), nil).Want(t, 401, "invalid_signature")
	n.Do(t, "POST", path, federate, newPrint).Want(t, 403, "admin:federation required")
	n.Do(t, "POST", path, admin, map[string]any{"pubkey_fingerprint": oldPrint}).Want(t, 400, "fingerprint mismatch")
	if d := n.AuditDetails(t, p.RowID, "peer_rekey_failed"); len(d) != 1 {
		t.Errorf("a wrong fingerprint is audited as %v", d)
	}
	n.Do(t, "POST", path, admin, map[string]any{"pubkey_fingerprint": p.Fingerprint(), "dual_trust_seconds": 8 * 24 * 3600}).Want(t, 422, "")
	n.Do(t, "GET", pullPath, oldToken(), nil).Want(t, 200, "") // nothing has changed yet

	res := n.Do(t, "POST", path, admin, map[string]any{"pubkey_fingerprint": p.Fingerprint(), "dual_trust_seconds": 60})
	res.Want(t, 200, "")
	n.Do(t, "GET", pullPath, "Bearer "+p.Token(n), nil).Want(t, 200, "")
	n.Do(t, "GET", pullPath, oldToken(), nil).Want(t, 200, "")
	spent := oldToken()
	n.Do(t, "GET", pullPath, spent, nil).Want(t, 200, "")
	n.Do(t, "GET", pullPath, spent, nil).Want(t, 401, "nonce_already_seen")
	third := fedtest.SignToken(sign.GenerateKey(), `{"alg":"EdDSA","typ":"JWT"}`, p.Claims(n))
	before := len(n.Rejections())
	n.Do(t, "GET", pullPath, "Bearer "+third, nil).Want(t, 401, "invalid_signature")
	if got := len(n.Rejections()) - before; got != 1 {
		t.Errorf("one refusal was told %d times", got)
	}
	n.Clock.Advance(61 * time.Second)
	n.Do(t, "GET", pullPath, oldToken(), nil).Want(t, 401, "invalid_signature")
	n.Do(t, "GET", pullPath, "Bearer "+p.Token(n), nil).Want(t, 200, "")

	// Without a window the old key ends at once, and the key may be given by hand.
	last := p.Key
	p.Key = sign.GenerateKey()
	by := map[string]any{"pubkey_fingerprint": p.Fingerprint(), "federation_pubkey": p.Key.Public().String()}
	n.Do(t, "POST", path, admin, by).Want(t, 200, "")
	n.Do(t, "GET", pullPath, "Bearer "+fedtest.SignToken(last, `{"alg":"EdDSA","typ":"JWT"}`, p.Claims(n)), nil).Want(t, 401, "invalid_signature")
	n.Do(t, "GET", pullPath, "Bearer "+p.Token(n), nil).Want(t, 200, "")
	if d := n.AuditDetails(t, p.RowID, "peer_rekeyed"); len(d) != 2 || d[0]["fingerprint"] == nil || d[0]["previous_fingerprint"] != oldPrint {
		t.Errorf("audited %v", d)
	}
}

func TestOperatorAddsAPeerByItsAddress(t *testing.T) {
	t.Parallel()
	n, p := fedtest.Start(t, fedtest.Options{}), fedtest.NewPeer(t)
	ctx, op := t.Context(), federation.Operator()
	row, err := n.Federation.Add(ctx, op, p.URL+"/", id.ScopesOf(id.Public))
	if err != nil || row.Status != federation.PendingApproval || row.NodeID != p.ID || row.Fingerprint() != p.Fingerprint() {
		t.Fatalf("Add = %+v, %v", row, err)
	}
	if _, err := n.Federation.Add(ctx, op, p.URL, id.ScopesOf(id.Public)); !errs.Is(err, errs.Conflict) {
		t.Errorf("Add twice: %v, want a conflict", err)
	}
	if _, err := n.Federation.Approve(ctx, op, p.ID, row.Fingerprint()); err != nil {
		t.Errorf("Approve by node id: %v", err)
	}
	if _, err := n.Federation.Add(ctx, op, n.URL, 0); !errs.Is(err, errs.Invalid) {
		t.Errorf("Add of itself: %v", err)
	}
	if _, err := n.Federation.Add(ctx, op, "http://127.0.0.1:1", 0); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Add of nobody: %v", err)
	}
	if _, err := n.Federation.Add(ctx, op, "ftp://x", 0); !errs.Is(err, errs.Invalid) {
		t.Errorf("Add of no node: %v", err)
	}
	nobody := fedtest.Admin()
	nobody.Permissions = nil
	if _, err := n.Federation.Add(ctx, nobody, p.URL, 0); !errs.Is(err, errs.Forbidden) {
		t.Errorf("Add without permission: %v", err)
	}
}

func TestNodesDeclareThemselvesToOneAnother(t *testing.T) {
	t.Parallel()
	a, b := fedtest.Start(t, fedtest.Options{}), fedtest.Start(t, fedtest.Options{})
	got, err := a.Federation.Declare(t.Context(), federation.Operator(), b.URL, fedtest.FederateKey, id.ScopesOf(id.Public))
	if err != nil || got.Status != "pending_approval" || got.PeerID == "" {
		t.Fatalf("Declare = %+v, %v", got, err)
	}
	if s := statusOf(t, b, a.ID); s != federation.PendingApproval {
		t.Errorf("there we are %q", s)
	}
	_, err = a.Federation.Declare(t.Context(), federation.Operator(), b.URL, fedtest.ReaderKey, id.ScopesOf(id.Public))
	if err == nil || !strings.Contains(err.Error(), "federate permission required") || strings.Contains(err.Error(), fedtest.ReaderKey) {
		t.Errorf("Declare without permission there: %v", err)
	}
}

func TestPeersAreBounded(t *testing.T) {
	t.Parallel()
	n := fedtest.Start(t, fedtest.Options{Config: func(c *federation.Config) { c.PeersMax = 2 }})
	for range 2 {
		fedtest.NewPeer(t).Register(t, n, id.Public)
	}
	p := fedtest.NewPeer(t)
	if res := n.Do(t, "POST", peersPath, federate, body(p.Declaration(nil))); res.Status != 429 {
		t.Errorf("the third of two peers: %d %s", res.Status, res.Body)
	}
}
