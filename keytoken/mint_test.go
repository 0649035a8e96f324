package keytoken

import (
	"strings"
	"testing"
	"time"
)

// What no token can carry is refused where it would be made, whatever carries
// it: a claim that silently fell away could be the one that restricts.
func TestMintRefuses(t *testing.T) {
	fernetTokens, _ := benchTokens(t)
	for name, set := range map[string]func(c *Claims){
		"no user":                               func(c *Claims) { c.UserID = "" },
		"a user that is not UTF-8":              func(c *Claims) { c.UserID = "\xff" },
		"project and domain":                    func(c *Claims) { c.DomainID = "default" },
		"project and system":                    func(c *Claims) { c.System = "all" },
		"another system":                        func(c *Claims) { c.ProjectID, c.System = "", "one" },
		"system and domain":                     func(c *Claims) { c.ProjectID, c.System, c.DomainID = "", "all", "default" },
		"trust and application credential":      func(c *Claims) { c.TrustID, c.AppCredID = benchProject, "a" },
		"trust and thumbprint":                  func(c *Claims) { c.TrustID, c.Thumbprint = benchProject, "t" },
		"trust and OAuth1":                      func(c *Claims) { c.TrustID, c.AccessTokenID = benchProject, "t" },
		"trust and domain":                      func(c *Claims) { c.TrustID, c.ProjectID, c.DomainID = benchProject, "", "default" },
		"OAuth1 without a project":              func(c *Claims) { c.AccessTokenID, c.ProjectID = "t", "" },
		"application credential and thumbprint": func(c *Claims) { c.AppCredID, c.Thumbprint = "a", "t" },
		"application credential and domain":     func(c *Claims) { c.AppCredID, c.ProjectID, c.DomainID = "a", "", "default" },
		"federation and application credential": func(c *Claims) { federate(c); c.AppCredID = "a" },
		"federation and system":                 func(c *Claims) { federate(c); c.ProjectID, c.System = "", "all" },
		"federation, project and domain":        func(c *Claims) { federate(c); c.DomainID = "default" },
		"federation without a provider":         func(c *Claims) { federate(c); c.IdentityProviderID = "" },
		"federation without a protocol":         func(c *Claims) { federate(c); c.ProtocolID = "" },
		"a group without an id":                 func(c *Claims) { federate(c); c.FederatedGroupIDs = []string{""} },
		"a group that is not UTF-8":             func(c *Claims) { federate(c); c.FederatedGroupIDs = []string{"\xff"} },
		"too many groups": func(c *Claims) {
			federate(c)
			c.FederatedGroupIDs = strings.Split(strings.Repeat("g ", MaxGroups)+"g", " ")
		},
		"groups without a federation":               func(c *Claims) { c.FederatedGroupIDs = []string{"g"} },
		"no audit id":                               func(c *Claims) { c.AuditIDs = nil },
		"three audit ids":                           func(c *Claims) { c.AuditIDs = []string{benchAudit, benchAudit, benchAudit} },
		"an audit id that is too short":             func(c *Claims) { c.AuditIDs = []string{benchAudit[1:]} },
		"an audit id in the standard alphabet":      func(c *Claims) { c.AuditIDs = []string{"+" + benchAudit[1:]} },
		"an audit id with padding":                  func(c *Claims) { c.AuditIDs = []string{benchAudit + "=="} },
		"an audit id whose unused bits say a thing": func(c *Claims) { c.AuditIDs = []string{benchAudit[:21] + "B"} },
		"a method twice":                            func(c *Claims) { c.Methods = []string{"password", "password"} },
		"a method without a name":                   func(c *Claims) { c.Methods = []string{""} },
		"thirty-five methods":                       func(c *Claims) { c.Methods = strings.Split(strings.Repeat("m ", 34)+"m", " ") },
		"an expiry at issue":                        func(c *Claims) { c.ExpiresAt = benchNow },
		"an expiry before issue":                    func(c *Claims) { c.ExpiresAt = benchNow - 1 },
		"an expiry in milliseconds":                 func(c *Claims) { c.ExpiresAt = (benchNow + 3600) * 1000 },
		"no expiry":                                 func(c *Claims) { c.ExpiresAt = 0 },
		"an id longer than a token":                 func(c *Claims) { c.UserID = strings.Repeat("u", 70_000) },
	} {
		for kind, ts := range map[string]*Tokens{"Fernet": fernetTokens, "JWS": jwsTokens(t, EdDSA)} {
			c := projectClaims()
			set(&c)
			if text, err := ts.Mint(c, benchNow.Time()); err == nil {
				t.Errorf("%s: %s made %.60s…", name, kind, text)
			} else if text != "" {
				t.Errorf("%s: %s gave both an error and a token", name, kind)
			}
		}
	}
	for name, set := range map[string]func(c *Claims){
		"a domain that is neither hex nor the default": func(c *Claims) { c.ProjectID, c.DomainID = "", "other" },
		"a trust that is not hex":                      func(c *Claims) { c.TrustID = "t" },
	} {
		c := projectClaims()
		set(&c)
		if text, err := fernetTokens.Mint(c, benchNow.Time()); err == nil {
			t.Errorf("%s: Fernet made %s", name, text)
		}
	}
	for _, now := range []time.Time{{}, time.Unix(0, 0), time.Unix(500000000, 0), time.Unix(5000000000, 0)} {
		if text, err := fernetTokens.Mint(projectClaims(), now); err == nil {
			t.Errorf("at %v %s was made", now, text)
		}
	}
}

func federate(c *Claims) {
	c.IdentityProviderID, c.ProtocolID, c.FederatedGroupIDs = "idp", "saml2", []string{}
}

// The two things that a Fernet token drops, as it says.
func TestMintDrops(t *testing.T) {
	ts, _ := benchTokens(t)
	c := projectClaims()
	federate(&c)
	c.TrustID, c.Methods = benchUser, []string{"kerberos", "mapped"}
	v, rej := ts.Verify(mint(t, ts, c), benchNow.Time(), Options{})
	if rej != nil {
		t.Fatal(rej)
	}
	got := v.Claims()
	if got.Federated() || got.TrustID != benchUser || len(got.Methods) != 1 || got.Methods[0] != "mapped" {
		t.Errorf("claims %+v, want the trust without the federation, and mapped alone", got)
	}
}
