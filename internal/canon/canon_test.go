package canon_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/id"
)

func load(t testing.TB, file string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

type cidVector struct {
	Entity, Relation, Source, Scope, Confidence, CID string
	ValueType                                        canon.ValueType `json:"value_type"`
	Raw                                              string          `json:"value_v_input_json"`
	Stored                                           string          `json:"stored_value_v"`
	Canonical                                        string          `json:"canonical_utf8"`
}

func (v cidVector) fact(t *testing.T, value string) canon.Fact {
	t.Helper()
	c, err := strconv.ParseFloat(v.Confidence, 64)
	if err != nil {
		t.Fatal(err)
	}
	return canon.Fact{
		Entity: v.Entity, Relation: v.Relation, ValueType: v.ValueType, Value: value, Source: v.Source, Scope: v.Scope, Confidence: c,
	}
}

func cidVectors(t *testing.T) []cidVector {
	t.Helper()
	var g struct{ CID []cidVector }
	load(t, "golden.json", &g)
	if len(g.CID) < 40 {
		t.Fatalf("only %d vectors", len(g.CID))
	}
	return g.CID
}

// The reference's own spelling of each value gives the reference's bytes and
// content id, integers included.
func TestCIDAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	for _, v := range cidVectors(t) {
		stored, err := canon.ReferenceValue(v.ValueType, []byte(v.Raw))
		if err != nil || stored != v.Stored {
			t.Errorf("ReferenceValue(%s, %s) = %q, %v, want %q", v.ValueType, v.Raw, stored, err, v.Stored)
		}
		f := v.fact(t, stored)
		if got := string(f.Append(nil, canon.CIDv1)); got != v.Canonical {
			t.Errorf("canonical bytes %s, want %s", got, v.Canonical)
		}
		if got, err := f.CID(); err != nil || string(got) != v.CID {
			t.Errorf("CID of %s = %s, %v, want %s", v.Canonical, got, err, v.CID)
		}
	}
}

// What is stored differs from the reference for integers alone: they are hashed
// as the float that is served. Of all vectors, exactly these two.
func TestStoredValueIsTheReferencesButForIntegers(t *testing.T) {
	t.Parallel()
	differ := map[string]string{"42": "42.0", "100000000000000000000": "1e+20"}
	for _, v := range cidVectors(t) {
		want := v.Stored
		if other, ok := differ[v.Raw]; ok && v.ValueType == canon.Number {
			want = other
			delete(differ, v.Raw)
		}
		if got, err := canon.EncodeValue(v.ValueType, []byte(v.Raw)); err != nil || got != want {
			t.Errorf("EncodeValue(%s, %s) = %q, %v, want %q", v.ValueType, v.Raw, got, err, want)
		}
	}
	if len(differ) != 0 {
		t.Errorf("not among the vectors: %v", differ)
	}
}

func TestCIDVersion2(t *testing.T) {
	t.Parallel()
	var g struct {
		Vectors []struct {
			Entity, Relation, Source, Scope, CID string
			Confidence                           float64
			ValueType                            canon.ValueType `json:"value_type"`
			Value                                string          `json:"value_v"`
			InterpretAs                          string          `json:"interpret_as"`
		} `json:"cid_v2"`
	}
	load(t, "reference_values.json", &g)
	if len(g.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range g.Vectors {
		f := canon.Fact{
			Entity: v.Entity, Relation: v.Relation, ValueType: v.ValueType, Value: v.Value, Source: v.Source, Scope: v.Scope,
			Confidence: v.Confidence, InterpretAs: v.InterpretAs,
		}
		if got, err := f.CIDIn(canon.CIDv2); err != nil || string(got) != v.CID {
			t.Errorf("CID in version 2 of %+v = %s, %v, want %s", f, got, err, v.CID)
		}
		v1, _ := f.CID()
		f.InterpretAs = "other"
		if again, _ := f.CID(); again != v1 {
			t.Error("interpret_as changes the content id in version 1")
		}
	}
}

func TestCIDRefusesWhatHasNoCanonicalBytes(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]canon.Fact{
		"text that is no Unicode": {Entity: "a\xff"},
		"confidence NaN":          {Confidence: math.NaN()},
		"confidence infinite":     {Confidence: math.Inf(1)},
	} {
		if c, err := f.CID(); !errs.Is(err, errs.Unprocessable) {
			t.Errorf("%s: CID = %q, %v, want an error of kind unprocessable", name, c, err)
		}
	}
}

