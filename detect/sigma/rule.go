// Package sigma evaluates Sigma detection rules against log events.
//
// It reads the part of the Sigma specification 2.0 that the rules in this directory
// use, and refuses a rule that uses more: a condition that is silently not
// understood would be a rule that silently does not fire. Its purpose is to test the
// rules that ship, against log lines that a node really wrote; operators load the
// same files into their own engine.
package sigma

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A Rule is one detection, or a correlation of another rule's matches.
type Rule struct {
	Title       string
	ID          string
	Name        string // by which correlations refer to it
	Status      string
	Level       string
	Tags        []string
	Correlation *Correlation // nil for a detection

	searches  map[string]search
	condition expression
}

// A Correlation counts the matches of a rule: Count of them or more within Timespan
// that agree in the fields of GroupBy.
type Correlation struct {
	Rule     string
	GroupBy  []string
	Timespan time.Duration
	Count    int
}

// An Event is one log event: field names to texts, numbers, booleans or nil.
type Event map[string]any

type document struct {
	Title       string         `yaml:"title"`
	ID          string         `yaml:"id"`
	Name        string         `yaml:"name"`
	Status      string         `yaml:"status"`
	Description string         `yaml:"description"`
	References  []string       `yaml:"references"`
	Author      string         `yaml:"author"`
	Date        string         `yaml:"date"`
	Tags        []string       `yaml:"tags"`
	LogSource   map[string]any `yaml:"logsource"`
	Detection   map[string]any `yaml:"detection"`
	Correlation *struct {
		Type      string         `yaml:"type"`
		Rules     []string       `yaml:"rules"`
		GroupBy   []string       `yaml:"group-by"`
		Timespan  string         `yaml:"timespan"`
		Condition map[string]int `yaml:"condition"`
	} `yaml:"correlation"`
	FalsePositives []string `yaml:"falsepositives"`
	Fields         []string `yaml:"fields"`
	Level          string   `yaml:"level"`
}

// Parse reads the rules of a file: one YAML document each.
func Parse(b []byte) ([]*Rule, error) {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	var rules []*Rule
	for {
		var d document
		switch err := dec.Decode(&d); {
		case errors.Is(err, io.EOF):
			return rules, nil
		case err != nil:
			return nil, err
		}
		r, err := d.rule()
		if err != nil {
			return nil, fmt.Errorf("sigma: %q: %w", d.Title, err)
		}
		rules = append(rules, r)
	}
}

func (d *document) rule() (*Rule, error) {
	r := &Rule{Title: d.Title, ID: d.ID, Name: d.Name, Status: d.Status, Level: d.Level, Tags: d.Tags}
	if d.Title == "" || d.ID == "" || d.Level == "" {
		return nil, errors.New("a rule needs title, id and level")
	}
	if d.Correlation != nil {
		return r, d.correlate(r)
	}
	if len(d.LogSource) == 0 {
		return nil, errors.New("a detection needs a logsource")
	}
	cond, ok := d.Detection["condition"].(string)
	if !ok {
		return nil, errors.New("a detection needs one condition")
	}
	r.searches = map[string]search{}
	for name, v := range d.Detection {
		if name == "condition" {
			continue
		}
		s, err := parseSearch(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.searches[name] = s
	}
	var err error
	r.condition, err = parseCondition(cond, r.searches)
	return r, err
}

func (d *document) correlate(r *Rule) error {
	c := d.Correlation
	gte, ok := c.Condition["gte"]
	span, err := timespan(c.Timespan)
	switch {
	case c.Type != "event_count":
		return fmt.Errorf("correlation type %q is not supported", c.Type)
	case len(c.Rules) != 1:
		return fmt.Errorf("a correlation of %d rules is not supported", len(c.Rules))
	case !ok || len(c.Condition) != 1 || gte < 1:
		return errors.New("the condition of a correlation must be gte alone")
	case err != nil:
		return err
	case d.Detection != nil:
		return errors.New("a correlation has no detection of its own")
	}
	r.Correlation = &Correlation{Rule: c.Rules[0], GroupBy: c.GroupBy, Timespan: span, Count: gte}
	return nil
}

func timespan(s string) (time.Duration, error) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}
	if s == "" || units[s[len(s)-1]] == 0 {
		return 0, fmt.Errorf("timespan %q: want a number and s, m, h or d", s)
	}
	n, err := strconv.Atoi(s[:len(s)-1])
	if err != nil || n < 1 {
		return 0, fmt.Errorf("timespan %q: want a number and s, m, h or d", s)
	}
	return time.Duration(n) * units[s[len(s)-1]], nil
}

