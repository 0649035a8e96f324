package keytoken

import (
	"reflect"
	"strings"
	"testing"

	"symbolon/epoch"
	"symbolon/token"
)

// fuzzNow is within the life of the vectors.
const fuzzNow = epoch.Seconds(1790000100)

// Any payload, sealed by a holder of the key, gives claims or a rejection; and
// claims that Mint takes come back from what it makes of them.
func FuzzDecodePayload(f *testing.F) {
	for _, parts := range goodPayloads() {
		f.Add(unhex(f, parts...))
		f.Add(unhex(f, strings.ReplaceAll(strings.Join(parts, ""), "c410", "b0")))
	}
	v := loadVectors(f)
	for _, one := range v.Vectors {
		f.Add(unhex(f, one.Payload))
	}
	ts, ring := benchTokens(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		text, err := ring.Seal(benchNow, payload)
		if err != nil {
			return // longer than a token can be
		}
		d, rej := ts.Decode(text)
		if rej != nil {
			switch rej.Reason {
			case token.BadLayout, token.UnknownVersion, token.WrongKind:
			default:
				t.Errorf("%x: %v", payload, rej)
			}
			if !reflect.DeepEqual(d.Claims(), Claims{}) {
				t.Errorf("%x: refused, and yet %+v", payload, d.Claims())
			}
			return
		}
		c := d.Claims()
		if got := c.Layout(); got != d.Version() {
			t.Errorf("%x: of layout %v, and its claims of %v", payload, d.Version(), got)
		}
		again, err := ts.Mint(c, benchNow.Time())
		if err != nil {
			return // read for display, such as a user without an id
		}
		back, rej := ts.Decode(again)
		if rej != nil || !reflect.DeepEqual(back.Claims(), c) {
			t.Errorf("%x: %+v comes back as %+v, %v", payload, c, back.Claims(), rej)
		}
	})
}

// Any payload as a receipt's.
func FuzzDecodeReceipt(f *testing.F) {
	f.Add(unhex(f, "93", pUser, "02", pExp))
	f.Add(unhex(f, "93", "92c2a3616263", "cf0000000100000002", "ce6ab13b80"))
	f.Add(unhex(f, goodPayloads()[Unscoped]...))
	rs := benchReceipts(f)
	_, ring := benchTokens(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		text, err := ring.Seal(benchNow, payload)
		if err != nil {
			return
		}
		c, rej := rs.Verify(text, benchNow.Time())
		if rej != nil {
			if rej.Reason == "" || c.UserID != "" {
				t.Errorf("%x: %+v, %+v", payload, c, rej)
			}
			return
		}
		if again, err := rs.Mint(c, benchNow.Time()); err == nil {
			back, rej := rs.Verify(again, benchNow.Time())
			back.Identity = c.Identity
			if rej != nil || !reflect.DeepEqual(back, c) {
				t.Errorf("%x: %+v comes back as %+v, %v", payload, c, back, rej)
			}
		}
	})
}

// Any text: nothing but the vectors' own tokens is accepted.
func FuzzVerify(f *testing.F) {
	v := loadVectors(f)
	ts := v.tokens(f, v.Keys)
	genuine := map[string]bool{}
	for _, all := range [][]vector{v.Vectors, v.LegacyMsgpack, v.Rotation} {
		for _, one := range all {
			genuine[one.Token] = true
			f.Add(one.Token)
			f.Add("F00" + one.Token)
		}
	}
	for _, one := range v.Verdicts {
		genuine[strings.TrimRight(one.Token, "=")] = one.Accepted
		f.Add(one.Token)
	}
	for _, one := range v.PlainFernet {
		f.Add(one.Token)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, rej := ts.Verify(text, fuzzNow.Time(), Options{}); rej == nil && !genuine[strings.TrimRight(text, "=")] {
			t.Errorf("%q verifies as %+v", text, got.Claims())
		}
	})
}

// Any payload under a good signature.
func FuzzDecodeJWT(f *testing.F) {
	f.Add([]byte(goodPayload))
	f.Add([]byte(`{"sub":"u","iat":1e9,"exp":-1,"openstack_methods":[],"openstack_audit_ids":[],"openstack_group_ids":[{"id":"g"}]}`))
	f.Add([]byte(`{"sub":"u","sub":"v"}`))
	f.Add([]byte(`{"SUB":null}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var c Claims
		if why := readJWT(payload, &c); why != "" {
			return
		}
		if c.UserID == "" || c.fits() != nil || len(c.AuditIDs) > 2 || len(c.FederatedGroupIDs) > MaxGroups {
			t.Errorf("%s: %+v", payload, c)
		}
		for _, s := range []epoch.Seconds{c.IssuedAt, c.ExpiresAt} {
			if shown(s).IsZero() && s != -62135596800 {
				if _, mistaken := epoch.Mistaken(float64(s), epoch.UnitSeconds); !mistaken {
					t.Errorf("%s: an instant of %d", payload, s)
				}
			}
		}
	})
}

// Any text to the JWS provider.
func FuzzVerifyJWS(f *testing.F) {
	s, v := pair(f, ES256, "public.pem")
	ts := jwsOf(f, s, nil, v)
	good := sign(f, s, goodHeader, goodPayload)
	f.Add(good)
	f.Add(good[:30] + "\n" + good[30:])
	f.Add("eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".AA")
	f.Add("..")
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, text string) {
		head, _, _ := strings.Cut(text, ".")
		if got, rej := ts.Verify(text, benchNow.Time(), Options{}); rej == nil && !strings.HasPrefix(good, head) {
			t.Errorf("%q verifies as %+v", text, got.Claims())
		}
	})
}