// G1: the content id that a reference node computes over 42 must be recognised
// when the fact arrives with 42.0.
func TestReceivedNumbersMatchInEitherSpelling(t *testing.T) {
	t.Parallel()
	for _, v := range cidVectors(t) {
		m, err := canon.MatchReceived(v.fact(t, "unread"), []byte(v.Raw), id.CID(v.CID))
		if err != nil || !m.Holds || m.Version != canon.CIDv1 || m.Value != v.Stored {
			t.Errorf("as sent: MatchReceived(%s) = %+v, %v, want %q", v.Raw, m, err, v.Stored)
		}
		if v.ValueType != canon.Number {
			continue
		}
		f, err := strconv.ParseFloat(v.Stored, 64)
		if err != nil {
			t.Fatal(err)
		}
		served := canon.AppendJSONFloat(nil, f)
		m, err = canon.MatchReceived(v.fact(t, ""), served, id.CID(v.CID))
		if err != nil || !m.Holds || m.Value != v.Stored {
			t.Errorf("as served: MatchReceived(%s, hashed as %s) = %+v, %v", served, v.Stored, m, err)
		}
	}
}

func TestReceivedFactWithAnotherContentIDDoesNotMatch(t *testing.T) {
	t.Parallel()
	vs := cidVectors(t)
	f := vs[0].fact(t, "")
	own, _ := func() (id.CID, error) { g := f; g.Value = "CEO"; return g.CID() }()
	m, err := canon.MatchReceived(f, []byte(`"CEO"`), id.CID(vs[1].CID))
	if err != nil || m.Holds || m.Computed != own || m.Value != "CEO" {
		t.Errorf("MatchReceived = %+v, %v, want no match and %s computed", m, err, own)
	}
	f.Value, f.InterpretAs = "CEO", "instruction"
	v2, err := f.CIDIn(canon.CIDv2)
	if err != nil {
		t.Fatal(err)
	}
	if m, err = canon.MatchReceived(f, []byte(`"CEO"`), v2); err != nil || !m.Holds || m.Version != canon.CIDv2 {
		t.Errorf("in version 2: MatchReceived = %+v, %v", m, err)
	}
	f.InterpretAs = "content"
	if m, err = canon.MatchReceived(f, []byte(`"CEO"`), v2); err != nil || m.Holds {
		t.Errorf("an instruction passed off as content: MatchReceived = %+v, %v, want no match", m, err)
	}
	if m, err = canon.MatchReceived(f, []byte(`"CEO"`), ""); err != nil || !m.Holds {
		t.Errorf("no content id sent: MatchReceived = %+v, %v", m, err)
	}
	if _, err = canon.MatchReceived(canon.Fact{ValueType: canon.Number}, []byte(`null`), ""); !errs.Is(err, errs.Unprocessable) {
		t.Errorf("a number that is null: %v, want an error of kind unprocessable", err)
	}
}

func TestGeneratedValuesAgreeWithTheReference(t *testing.T) {
	t.Parallel()
	var g struct {
		Values []struct{ Raw, String, Boolean, Null, JCS, ASCII string }
	}
	load(t, "reference_values.json", &g)
	if len(g.Values) < 200 {
		t.Fatalf("only %d vectors", len(g.Values))
	}
	for _, v := range g.Values {
		for typ, want := range map[canon.ValueType]string{
			canon.String: v.String, canon.Text: v.String, canon.Ref: v.String, canon.Datetime: v.String,
			canon.Boolean: v.Boolean, canon.Null: v.Null,
		} {
			if got, err := canon.EncodeValue(typ, []byte(v.Raw)); err != nil || got != want {
				t.Errorf("EncodeValue(%s, %s) = %q, %v, want %q", typ, v.Raw, got, err, want)
			}
		}
		for form, want := range map[canon.Form]string{canon.UTF8: v.JCS, canon.ASCII: v.ASCII} {
			if got, err := canon.JSON([]byte(v.Raw), form); err != nil || string(got) != want {
				t.Errorf("JSON(%s, %d) = %s, %v, want %s", v.Raw, form, got, err, want)
			}
		}
	}
}

