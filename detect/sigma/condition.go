package sigma

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

type expression func(e Event) bool

type conditionParser struct {
	toks     []string
	i        int
	searches map[string]search
}

// parseCondition reads "a and not (b or c)", "1 of sel*", "all of them".
func parseCondition(s string, searches map[string]search) (expression, error) {
	s = strings.NewReplacer("(", " ( ", ")", " ) ").Replace(s)
	p := &conditionParser{toks: strings.Fields(s), searches: searches}
	x, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.i != len(p.toks) {
		return nil, fmt.Errorf("condition: %q is not expected", p.toks[p.i])
	}
	return x, nil
}

func (p *conditionParser) next(word string) bool {
	if p.i < len(p.toks) && strings.EqualFold(p.toks[p.i], word) {
		p.i++
		return true
	}
	return false
}

func (p *conditionParser) or() (expression, error) {
	x, err := p.and()
	for err == nil && p.next("or") {
		var y expression
		left := x
		if y, err = p.and(); err == nil {
			x = func(e Event) bool { return left(e) || y(e) }
		}
	}
	return x, err
}

func (p *conditionParser) and() (expression, error) {
	x, err := p.not()
	for err == nil && p.next("and") {
		var y expression
		left := x
		if y, err = p.not(); err == nil {
			x = func(e Event) bool { return left(e) && y(e) }
		}
	}
	return x, err
}

func (p *conditionParser) not() (expression, error) {
	if p.next("not") {
		x, err := p.not()
		return func(e Event) bool { return !x(e) }, err
	}
	if p.next("(") {
		x, err := p.or()
		if err == nil && !p.next(")") {
			err = fmt.Errorf("condition: a parenthesis is not closed")
		}
		return x, err
	}
	if p.i == len(p.toks) {
		return nil, fmt.Errorf("condition: it ends where a search is expected")
	}
	tok := p.toks[p.i]
	p.i++
	if (tok == "1" || tok == "all") && p.next("of") {
		return p.of(tok == "all")
	}
	s, ok := p.searches[tok]
	if !ok {
		return nil, fmt.Errorf("condition: there is no search %q", tok)
	}
	return s.match, nil
}

func (p *conditionParser) of(all bool) (expression, error) {
	if p.i == len(p.toks) {
		return nil, fmt.Errorf("condition: of what?")
	}
	glob := p.toks[p.i]
	p.i++
	if glob == "them" {
		glob = "*"
	}
	var among []search
	for name, s := range p.searches {
		if ok, err := path.Match(glob, name); err != nil {
			return nil, err
		} else if ok && !strings.HasPrefix(name, "_") {
			among = append(among, s)
		}
	}
	if len(among) == 0 {
		return nil, fmt.Errorf("condition: no search is named %q", glob)
	}
	return func(e Event) bool {
		for _, s := range among {
			if s.match(e) != all {
				return !all
			}
		}
		return all
	}, nil
}

// A Match is a rule that fired, at the event that completed it.
type Match struct {
	Rule *Rule
	At   time.Time
}

// Evaluate runs rules over events in the order of time and returns what fired. The
// instant of each event comes from at.
func Evaluate(rules []*Rule, events []Event, at func(Event) time.Time) ([]Match, error) {
	byRef := map[string]*Rule{}
	for _, r := range rules {
		byRef[r.ID] = r
		if r.Name != "" {
			byRef[r.Name] = r
		}
	}
	var out []Match
	for _, r := range rules {
		c := r.Correlation
		base := r
		if c != nil {
			if base = byRef[c.Rule]; base == nil || base.Correlation != nil {
				return nil, fmt.Errorf("sigma: %q: there is no detection %q", r.Title, c.Rule)
			}
		}
		seen := map[string][]time.Time{}
		for _, e := range events {
			if !base.condition(e) {
				continue
			}
			t := at(e)
			if c == nil {
				out = append(out, Match{r, t})
				continue
			}
			var key strings.Builder
			for _, f := range c.GroupBy {
				fmt.Fprintf(&key, "%q ", text(e[f]))
			}
			ts := append(seen[key.String()], t)
			ts = slices.DeleteFunc(ts, func(x time.Time) bool { return t.Sub(x) > c.Timespan })
			if len(ts) >= c.Count {
				out = append(out, Match{r, t})
				ts = nil // the next alert takes as many again
			}
			seen[key.String()] = ts
		}
	}
	return out, nil
}
