package keytoken

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
)

// DESIGN L1: a payload is read from a fernet.Opened, which only a good MAC makes,
// and from nothing else. The one place that makes a reader takes one.
func TestOnlyAuthenticBytesAreRead(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				lit, ok := n.(*ast.CompositeLit)
				if !ok {
					return true
				}
				if id, ok := lit.Type.(*ast.Ident); ok && id.Name == "reader" {
					made++
					if fn.Name.Name != "newReader" {
						t.Errorf("%s makes a reader in %s", e.Name(), fn.Name.Name)
					}
				}
				return true
			})
		}
	}
	typ := reflect.TypeOf(newReader)
	if made != 1 || typ.NumIn() != 1 || typ.In(0).String() != "*fernet.Opened" {
		t.Errorf("a reader is made at %d places, and of a %v, want one place and a *fernet.Opened", made, typ.In(0))
	}
}

// What says that a token was accepted cannot be written down by a caller.
func TestVerdictsAreSealed(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[Verified](), reflect.TypeFor[Decoded](), reflect.TypeFor[Tokens](), reflect.TypeFor[JWSKeys]()} {
		for i := range typ.NumField() {
			if f := typ.Field(i); f.IsExported() {
				t.Errorf("%s has an exported field %s", typ, f.Name)
			}
		}
	}
	var d Decoded
	if v, rej := d.Check(benchNow.Time(), Options{}); rej == nil {
		t.Errorf("a Decoded out of nothing is accepted: %+v", v)
	}
}