func TestNumberTextsAgreeWithTheReference(t *testing.T) {
	t.Parallel()
	var g struct {
		Texts []struct {
			Text, Repr string
			Error      bool
		} `json:"number_texts"`
	}
	load(t, "reference_values.json", &g)
	for _, v := range g.Texts {
		raw, _ := json.Marshal(v.Text)
		got, err := canon.EncodeValue(canon.Number, raw)
		if v.Error || v.Repr == "inf" || v.Repr == "-inf" || v.Repr == "nan" {
			if !errs.Is(err, errs.Unprocessable) {
				t.Errorf("EncodeValue(number, %q) = %q, %v, want an error of kind unprocessable", v.Text, got, err)
			}
		} else if err != nil || got != v.Repr {
			t.Errorf("EncodeValue(number, %q) = %q, %v, want %q", v.Text, got, err, v.Repr)
		}
	}
}

func TestFloatTextsAgreeWithTheReference(t *testing.T) {
	t.Parallel()
	var g struct{ Floats []struct{ Bits, Repr string } }
	load(t, "reference_values.json", &g)
	for _, v := range g.Floats {
		b, err := hex.DecodeString(v.Bits)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(canon.AppendFloat(nil, math.Float64frombits(binary.BigEndian.Uint64(b)))); got != v.Repr {
			t.Errorf("AppendFloat(%s) = %s, want %s", v.Bits, got, v.Repr)
		}
	}
}

func TestFloatTextsReadBack(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		f := math.Float64frombits(rng.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		s := string(canon.AppendFloat(nil, f))
		back, err := strconv.ParseFloat(s, 64)
		if err != nil || back != f || !strings.ContainsAny(s, ".e") {
			t.Fatalf("AppendFloat(%b) = %s, which reads as %b, %v", f, s, back, err)
		}
	}
	for f, want := range map[float64]string{math.Inf(1): "null", math.Inf(-1): "null", 1: "1.0", 1e22: "1e+22"} {
		if got, err := json.Marshal(canon.Float(f)); err != nil || string(got) != want {
			t.Errorf("Float(%v) marshals as %s, %v, want %s", f, got, err, want)
		}
	}
	if got := string(canon.AppendFloat(nil, math.NaN())); got != "nan" {
		t.Errorf("AppendFloat(NaN) = %s", got)
	}
}

// G13 and the like: each of these gives a typed 4xx, where the reference fails.
func TestBadValuesAreRefusedWithTheirKind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		typ  canon.ValueType
		raw  string
		want errs.Kind
	}{
		{canon.Number, `null`, errs.Unprocessable},
		{canon.Number, ``, errs.Unprocessable},
		{canon.Number, `true`, errs.Unprocessable},
		{canon.Number, `"word"`, errs.Unprocessable},
		{canon.Number, `[1]`, errs.Unprocessable},
		{canon.Number, `{"a":1}`, errs.Unprocessable},
		{canon.Number, `1e400`, errs.Unprocessable},
		{canon.Number, `1` + strings.Repeat("0", 400), errs.Unprocessable},
		{canon.Number, `"` + strings.Repeat("1", 20000) + `"`, errs.Unprocessable},
		{canon.Number, `4 2`, errs.Invalid},
		{canon.Number, `"4" 2`, errs.Invalid},
		{canon.Number, `nul`, errs.Invalid},
		{canon.String, `1e400`, errs.Unprocessable},
		{canon.String, `1` + strings.Repeat("0", 5000), errs.Unprocessable},
		{canon.String, `"\ud800"`, errs.Unprocessable},
		{canon.String, `"\udc00\ud800"`, errs.Unprocessable},
		{canon.String, `"\ud800x"`, errs.Unprocessable},
		{canon.String, `"\ud800\u0041"`, errs.Unprocessable},
		{canon.String, `["\ud800"]`, errs.Unprocessable},
		{canon.Number, `"\ud800"`, errs.Unprocessable},
		{canon.Boolean, `"\ud800"`, errs.Unprocessable},
		{canon.String, `"\u0000"`, errs.Unprocessable},
		{canon.String, "\"\xff\"", errs.Unprocessable},
		{canon.String, "\"\\n\xed\xa0\x80\"", errs.Unprocessable},
		{canon.String, strings.Repeat("[", 101) + strings.Repeat("]", 101), errs.Unprocessable},
		{canon.Boolean, strings.Repeat("[", 1<<20), errs.Unprocessable},
		{canon.String, `{"a":1,"a":2}`, errs.Invalid},
		{canon.String, `{"a":1,"\u0061":2}`, errs.Invalid},
		{canon.String, `{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1,"2":1}`, errs.Invalid},
		{canon.String, `"unfinished`, errs.Invalid},
		{canon.String, `"unfinished\`, errs.Invalid},
		{canon.String, `"\u12`, errs.Invalid},
		{canon.String, `"\u12g4"`, errs.Invalid},
		{canon.String, `"\x"`, errs.Invalid},
		{canon.String, "\"a\nb\"", errs.Invalid},
		{canon.String, "\"\\t\n\"", errs.Invalid},
		{canon.String, `01`, errs.Invalid},
		{canon.String, `-`, errs.Invalid},
		{canon.String, `1.`, errs.Invalid},
		{canon.String, `1e`, errs.Invalid},
		{canon.String, `.5`, errs.Invalid},
		{canon.String, `+1`, errs.Invalid},
		{canon.String, `NaN`, errs.Invalid},
		{canon.String, `[1,]`, errs.Invalid},
		{canon.String, `[1 2]`, errs.Invalid},
		{canon.String, `{"a" 1}`, errs.Invalid},
		{canon.String, `{1:1}`, errs.Invalid},
		{canon.String, `{"a":1,}`, errs.Invalid},
		{canon.String, `[] []`, errs.Invalid},
		{canon.Null, `x`, errs.Invalid},
		{canon.Boolean, `true false`, errs.Invalid},
	} {
		if got, err := canon.EncodeValue(tt.typ, []byte(tt.raw)); got != "" || !errs.Is(err, tt.want) {
			t.Errorf("EncodeValue(%s, %.40q) = %q, %v, want an error of kind %v", tt.typ, tt.raw, got, err, tt.want)
		}
	}
}

