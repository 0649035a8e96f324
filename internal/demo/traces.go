package demo

import (
	"bufio"
	"fmt"
	"net/http"
	"sort"
	"strings"
)

// traces shows what the attacks left behind.
func (p *play) traces() error {
	p.begin("What is left behind", `Every refusal was counted under its true reason, and what was done to peers is in each node's audit log,
a chain of hashes in which nothing can be altered, removed or put in unseen.`)
	a, err := p.athens.do(p.ctx, request{method: http.MethodGet, path: "/metrics"})
	if err != nil {
		return err
	}
	var counted []string
	for lines := bufio.NewScanner(strings.NewReader(string(a.body))); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), "symbolon_token_rejections_total{")
		labels, n, found := strings.Cut(rest, "} ")
		if ok && found && n != "0" {
			counted = append(counted, fmt.Sprintf("%s %s", strings.NewReplacer(`kind="`, "", `",reason="`, " ", `"`, "").Replace(labels), n))
		}
	}
	sort.Strings(counted)
	p.show("athens's metric symbolon_token_rejections_total", p.athens, a, strings.Join(counted, ", "), expect{status: http.StatusOK})
	for _, n := range []*node{p.athens, p.corinth} {
		v, err := n.Store.VerifyAudit(p.ctx, nil)
		if err != nil {
			return err
		}
		s := Step{What: "the audit log of " + n.name, Answer: fmt.Sprintf("it holds: %d entries", v.Entries)}
		if v.Broken != nil {
			s.Answer, s.Wrong = v.Broken.Error(), "the audit log must hold"
		}
		p.screen.Steps = append(p.screen.Steps, s)
	}
	return nil
}
