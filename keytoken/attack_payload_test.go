package keytoken

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/token"
)

// The attacker of this file holds a key: what is refused here is refused behind
// a good MAC.

const (
	hexUser    = "ee11cbb19052e40b07aac0ca060c23ee"
	hexProject = "46f86faa6bbf9ac94a7e459509a20ed0"
	hexAudit   = "ebd52415e12d0f5a43ecace3dedf7614"
)

// unhex joins parts of a payload written in hex; blanks in them are for the eye.
func unhex(t testing.TB, parts ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(parts, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The elements of good payloads.
const (
	pUser    = "92c3c410" + hexUser
	pProject = "92c3c410" + hexProject
	pMethods = "02"
	pAudit   = "91c410" + hexAudit
	pTrust   = "c410ac05c7d8f4406c971085f947e43ef730"
	pGroups  = "9192c3c410513772ee53011ad9f4dc374b2d34d0e9"
	pIDP     = "92c2a461636d65"
	pText    = "a66f70656e6964"
	pAll     = "a3616c6c"
	pOther   = "92c3c410b1825bf6eabfaa12fcf398482e239108"
)

func pFloat(f float64) string {
	return "cb" + hex.EncodeToString(binary.BigEndian.AppendUint64(nil, math.Float64bits(f)))
}

var pExp = pFloat(float64(benchNow + 3600))

// goodPayloads is a payload of each layout, as its elements.
func goodPayloads() [][]string {
	return [][]string{
		Unscoped:          {"95", "00", pUser, pMethods, pExp, pAudit},
		Domain:            {"96", "01", pUser, pMethods, "c410ad5f82e879a9c5d6b5b442eb37e50551", pExp, pAudit},
		Project:           {"96", "02", pUser, pMethods, pProject, pExp, pAudit},
		Trust:             {"97", "03", pUser, pMethods, pProject, pExp, pAudit, pTrust},
		FederatedUnscoped: {"98", "04", pUser, pMethods, pGroups, pIDP, pText, pExp, pAudit},
		FederatedProject:  {"99", "05", pUser, pMethods, pProject, pGroups, pIDP, pText, pExp, pAudit},
		FederatedDomain:   {"99", "06", pUser, pMethods, pProject, pGroups, pIDP, pText, pExp, pAudit},
		OAuth1:            {"97", "07", pUser, pMethods, pProject, pOther, pExp, pAudit},
		System:            {"96", "08", pUser, pMethods, pAll, pExp, pAudit},
		AppCred:           {"97", "09", pUser, pMethods, pProject, pExp, pAudit, pOther},
		OAuth2:            {"98", "0a", pUser, pMethods, pProject, "92c2c0", pExp, pAudit, "92c2a3616263"},
	}
}

// verifyPayload seals a payload as a holder of the key can, and verifies it.
func verifyPayload(t testing.TB, payload []byte) (Verified, *token.Rejection) {
	t.Helper()
	ts, ring := benchTokens(t)
	text, err := ring.Seal(benchNow, payload)
	if err != nil {
		t.Fatal(err)
	}
	v, rej := ts.Verify(text, benchNow.Time().Add(time.Minute), Options{})
	if rej != nil {
		if rej.Kind != token.Identity || rej.KeyID != "3" || rej.Now.IsZero() {
			t.Errorf("%x: rejection %+v lacks its kind, key or clock", payload, rej)
		}
		if strings.Contains(rej.Error(), text[10:30]) {
			t.Errorf("the rejection repeats the token: %v", rej)
		}
	}
	return v, rej
}

func wantReason(t *testing.T, name string, payload []byte, want token.Reason) {
	t.Helper()
	v, rej := verifyPayload(t, payload)
	if reasonOf(rej) != want {
		t.Errorf("%s (%.60x): %v (%+v), want %q", name, payload, rej, v.Claims(), want)
	}
}

func TestPayloadAttacks(t *testing.T) {
	good := goodPayloads()
	for v, parts := range good {
		wantReason(t, "the good payload of "+Version(v).String(), unhex(t, parts...), "")
	}
	project := good[Project]
	// with returns the project payload with one element replaced.
	with := func(i int, part string) []byte {
		p := slices.Clone(project)
		p[i] = part
		return unhex(t, p...)
	}
	const (
		version = 1
		user    = 2
		methods = 3
		proj    = 4
		expires = 5
		audit   = 6
	)

	t.Run("C1_unknown_version", func(t *testing.T) {
		for _, v := range []string{"0b", "0c", "7f", "ccff", "ff", "e0", "ce80000000", "cfffffffffffffffff", "d3ffffffffffffffff", "d0fe", "cd0100"} {
			reason := token.UnknownVersion
			if v == "cfffffffffffffffff" { // beyond int64
				wantReasonIn(t, "version "+v, with(version, v), token.UnknownVersion, token.BadLayout)
				continue
			}
			wantReason(t, "version "+v, with(version, v), reason)
		}
	})
	t.Run("C2_version_type", func(t *testing.T) {
		for name, v := range map[string]string{
			"text 2": "a132", "float 2": pFloat(2), "true": "c3", "false": "c2", "nil": "c0", "bytes": "c40102", "a map": "80",
			"a 32-bit float": "ca40000000", "an extension": "d40002", "never used": "c1",
		} {
			wantReason(t, name, with(version, v), token.UnknownVersion)
		}
		// An array is what a receipt begins with.
		wantReason(t, "an array", with(version, "9102"), token.WrongKind)
		wantReason(t, "an empty array", with(version, "90"), token.WrongKind)
		// Any spelling of the integer 2 is 2.
		for _, v := range []string{"cc02", "cd0002", "ce00000002", "cf0000000000000002", "d002", "d10002", "d200000002", "d30000000000000002"} {
			wantReason(t, "2 as "+v, with(version, v), "")
		}
	})
	t.Run("C3_layout_mislabelled", func(t *testing.T) {
		for a, parts := range good {
			for b := range good {
				if a == b {
					continue
				}
				p := slices.Clone(parts)
				p[1] = fmt.Sprintf("%02x", b)
				v, rej := verifyPayload(t, unhex(t, p...))
				// Layouts 5 and 6 have the same elements: only which of
				// the two the id names differs, and the version says it.
				same := a == int(FederatedProject) && b == int(FederatedDomain) || a == int(FederatedDomain) && b == int(FederatedProject)
				if same != (rej == nil) {
					t.Errorf("%v labelled %v: %v (%+v)", Version(a), Version(b), rej, v.Claims())
				}
				if rej != nil && rej.Reason != token.BadLayout {
					t.Errorf("%v labelled %v: %v, want bad_layout", Version(a), Version(b), rej)
				}
			}
		}
	})
	t.Run("C4_not_a_layout", func(t *testing.T) {
		for name, p := range map[string]string{
			"nothing": "", "an empty array": "90", "a map": "80", "an integer": "05", "nil": "c0", "never used": "c1", "text": "a3616263",
			"true": "c3", "a float": pExp, "an array that lacks its elements": "96", "half a header": "dc00",
			"half a 32-bit header": "dd000000",
		} {
			wantReason(t, name, unhex(t, p), token.BadLayout)
		}
	})
	t.Run("C5_trailing_bytes", func(t *testing.T) {
		for v, parts := range good {
			for _, more := range []string{"00", "c0", "90", "c1", "0000000000"} {
				wantReason(t, Version(v).String(), append(unhex(t, parts...), unhex(t, more)...), token.BadLayout)
			}
		}
	})
	t.Run("C6_missing_element", func(t *testing.T) {
		for v, parts := range good {
			p := unhex(t, parts[:len(parts)-1]...)
			wantReason(t, Version(v).String()+" with an honest count", append([]byte{p[0] - 1}, p[1:]...), token.BadLayout)
			wantReason(t, Version(v).String(), p, token.BadLayout)
			whole := unhex(t, parts...)
			for n := range whole {
				if _, rej := verifyPayload(t, whole[:n]); rej == nil {
					t.Errorf("the first %d bytes of %v are accepted", n, Version(v))
				}
			}
		}
	})
	t.Run("C7_extra_element", func(t *testing.T) {
		for v, parts := range good {
			for _, more := range []string{"00", "c0", pOther} {
				p := append(unhex(t, parts...), unhex(t, more)...)
				p[0]++
				wantReason(t, Version(v).String(), p, token.BadLayout)
			}
		}
	})
	t.Run("C7_count_that_lies", func(t *testing.T) {
		for v, parts := range good {
			for _, by := range []byte{1, 2, 0xff} {
				p := unhex(t, parts...)
				p[0] += by
				wantReason(t, Version(v).String(), p, token.BadLayout)
			}
		}
	})
	t.Run("C8_audit_list", func(t *testing.T) {
		id := "c410" + hexAudit
		for name, a := range map[string]string{
			"empty": "90", "three": "93" + id + id + id, "fifteen bytes": "91c40f" + hexAudit[2:], "seventeen bytes": "91c411" + hexAudit + "00",
			"text": "91b66162636465666768696a6b6c6d6e6f7071727374757677", "sixteen characters": "91b061626364656667686970717273747576",
			"nil": "c0", "an id alone": id, "an integer": "9101", "an id within": "9191" + id, "a map": "81" + id + id,
		} {
			wantReason(t, name, with(audit, a), token.BadLayout)
		}
		wantReason(t, "two", with(audit, "92"+id+id), "")
	})
	t.Run("C9_id_pair", func(t *testing.T) {
		for name, id := range map[string]string{
			"true and 15 bytes": "92c3c40f" + hexProject[2:], "true and 17 bytes": "92c3c411" + hexProject + "00",
			"true and text": "92c3a3616263", "true and 32 digits": "92c3d920" + hex.EncodeToString([]byte(hexProject)),
			"true and 16 characters": "92c3b061626364656667686970717273747576", "true and nil": "92c3c0",
			"true and no bytes": "92c3c400", "1 and 16 bytes": "9201c410" + hexProject, "0 and text": "9200a3616263",
			"text and text": "92a3616263a3616263", "false and text that is not UTF-8": "92c2a2fffe", "false and bytes that are not UTF-8": "92c2c402fffe",
			"false and 16 bytes": "92c2c410" + hexProject, "false and no text": "92c2a0", "false and nil": "92c2c0",
			"false and an integer": "92c207", "one element": "91c3", "three elements": "93c3c410" + hexProject + "c0", "none": "90",
			"nested": "92" + pProject + pProject, "a bare id": "c410" + hexProject, "a bare text": "a3616263", "nil": "c0",
			"a map": "81c3c410" + hexProject,
		} {
			wantReason(t, "project "+name, with(proj, id), token.BadLayout)
			if name != "false and no text" { // a user's id may be empty, as in a vector
				wantReason(t, "user "+name, with(user, id), token.BadLayout)
			}
		}
		wantReason(t, "false and bytes that are UTF-8", with(proj, "92c2c403616263"), "")
	})
	t.Run("C10_integer_expiry", func(t *testing.T) {
		for _, e := range []string{fmt.Sprintf("ce%08x", int64(benchNow+3600)), fmt.Sprintf("cf%016x", int64(benchNow+3600)), fmt.Sprintf("d3%016x", int64(benchNow+3600))} {
			wantReason(t, e, with(expires, e), "")
		}
	})
	t.Run("C11_expiry_out_of_range", func(t *testing.T) {
		for name, tt := range map[string]struct {
			exp  string
			want token.Reason
			unit epoch.Unit
		}{
			"milliseconds":          {pFloat(float64(benchNow+3600) * 1e3), token.UnitMismatch, epoch.UnitMillis},
			"microseconds":          {pFloat(float64(benchNow+3600) * 1e6), token.UnitMismatch, epoch.UnitMicros},
			"nanoseconds":           {pFloat(float64(benchNow+3600) * 1e9), token.UnitMismatch, epoch.UnitNanos},
			"integer milliseconds":  {fmt.Sprintf("cf%016x", int64(benchNow+3600)*1000), token.UnitMismatch, epoch.UnitMillis},
			"1e300":                 {pFloat(1e300), token.BadLayout, 0},
			"-1e300":                {pFloat(-1e300), token.BadLayout, 0},
			"NaN":                   {pFloat(math.NaN()), token.BadLayout, 0},
			"infinity":              {pFloat(math.Inf(1)), token.BadLayout, 0},
			"minus infinity":        {pFloat(math.Inf(-1)), token.BadLayout, 0},
			"the year 10000":        {pFloat(253402300800), token.BadLayout, 0},
			"text":                  {"aa31373930303033363030", token.BadLayout, 0},
			"nil":                   {"c0", token.BadLayout, 0},
			"true":                  {"c3", token.BadLayout, 0},
			"a 32-bit float":        {"ca4ed55555", token.BadLayout, 0},
			"the greatest integer":  {"cf7fffffffffffffff", token.BadLayout, 0},
			"an integer beyond":     {"cfffffffffffffffff", token.BadLayout, 0},
			"the smallest integer":  {"d38000000000000000", token.BadLayout, 0},
			"a timestamp extension": {"d6ff6ab13b80", token.BadLayout, 0},
		} {
			_, rej := verifyPayload(t, with(expires, tt.exp))
			if reasonOf(rej) != tt.want {
				t.Errorf("%s: %v, want %s", name, rej, tt.want)
			} else if rej.LooksLike != tt.unit || tt.unit != 0 && rej.Claim != "expires_at" {
				t.Errorf("%s: looks like %v, claim %q, want %v", name, rej.LooksLike, rej.Claim, tt.unit)
			}
		}
	})
	t.Run("C12_expiry_past", func(t *testing.T) {
		for _, f := range []float64{0, -0.5, -1, -1e9, 1, 0.5} {
			wantReason(t, fmt.Sprint(f), with(expires, pFloat(f)), token.Expired)
		}
		wantReason(t, "integer -1", with(expires, "ff"), token.Expired)
	})
	t.Run("C13_method_bits", func(t *testing.T) {
		for m, want := range map[string][]string{
			"00": {}, "fe": {}, "cc80": {}, "40": {}, "cd0100": {}, "ff": {}, "cc82": {}, "cf7fffffffffffffff": {}, "d38000000000000000": {},
			"02": {"password"}, "06": {"token", "password"}, "cf0000000100000000": {MethodEC2}, "cf0000000100000040": {MethodEC2},
			"cf0000000300000002": {MethodOAuth2, MethodEC2, "password"}, "cf0000000400000002": {},
		} {
			v, rej := verifyPayload(t, with(methods, m))
			if got := v.Claims().Methods; rej != nil || got == nil || !slices.Equal(got, want) {
				t.Errorf("bits %s: %q, %v, want %q", m, got, rej, want)
			}
		}
		for name, m := range map[string]string{"nil": "c0", "true": "c3", "text": "a132", "a float": pFloat(2), "a list": "9102"} {
			wantReason(t, name, with(methods, m), token.BadLayout)
		}
	})
	t.Run("C14_system", func(t *testing.T) {
		for _, s := range []string{"a3666f6f", "a3416c6c", "a0", "a4616c6c00", "c403616c6d", "a9736f6d657468696e67"} {
			p := slices.Clone(good[System])
			p[4] = s
			wantReason(t, s, unhex(t, p...), token.BadLayout)
		}
		for _, s := range []string{"c0", "c3", "01", "90"} {
			p := slices.Clone(good[System])
			p[4] = s
			wantReason(t, s, unhex(t, p...), token.BadLayout)
		}
		p := slices.Clone(good[System])
		p[4] = "c403616c6c" // as bytes, which the old packer wrote
		wantReason(t, "all as bytes", unhex(t, p...), "")
	})
	t.Run("C15_domain_text", func(t *testing.T) {
		p := slices.Clone(good[Domain])
		for name, d := range map[string]string{
			"another text": "a36f7468", "nothing": "a0", "upper case": "a744454641554c54", "a flag pair": "92c2a764656661756c74", "nil": "c0",
			"fifteen bytes": "c40fad5f82e879a9c5d6b5b442eb37e505", "sixteen characters": "b061626364656667686970717273747576",
		} {
			p[4] = d
			wantReason(t, name, unhex(t, p...), token.BadLayout)
		}
		p[4] = "a764656661756c74"
		if v, rej := verifyPayload(t, unhex(t, p...)); rej != nil || v.Claims().DomainID != "default" {
			t.Errorf("the default domain: %+v, %v", v.Claims(), rej)
		}
		// A default domain whose id has sixteen characters is text as text.
		ring := keysOf(t, map[string]string{"0": benchKey})
		ts, err := NewFernet(Fixed(ring), Format{DefaultDomainID: "sixteen-letters!"}, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		c := Claims{UserID: benchUser, DomainID: "sixteen-letters!", AuditIDs: []string{benchAudit}, ExpiresAt: benchNow + 60}
		text, err := ts.Mint(c, benchNow.Time())
		if err != nil {
			t.Fatal(err)
		}
		if v, rej := ts.Verify(text, benchNow.Time(), Options{}); rej != nil || v.Claims().DomainID != c.DomainID {
			t.Errorf("a default domain of sixteen characters: %+v, %v", v.Claims(), rej)
		}
	})
	t.Run("C16_bomb", func(t *testing.T) {
		deep := bytes.Repeat([]byte{0x91}, 48_000)
		for name, p := range map[string][]byte{
			"nested arrays":              deep,
			"nested in the user":         append(unhex(t, "96", "02"), deep...),
			"an array of 2^32":           unhex(t, "ddffffffff", "02"),
			"an array of 2^16":           unhex(t, "dcffff", "02"),
			"groups of 2^32":             unhex(t, "9804", pUser, pMethods, "ddffffffff"),
			"groups of 2^31":             unhex(t, "9804", pUser, pMethods, "dd7fffffff", strings.Repeat("92c2a161", 100)),
			"audit ids of 2^32":          unhex(t, "9500", pUser, pMethods, pExp, "ddffffffff"),
			"text of 4 GiB":              unhex(t, "9500", "92c2dbffffffff", "61"),
			"bytes of 4 GiB":             unhex(t, "9500", "92c3c6ffffffff", "61"),
			"text longer by one":         unhex(t, "9500", "92c2a561626364"),
			"48 kB of text":              append(unhex(t, "9500", "92c2dabb80"), bytes.Repeat([]byte("a"), 48_000)...),
			"48 kB of padding":           append(unhex(t, good[Project]...), make([]byte, 48_000)...),
			"an extension of 4 GiB":      unhex(t, "9500", "c9ffffffff00"),
			"a map of 2^32":              unhex(t, "dfffffffff"),
			"a length that overflows":    unhex(t, "9500", "92c2dbfffffffb"),
			"a thousand nested ID pairs": append(unhex(t, "9500"), bytes.Repeat([]byte{0x92, 0xc3}, 1000)...),
		} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			wantReasonIn(t, name, p, token.BadLayout, token.WrongKind)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 || took > time.Second {
				t.Errorf("%s: %d bytes and %v to refuse it", name, n, took)
			}
		}
		// What is long and in order is accepted.
		long := append(unhex(t, "9500", "92c2dabb80"), bytes.Repeat([]byte("a"), 48_000)...)
		wantReason(t, "an id of 48 kB", append(long, unhex(t, pMethods, pExp, pAudit)...), "")
	})
	// C17, msgpack before 1.0: its vectors are in TestVectorsAreRead; here is
	// every layout.
	t.Run("C17_old_packing", func(t *testing.T) {
		for v, parts := range good {
			want, rej := verifyPayload(t, unhex(t, parts...))
			if rej != nil {
				t.Fatal(rej)
			}
			old := strings.ReplaceAll(strings.Join(parts, ""), "c410", "b0")
			got, rej := verifyPayload(t, unhex(t, old))
			if rej != nil || asJSON(got.Claims()) != asJSON(want.Claims()) {
				t.Errorf("%v: %+v, %v, want %+v", Version(v), got.Claims(), rej, want.Claims())
			}
		}
	})
	t.Run("C18_groups", func(t *testing.T) {
		with := func(n int, group string) []byte {
			return unhex(t, "9804", pUser, "10", fmt.Sprintf("dc%04x", n), strings.Repeat(group, n), pIDP, pText, pExp, pAudit)
		}
		wantReason(t, "10 000 groups", with(10_000, "92c2a161"), token.BadLayout)
		wantReason(t, "one group too many", with(MaxGroups+1, "92c3c410"+hexUser), token.BadLayout)
		if v, rej := verifyPayload(t, with(MaxGroups, "92c3c410"+hexUser)); rej != nil || len(v.Claims().FederatedGroupIDs) != MaxGroups {
			t.Errorf("%d groups: %v", MaxGroups, rej)
		}
		for name, g := range map[string]string{"no id": "92c2a0", "nil": "c0", "a map, as in JSON": "81a26964a161", "text": "a161", "false and nil": "92c2c0"} {
			wantReason(t, name, with(1, g), token.BadLayout)
		}
	})
	t.Run("elements_of_other_layouts", func(t *testing.T) {
		for _, tt := range []struct {
			v    Version
			at   int
			part string
		}{
			{Trust, 7, "92c3" + pTrust}, {Trust, 7, "c0"}, {Trust, 7, "a77472757374"}, {Trust, 7, "c40f" + hexUser[2:]},
			{FederatedUnscoped, 4, "c0"}, {FederatedUnscoped, 4, pIDP}, {FederatedUnscoped, 5, "92c2a0"}, {FederatedUnscoped, 5, "c0"},
			{FederatedUnscoped, 6, "a0"}, {FederatedUnscoped, 6, "c0"}, {FederatedUnscoped, 6, "a2fffe"}, {FederatedUnscoped, 6, pIDP},
			{FederatedProject, 4, "92c2c0"}, {FederatedDomain, 4, "92c2c0"}, {OAuth1, 4, "92c2c0"}, {OAuth1, 5, "92c2c0"}, {OAuth1, 5, "c0"},
			{AppCred, 7, "92c2c0"}, {AppCred, 7, "92c2a0"}, {OAuth2, 8, "92c2c0"}, {OAuth2, 8, "92c2a0"}, {OAuth2, 8, pUser}, {OAuth2, 8, "92c3a3616263"},
			{OAuth2, 8, "a3616263"}, {OAuth2, 5, "c0"}, {OAuth2, 5, "92c2a0"}, {Project, 4, "92c2c0"},
		} {
			p := slices.Clone(good[tt.v])
			p[tt.at] = tt.part
			wantReason(t, fmt.Sprint(tt.v, " ", tt.at), unhex(t, p...), token.BadLayout)
		}
		for _, v := range []Version{Trust, AppCred, OAuth2} { // may be without a project
			p := slices.Clone(good[v])
			p[4] = "92c2c0"
			if got, rej := verifyPayload(t, unhex(t, p...)); rej != nil || got.Claims().ProjectID != "" {
				t.Errorf("%v without a project: %+v, %v", v, got.Claims(), rej)
			}
		}
	})
}

func wantReasonIn(t *testing.T, name string, payload []byte, want ...token.Reason) {
	t.Helper()
	if _, rej := verifyPayload(t, payload); rej == nil || !slices.Contains(want, rej.Reason) {
		t.Errorf("%s: %v, want one of %s", name, rej, want)
	}
}