func TestValueTypes(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"string", "text", "number", "boolean", "datetime", "ref", "null"} {
		if got, err := canon.ParseValueType(s); err != nil || string(got) != s {
			t.Errorf("ParseValueType(%q) = %q, %v", s, got, err)
		}
	}
	if _, err := canon.ParseValueType("Number"); !errs.Is(err, errs.Invalid) {
		t.Errorf("ParseValueType of another text: %v, want an error of kind invalid", err)
	}
}

// Every signing body among the vectors comes out of its document.
func TestSigningBodiesAgreeWithTheReference(t *testing.T) {
	t.Parallel()
	var g struct {
		Manifest, Rotated struct {
			Document json.RawMessage
			Body     string `json:"signing_body"`
		}
		ManifestRotated struct {
			Document     json.RawMessage
			Body         string `json:"signing_body"`
			RotationBody string `json:"rotation_signing_body"`
		} `json:"manifest_rotated"`
		Capability struct {
			Body  string `json:"signing_body"`
			Token string `json:"token_json"`
		} `json:"capability_token"`
		Revocation struct {
			Event json.RawMessage
			Body  string `json:"signing_body"`
		} `json:"capability_revocation"`
		LocalTL struct {
			Payload json.RawMessage
			Leaf    string `json:"leaf_hash"`
		} `json:"local_tl"`
	}
	load(t, "golden.json", &g)
	var rotated struct {
		Events []json.RawMessage `json:"rotation_events"`
	}
	if err := json.Unmarshal(g.ManifestRotated.Document, &rotated); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		raw     []byte
		without []string
		want    string
	}{
		{"manifest", g.Manifest.Document, []string{"signature"}, g.Manifest.Body},
		{"manifest after a rotation", g.ManifestRotated.Document, []string{"signature"}, g.ManifestRotated.Body},
		{"rotation event", rotated.Events[0], []string{"signature", "previous_public_key"}, g.ManifestRotated.RotationBody},
		{"capability token", []byte(g.Capability.Token), []string{"signature"}, g.Capability.Body},
		{"capability token as sent", []byte(g.Capability.Token), nil, g.Capability.Token},
		{"revocation", g.Revocation.Event, nil, g.Revocation.Body},
	} {
		if tt.want == "" {
			t.Fatalf("%s: no vector", tt.name)
		}
		if got, err := canon.JSON(tt.raw, canon.UTF8, tt.without...); err != nil || string(got) != tt.want {
			t.Errorf("%s: JSON = %s, %v, want %s", tt.name, got, err, tt.want)
		}
	}
	leaf, err := canon.JSON(g.LocalTL.Payload, canon.UTF8)
	if sum := sha256.Sum256(leaf); err != nil || hex.EncodeToString(sum[:]) != g.LocalTL.Leaf {
		t.Errorf("leaf hash of %s = %x, %v, want %s", leaf, sum, err, g.LocalTL.Leaf)
	}
}

func TestFactChainAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	var g struct {
		Chain struct {
			Row struct {
				ID, CID, Entity, Relation, Scope, Source string
				Tenant                                   string `json:"tenant_id"`
				Confidence                               float64
				Type                                     string `json:"value_type"`
				V                                        string `json:"value_v"`
			}
			Event string `json:"event_hash"`
			First struct {
				CreatedAt string `json:"created_at"`
				Hash      string
			} `json:"chain_hash_seq1"`
			Second struct {
				CreatedAt string `json:"created_at"`
				Previous  string `json:"previous_hash"`
				Hash      string
			} `json:"chain_hash_seq2"`
		} `json:"fact_chain"`
	}
	load(t, "golden.json", &g)
	hash := func(v any) string {
		b, err := canon.Marshal(v, canon.UTF8)
		if err != nil {
			t.Fatal(err)
		}
		return id.CIDOf(sha256.Sum256(b)).String()
	}
	r := g.Chain.Row
	if got := hash(map[string]any{
		"cid": r.CID, "confidence": canon.Float(r.Confidence), "entity": r.Entity, "fact_id": r.ID, "relation": r.Relation, "scope": r.Scope,
		"source": r.Source, "tenant_id": r.Tenant, "value_type": r.Type, "value_v": r.V,
	}); got != g.Chain.Event {
		t.Errorf("event hash = %s, want %s", got, g.Chain.Event)
	}
	link := func(seq int, created string, previous any) string {
		return hash(map[string]any{
			"chain_seq": seq, "created_at": created, "event_hash": g.Chain.Event, "fact_id": r.ID, "previous_hash": previous, "tenant_id": r.Tenant,
		})
	}
	if got := link(1, g.Chain.First.CreatedAt, nil); got != g.Chain.First.Hash {
		t.Errorf("first link = %s, want %s", got, g.Chain.First.Hash)
	}
	if got := link(2, g.Chain.Second.CreatedAt, g.Chain.Second.Previous); got != g.Chain.Second.Hash {
		t.Errorf("second link = %s, want %s", got, g.Chain.Second.Hash)
	}
}

func TestJSONLeavesOutOnlyOutermostMembers(t *testing.T) {
	t.Parallel()
	got, err := canon.JSON([]byte(` {"b": {"x": 1, "a": 2}, "x": 9, "a": ["x"], "\u00e9": 1.0, "\ud83d\ude00":2, "\uffee":3} `), canon.UTF8, "x", "absent")
	if want := "{\"a\":[\"x\"],\"b\":{\"a\":2,\"x\":1},\"é\":1.0,\"\uffee\":3,\"😀\":2}"; err != nil || string(got) != want {
		t.Errorf("JSON = %s, %v, want %s", got, err, want)
	}
	if _, err := canon.JSON([]byte(`[1]`), canon.UTF8, "x"); !errs.Is(err, errs.Invalid) {
		t.Errorf("leaving a member out of an array: %v, want an error of kind invalid", err)
	}
	if _, err := canon.Marshal(func() {}, canon.UTF8); !errs.Is(err, errs.Internal) {
		t.Errorf("marshalling a function: %v, want an error of kind internal", err)
	}
	if got, err := canon.Marshal("<&>\u2028", canon.UTF8); err != nil || string(got) != "\"<&>\u2028\"" {
		t.Errorf("Marshal = %s, %v", got, err)
	}
}

func TestLoneSurrogatesAreFound(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]bool{
		``:                     false,
		`{"a":"plain"}`:        false,
		`"\ud83d\ude00"`:       false,
		`"\uD83D\uDE00\u0041"`: false,
		`"\\ud800"`:            false,
		`"\\\ud800"`:           true,
		`"\ud800"`:             true,
		`"\udc00"`:             true,
		`"\ud800\ud800"`:       true,
		`"\ud83d \ude00"`:      true,
		`"\ud800\\udc00"`:      true,
		`"\u`:                  false,
		`\`:                    false,
	} {
		if got := canon.HasLoneSurrogate([]byte(raw)); got != want {
			t.Errorf("HasLoneSurrogate(%s) = %v, want %v", raw, got, want)
		}
	}
}

func TestHashingAFactAllocatesOnlyTheResult(t *testing.T) {
	f := canon.Fact{
		Entity: "stigmem://acme.example/user/alice", Relation: "memory:role", ValueType: canon.String, Value: "CEO", Source: "agent:cto",
		Scope: "company", Confidence: 1,
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := f.CID(); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("CID makes %v allocations, want 1", n)
	}
}
