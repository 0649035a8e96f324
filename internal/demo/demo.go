// Package demo shows what a node does, on two of them: people and agents get tokens,
// say facts and have them federated, and then the two attacks that the product was
// made against are played.
//
// The nodes are whole ones: their own data directories, keys and stores, listening on
// loopback and spoken to over HTTP. What is shown is what they answered and logged;
// what each answer must be is checked, so that a demo that ends well has proved
// something. The explanations are the only text that no node wrote.
package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options vary a demo. The zero value is ready to use.
type Options struct {
	// Now is the wall clock; nil is the machine's.
	Now func() time.Time
	// Version is what the nodes say that they are.
	Version string
	// Screen is told of every screen when it is done; nil is nobody.
	Screen func(Screen)

	atEnd func(*play) error // tests look at the nodes while they run
}

// A Report is a whole demo.
type Report struct {
	Screens []Screen `json:"screens"`
	// AsExpected is false when any answer was not what it must be.
	AsExpected bool `json:"as_expected"`
}

// A Screen is one part of the demo.
type Screen struct {
	Title string `json:"title"`
	// Intro says what is about to be seen.
	Intro string `json:"intro"`
	Steps []Step `json:"steps"`
}

// A Step is one thing that was done and what came of it.
type Step struct {
	// What was sent or done.
	What string `json:"what"`
	// Status is that of the HTTP answer, and 0 where none is meant.
	Status int `json:"status"`
	// Answer is what the answer said.
	Answer string `json:"answer"`
	// Reason is the true reason of a refusal, and Log the whole line, from the
	// log of the node that refused.
	Reason string         `json:"reason"`
	Log    map[string]any `json:"log"`
	// Why is the explanation; it is given only when all is as it must be.
	Why string `json:"why"`
	// Wrong says how the answer is not what it must be; empty when it is.
	Wrong string `json:"wrong"`
}

// Refused reports whether the step was refused.
func (s Step) Refused() bool { return s.Status >= 400 }

// limit bounds a whole demo; it takes a second or two.
const limit = time.Minute

// Run plays the demo and returns what was seen. An error means that it could not be
// played to its end.
func Run(ctx context.Context, o Options) (r Report, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &play{Options: o, ctx: ctx}
	return p.run()
}

// A play is one demo under way.
type play struct {
	Options
	ctx             context.Context
	athens, corinth *node
	project         string // token of athens's administrator
	agent           string // token of an agent there, under a trust
	ours, local     string // facts of athens: one to federate, one to keep
	theirs          string // fact of corinth
	screen          *Screen
	report          Report
	secrets         []string // every token, key and password that was in play
}

func (p *play) run() (r Report, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	dir, err := os.MkdirTemp("", "symbolon-demo-")
	if err != nil {
		return p.report, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	nodes, stop := context.WithCancel(ctx)
	g, gctx := errgroup.WithContext(nodes)
	p.ctx = gctx
	defer func() {
		stop()
		werr := g.Wait()
		for _, n := range []*node{p.athens, p.corinth} {
			if n != nil {
				n.Close()
			}
		}
		err = errors.Join(err, werr)
	}()
	for _, n := range []struct {
		name string
		to   **node
	}{{"athens", &p.athens}, {"corinth", &p.corinth}} {
		if *n.to, err = p.start(g, n.name, filepath.Join(dir, n.name)); err != nil {
			return p.report, err
		}
	}
	for _, part := range []func() error{p.nodes, p.identity, p.memory, p.federation, p.relabelled, p.peerTokens, p.traces} {
		if err := part(); err != nil {
			return p.report, err
		}
		p.end()
	}
	if p.atEnd != nil {
		if err := p.atEnd(p); err != nil {
			return p.report, err
		}
	}
	p.report.AsExpected = true
	for _, sc := range p.report.Screens {
		for _, st := range sc.Steps {
			p.report.AsExpected = p.report.AsExpected && st.Wrong == ""
		}
	}
	return p.report, nil
}

// begin starts a screen.
func (p *play) begin(title, intro string) {
	p.screen = &Screen{Title: title, Intro: intro, Steps: []Step{}}
}

// end finishes the screen and shows it.
func (p *play) end() {
	p.report.Screens = append(p.report.Screens, *p.screen)
	if p.Screen != nil {
		p.Screen(*p.screen)
	}
}

// expect is what a step must come to.
type expect struct {
	status int
	// reason is that of a refused token; empty for none.
	reason string
	why    string
}

// show adds a step with the answer to a request.
func (p *play) show(what string, n *node, a answer, text string, want expect) {
	s := Step{What: what, Status: a.status, Answer: text, Why: want.why}
	if line := n.book.rejection(a.requestID); line != nil {
		s.Log = line
		s.Reason, _ = line["reason"].(string)
	}
	switch {
	case a.status != want.status:
		s.Wrong = fmt.Sprintf("the answer must be %d", want.status)
	case s.Reason != want.reason:
		s.Wrong = fmt.Sprintf("the reason must be %q", want.reason)
	}
	if s.Wrong != "" {
		s.Why = ""
	}
	p.screen.Steps = append(p.screen.Steps, s)
}

// keep remembers a secret and returns it.
func (p *play) keep(secret string) string {
	p.secrets = append(p.secrets, secret)
	return secret
}
