package rule

import (
	"fmt"
	"strconv"
	"strings"
)

// maxDepth bounds the nesting of one check, and with it the stack that evaluating
// one takes.
const maxDepth = 100

type node interface {
	eval(c *Creds, t Target) bool
	String() string
}

type (
	constant bool
	not      struct{ x node }
	all      []node
	anyOf    []node
	role     struct{ match template }
	ref      struct {
		name string
		to   *compiled // nil: undefined, which denies
	}
	generic struct {
		kind    string
		field   func(*Creds) Value // nil for a literal or a name that does not exist
		literal Value
		match   template
	}
)

func (n constant) eval(*Creds, Target) bool { return bool(n) }
func (n not) eval(c *Creds, t Target) bool  { return !n.x.eval(c, t) }
func (n ref) eval(c *Creds, t Target) bool  { return n.to != nil && n.to.node.eval(c, t) }
func (n generic) eval(c *Creds, t Target) bool {
	v := n.literal
	if n.field != nil {
		v = n.field(c)
	}
	return v.state != missing && n.match.equal(t, v.text)
}

func (n all) eval(c *Creds, t Target) bool {
	for _, x := range n {
		if !x.eval(c, t) {
			return false
		}
	}
	return true
}

func (n anyOf) eval(c *Creds, t Target) bool {
	for _, x := range n {
		if x.eval(c, t) {
			return true
		}
	}
	return false
}

func (n role) eval(c *Creds, t Target) bool {
	for _, r := range c.Roles {
		if n.match.equalFold(t, r) {
			return true
		}
	}
	return false
}

func (n constant) String() string {
	if n {
		return "@"
	}
	return "!"
}
func (n not) String() string     { return "not " + n.x.String() }
func (n all) String() string     { return "(" + join(n, " and ") + ")" }
func (n anyOf) String() string   { return "(" + join(n, " or ") + ")" }
func (n role) String() string    { return "role:" + n.match.source }
func (n ref) String() string     { return "rule:" + n.name }
func (n generic) String() string { return n.kind + ":" + n.match.source }

func join(ns []node, sep string) string {
	texts := make([]string, len(ns))
	for i, n := range ns {
		texts[i] = n.String()
	}
	return strings.Join(texts, sep)
}

func refs(n node, to []string) []string {
	switch n := n.(type) {
	case not:
		return refs(n.x, to)
	case all:
		for _, x := range n {
			to = refs(x, to)
		}
	case anyOf:
		for _, x := range n {
			to = refs(x, to)
		}
	case ref:
		to = append(to, n.name)
	}
	return to
}

// A template is the right side of a check: text in which %(name)s stands for a
// value of the target.
type template struct {
	source string
	parts  []part
}

type part struct {
	text string // literal text, or a name when variable
	name bool
}

func parseTemplate(s string) (template, error) {
	tm := template{source: s}
	for s != "" {
		lit, rest, found := strings.Cut(s, "%(")
		if lit != "" {
			tm.parts = append(tm.parts, part{text: lit})
		}
		if !found {
			break
		}
		name, after, ok := strings.Cut(rest, ")s")
		if !ok || name == "" {
			return tm, fmt.Errorf("%q: %%( is not closed by )s", tm.source)
		}
		tm.parts = append(tm.parts, part{text: name, name: true})
		s = after
	}
	return tm, nil
}

// equal reports whether the template, filled in from t, is s. A missing name equals
// nothing.
func (tm template) equal(t Target, s string) bool {
	got, ok := tm.fill(t)
	return ok && got == s
}

func (tm template) equalFold(t Target, lower string) bool {
	got, ok := tm.fill(t)
	return ok && strings.EqualFold(got, lower)
}

func (tm template) fill(t Target) (string, bool) {
	if len(tm.parts) == 1 { // by far the usual case, and it allocates nothing
		p := tm.parts[0]
		if !p.name {
			return p.text, true
		}
		v := t.Value(p.text)
		return v.text, v.state != missing
	}
	var b strings.Builder
	for _, p := range tm.parts {
		if !p.name {
			b.WriteString(p.text)
			continue
		}
		v := t.Value(p.text)
		if v.state == missing {
			return "", false
		}
		b.WriteString(v.text)
	}
	return b.String(), true
}

