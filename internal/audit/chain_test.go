package audit

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"symbolon/internal/errs"
)

func full() Event {
	return Event{
		Type: "fact_write", At: 1_750_000_000_000_000, Actor: "user:a", Tenant: "default", Subject: "s", Source: "agent:b",
		AttestedKeyID: "k", OIDCSubject: "o", PeerID: "p", Detail: json.RawMessage(`{"n":1}`),
	}
}

func chain(n int) ([]Entry, Head) {
	var head Head
	var out []Entry
	for i := range n {
		e := full()
		e.Subject = fmt.Sprint(i)
		var entry Entry
		entry, head = Append(head, e)
		out = append(out, entry)
	}
	return out, head
}

func check(list []Entry, head Head) *Break {
	var v Verifier
	for _, n := range list {
		if b := v.Next(n); b != nil {
			return b
		}
	}
	return v.End(head)
}

func TestAChainVerifies(t *testing.T) {
	for _, n := range []int{0, 1, 2, 50} {
		list, head := chain(n)
		if b := check(list, head); b != nil {
			t.Errorf("%d entries: %v", n, b)
		}
		if head.Seq != int64(n) {
			t.Errorf("%d entries: the head is at %d", n, head.Seq)
		}
	}
}

// The bytes that are hashed are fixed for ever: chains written by an older binary
// must verify.
func TestTheHashOfAnEntryIsStable(t *testing.T) {
	n, _ := Append(Head{}, full())
	const want = "7e87dc17585fb125b75e24d174d59d03e044257ca4292007119bcaaf85fa446a"
	if got := n.Hash.String(); got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
	bare, _ := Append(Head{Seq: 41, Hash: n.Hash}, Event{Type: "x", At: 1})
	const wantBare = "56264db17f56edb8c08537015e4cdcf0ce701763cc6cf30f8c4515e3bda988fa 56264db1-7f56-8db8-8085-37015e4cdcf0"
	if got := bare.Hash.String() + " " + bare.ID; got != wantBare {
		t.Errorf("hash and id %s, want %s", got, wantBare)
	}
}

// Every field of an entry, those that are added later included, is covered.
func TestEveryFieldIsCovered(t *testing.T) {
	list, head := chain(3)
	typ := reflect.TypeFor[Entry]()
	var walk func(typ reflect.Type, index []int)
	walk = func(typ reflect.Type, index []int) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			at := append(append([]int{}, index...), i)
			if f.Anonymous {
				walk(f.Type, at)
				continue
			}
			bad := append([]Entry{}, list...)
			v := reflect.ValueOf(&bad[1]).Elem().FieldByIndex(at)
			switch v.Kind() {
			case reflect.String:
				v.SetString(v.String() + "x")
			case reflect.Int64:
				v.SetInt(v.Int() + 7)
			case reflect.Array:
				v.Index(5).SetUint(v.Index(5).Uint() ^ 1)
			case reflect.Slice:
				v.SetBytes([]byte(`{"n":2}`))
			default:
				t.Fatalf("field %s: what is a %v?", f.Name, v.Kind())
			}
			b := check(bad, head)
			if b == nil {
				t.Errorf("a change of %s is not found", f.Name)
			} else if b.Seq != 2 {
				t.Errorf("a change of %s: %v, want it at entry 2", f.Name, b)
			}
		}
	}
	walk(typ, nil)
}

// Content cannot move from one field into the next without a trace.
func TestFieldsDoNotRunTogether(t *testing.T) {
	seen := map[Hash]string{}
	for _, e := range []Event{
		{Type: "ab"},
		{Type: "a", Actor: "b"},
		{Type: "a", Tenant: "b"},
		{Type: "a", PeerID: "b"},
		{Type: "a", Detail: json.RawMessage("b")},
		{Type: "a", Detail: json.RawMessage{}},
		{Type: "a"},
		{Type: "a\x00b"},
		{Type: "a", Actor: "\x00\x00\x00\x00\x00\x00\x00\x01b"},
	} {
		n, _ := Append(Head{}, e)
		if other, ok := seen[n.Hash]; ok {
			t.Errorf("%+v and %s have one hash", e, other)
		}
		seen[n.Hash] = fmt.Sprintf("%+v", e)
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	list, head := chain(5)
	other, _ := Append(Head{Seq: 2, Hash: list[1].Hash}, Event{Type: "other", At: 1})
	replaced := append(append([]Entry{}, list[:2]...), other, list[3], list[4])
	for _, tt := range []struct {
		name  string
		list  []Entry
		seq   int64
		fault Fault
	}{
		{"none is wrong", list, 0, ""},
		{"the first is gone", list[1:], 1, Missing},
		{"one in the middle is gone", append(append([]Entry{}, list[:2]...), list[3:]...), 3, Missing},
		{"the last is gone", list[:4], 5, Truncated},
		{"one is there twice", append(append([]Entry{}, list[:3]...), list[2:]...), 3, Inserted},
		{"one is replaced by a sound one", replaced, 4, Inserted},
		{"two change places", []Entry{list[0], list[2], list[1], list[3], list[4]}, 2, Missing},
	} {
		b := check(tt.list, head)
		if tt.fault == "" {
			if b != nil {
				t.Errorf("%s: %v", tt.name, b)
			}
			continue
		}
		if b == nil || b.Seq != tt.seq || b.Fault != tt.fault {
			t.Errorf("%s: %v, want %s at %d", tt.name, b, tt.fault, tt.seq)
		} else if !strings.Contains(b.Error(), string(tt.fault)) {
			t.Errorf("%s: the text %q does not say what is wrong", tt.name, b.Error())
		}
	}
	if b := check(list, Head{Seq: 4, Hash: list[3].Hash}); b == nil || b.Fault != Inserted || b.Seq != 5 {
		t.Errorf("one more than recorded: %v", b)
	}
	if b := check(list, Head{Seq: 5, Hash: list[3].Hash}); b == nil || b.Seq != 5 {
		t.Errorf("another head than recorded: %v", b)
	}
}

func TestOnlySoundEventsPass(t *testing.T) {
	if err := full().Check(); err != nil {
		t.Errorf("a full event: %v", err)
	}
	for name, change := range map[string]func(*Event){
		"no type":             func(e *Event) { e.Type = "" },
		"no instant":          func(e *Event) { e.At = 0 },
		"a zero byte":         func(e *Event) { e.Source = "a\x00" },
		"no UTF-8":            func(e *Event) { e.PeerID = "\xc3" },
		"a list as detail":    func(e *Event) { e.Detail = json.RawMessage(` [1]`) },
		"half a detail":       func(e *Event) { e.Detail = json.RawMessage(`{"a":`) },
		"an empty detail":     func(e *Event) { e.Detail = json.RawMessage{} },
		"a detail not UTF-8":  func(e *Event) { e.Detail = json.RawMessage("{\"a\":\"\xff\"}") },
		"a detail too long":   func(e *Event) { e.Detail = json.RawMessage(`{"a":"` + strings.Repeat("x", MaxDetail) + `"}`) },
		"a detail and a tail": func(e *Event) { e.Detail = json.RawMessage(`{} {}`) },
	} {
		e := full()
		change(&e)
		if err := e.Check(); !errs.Is(err, errs.Internal) {
			t.Errorf("%s: %v, want internal", name, err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	var head Head
	e := full()
	b.ReportAllocs()
	for b.Loop() {
		_, head = Append(head, e)
	}
}