// A search is a list of alternatives, each a list of field tests that must all hold.
type search [][]fieldTest

type fieldTest struct {
	field string
	all   bool // every value must match instead of any
	tests []func(v any, present bool) bool
}

func parseSearch(v any) (search, error) {
	switch v := v.(type) {
	case map[string]any:
		ts, err := parseFields(v)
		return search{ts}, err
	case []any:
		var s search
		for _, item := range v {
			m, ok := item.(map[string]any)
			if !ok {
				return nil, errors.New("keywords are not supported, only fields")
			}
			ts, err := parseFields(m)
			if err != nil {
				return nil, err
			}
			s = append(s, ts)
		}
		return s, nil
	}
	return nil, fmt.Errorf("a search is a map or a list of maps, not %T", v)
}

func parseFields(m map[string]any) ([]fieldTest, error) {
	var out []fieldTest
	for key, v := range m {
		parts := strings.Split(key, "|")
		ft := fieldTest{field: parts[0]}
		op := ""
		for _, mod := range parts[1:] {
			switch {
			case mod == "all":
				ft.all = true
			case op == "":
				op = mod
			default:
				return nil, fmt.Errorf("%s: more than one operator", key)
			}
		}
		values, ok := v.([]any)
		if !ok {
			values = []any{v}
		}
		for _, want := range values {
			t, err := parseTest(op, want)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			ft.tests = append(ft.tests, t)
		}
		out = append(out, ft)
	}
	return out, nil
}

func parseTest(op string, want any) (func(any, bool) bool, error) {
	switch op {
	case "":
		if want == nil {
			return func(v any, present bool) bool { return !present || v == nil }, nil
		}
		if s, ok := want.(string); ok {
			return pattern("", s, ""), nil
		}
		return func(v any, present bool) bool { return present && text(v) == text(want) }, nil
	case "contains":
		return pattern("*", text(want), "*"), nil
	case "startswith":
		return pattern("", text(want), "*"), nil
	case "endswith":
		return pattern("*", text(want), ""), nil
	case "re":
		re, err := regexp.Compile(text(want))
		if err != nil {
			return nil, err
		}
		return func(v any, present bool) bool { return present && v != nil && re.MatchString(text(v)) }, nil
	case "exists":
		b, ok := want.(bool)
		if !ok {
			return nil, errors.New("exists wants true or false")
		}
		return func(_ any, present bool) bool { return present == b }, nil
	case "gt", "gte", "lt", "lte":
		bound, ok := number(want)
		if !ok {
			return nil, fmt.Errorf("%s wants a number", op)
		}
		return func(v any, _ bool) bool {
			n, ok := number(v)
			return ok && (op == "gt" && n > bound || op == "gte" && n >= bound || op == "lt" && n < bound || op == "lte" && n <= bound)
		}, nil
	}
	return nil, fmt.Errorf("the operator %q is not supported", op)
}

// pattern matches without regard to case; * stands for any text and ? for one
// character unless a backslash precedes.
func pattern(before, s, after string) func(any, bool) bool {
	var b strings.Builder
	b.WriteString(`(?is)\A`)
	if before != "" {
		b.WriteString(`.*`)
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && strings.IndexByte(`*?\`, s[i+1]) >= 0:
			i++
			b.WriteString(regexp.QuoteMeta(s[i : i+1]))
		case c == '*':
			b.WriteString(`.*`)
		case c == '?':
			b.WriteString(`.`)
		default:
			b.WriteString(regexp.QuoteMeta(s[i : i+1]))
		}
	}
	if after != "" {
		b.WriteString(`.*`)
	}
	b.WriteString(`\z`)
	re := regexp.MustCompile(b.String())
	return func(v any, present bool) bool { return present && v != nil && re.MatchString(text(v)) }
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int:
		return float64(v), true
	}
	return 0, false
}

func (s search) match(e Event) bool {
	for _, alternative := range s {
		ok := true
		for _, ft := range alternative {
			ok = ok && ft.match(e)
		}
		if ok {
			return true
		}
	}
	return false
}

func (ft fieldTest) match(e Event) bool {
	v, present := e[ft.field]
	for _, t := range ft.tests {
		if t(v, present) != ft.all {
			return !ft.all
		}
	}
	return ft.all
}