// parse reads a check: or-ed and-ed possibly negated checks and parentheses.
func parse(s string, rules map[string]*compiled) (node, error) {
	if strings.TrimSpace(s) == "" {
		return constant(true), nil
	}
	p := parser{toks: tokenise(s), rules: rules}
	n, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.i != len(p.toks) {
		return nil, fmt.Errorf("%q is not expected", p.toks[p.i])
	}
	return n, nil
}

// tokenise splits at white space and at parentheses that stand at either end of a
// word; the parentheses of %(name)s stay in theirs.
func tokenise(s string) []string {
	var toks []string
	for _, w := range strings.Fields(s) {
		for strings.HasPrefix(w, "(") {
			toks = append(toks, "(")
			w = w[1:]
		}
		trimmed := strings.TrimRight(w, ")")
		if trimmed != "" {
			toks = append(toks, trimmed)
		}
		for range len(w) - len(trimmed) {
			toks = append(toks, ")")
		}
	}
	return toks
}

type parser struct {
	toks  []string
	i     int
	rules map[string]*compiled
}

func (p *parser) next(word string) bool {
	if p.i < len(p.toks) && strings.EqualFold(p.toks[p.i], word) {
		p.i++
		return true
	}
	return false
}

func (p *parser) or(depth int) (node, error) {
	n, err := p.and(depth)
	if err != nil {
		return nil, err
	}
	ns := anyOf{n}
	for p.next("or") {
		if n, err = p.and(depth); err != nil {
			return nil, err
		}
		ns = append(ns, n)
	}
	if len(ns) == 1 {
		return ns[0], nil
	}
	return ns, nil
}

func (p *parser) and(depth int) (node, error) {
	n, err := p.not(depth)
	if err != nil {
		return nil, err
	}
	ns := all{n}
	for p.next("and") {
		if n, err = p.not(depth); err != nil {
			return nil, err
		}
		ns = append(ns, n)
	}
	if len(ns) == 1 {
		return ns[0], nil
	}
	return ns, nil
}

func (p *parser) not(depth int) (node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	if p.next("not") {
		n, err := p.not(depth + 1)
		if err != nil {
			return nil, err
		}
		return not{n}, nil
	}
	if p.next("(") {
		n, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.next(")") {
			return nil, fmt.Errorf("a parenthesis is not closed")
		}
		return n, nil
	}
	if p.i == len(p.toks) {
		return nil, fmt.Errorf("the check ends where one more is expected")
	}
	tok := p.toks[p.i]
	p.i++
	return p.check(tok)
}

func (p *parser) check(tok string) (node, error) {
	switch tok {
	case "@":
		return constant(true), nil
	case "!":
		return constant(false), nil
	case "(", ")", "and", "or", "not":
		return nil, fmt.Errorf("%q is not expected", tok)
	}
	kind, match, ok := strings.Cut(tok, ":")
	if !ok || kind == "" {
		return nil, fmt.Errorf("%q is not of the form kind:match", tok)
	}
	switch kind {
	case "rule":
		return ref{match, p.rules[match]}, nil
	case "http", "https":
		return nil, fmt.Errorf("%q: a remote check is not supported", tok)
	}
	tm, err := parseTemplate(match)
	if err != nil {
		return nil, err
	}
	if kind == "role" {
		return role{tm}, nil
	}
	g := generic{kind: kind, match: tm}
	if lit, ok := literal(kind); ok {
		g.literal = lit
	} else {
		g.field = field(kind)
	}
	return g, nil
}

// literal reads a left side that is a literal of the language studied: a quoted
// text, None, True, False or a number.
func literal(s string) (Value, bool) {
	if n := len(s); n >= 2 && (s[0] == '\'' || s[0] == '"') && s[n-1] == s[0] {
		return Text(s[1 : n-1]), true
	}
	switch s {
	case "None":
		return Null(), true
	case "True", "False":
		return Text(s), true
	}
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return Text(s), true
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil && s[0] != 'i' && s[0] != 'I' && s[0] != 'n' && s[0] != 'N' {
		return Text(s), true
	}
	return Value{}, false
}
