package demo

import (
	"fmt"
	"io"
	"strings"
)

// width is that of the screens, in characters.
const width = 108

// Write shows a screen to a person.
func (s Screen) Write(w io.Writer, number int) {
	head := fmt.Sprintf("== %d. %s ", number, s.Title)
	fmt.Fprintf(w, "%s%s\n\n%s\n\n", head, strings.Repeat("=", max(width-len(head), 0)), s.Intro)
	for _, st := range s.Steps {
		st.write(w)
	}
	fmt.Fprintln(w)
}

func (s Step) write(w io.Writer) {
	mark := "ok"
	switch {
	case s.Wrong != "":
		mark = "WRONG"
	case s.Refused():
		mark = "REFUSED"
	}
	fmt.Fprintf(w, "  %-8s %s\n", mark, s.What)
	line := func(name, text string) {
		for i, part := range wrap(text, width-17) {
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(w, "           %-5s %s\n", name, part)
		}
	}
	switch {
	case s.Refused():
		line("wire", fmt.Sprintf("%d %q", s.Status, s.Answer))
	case s.Status != 0:
		line("wire", fmt.Sprintf("%d %s", s.Status, s.Answer))
	default:
		line("", s.Answer)
	}
	if s.Log != nil {
		line("log", logText(s.Log))
	}
	if s.Why != "" {
		line("why", s.Why)
	}
	if s.Wrong != "" {
		line("", s.Wrong)
	}
}

// logText writes the fields of a log line that say why, in a fixed order.
func logText(line map[string]any) string {
	var b strings.Builder
	b.WriteString("auth.rejected")
	for _, k := range []string{"kind", "reason", "claim", "looks_like", "skew_seconds", "detail"} {
		v, ok := line[k]
		if !ok || k == "skew_seconds" && line["reason"] != "issued_in_future" {
			continue
		}
		if s, isText := v.(string); isText && strings.Contains(s, " ") {
			fmt.Fprintf(&b, " %s=%q", k, s)
			continue
		}
		fmt.Fprintf(&b, " %s=%v", k, v)
	}
	return b.String()
}

// wrap breaks text into lines of at most n characters, at blanks.
func wrap(text string, n int) []string {
	var out []string
	for _, word := range strings.Fields(text) {
		if last := len(out) - 1; last >= 0 && len(out[last])+1+len(word) <= n {
			out[last] += " " + word
			continue
		}
		out = append(out, word)
	}
	return out
}
