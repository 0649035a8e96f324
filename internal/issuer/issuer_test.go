package issuer_test

import (
	"testing"

	"symbolon/internal/issuer"
	"symbolon/internal/testkit/cloud"
)

func TestIssueAndValidate(t *testing.T) {
	c := cloud.New(t, cloud.Config{})
	text, tok, err := c.Issuer.Issue(t.Context(), issuer.Grant{UserID: c.AdminID, Methods: []string{"password"}, Scope: issuer.Scope{Kind: issuer.ScopeProject, ID: c.ProjectID}, Since: mark(t, c)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Issuer.Validate(t.Context(), text, issuer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got.User != tok.User || got.ProjectID() != c.ProjectID {
		t.Errorf("%+v", got)
	}
	b, err := c.Issuer.AppendCatalog(t.Context(), nil, got)
	t.Logf("%s %v %+v", b, err, got.Roles)
}

func mark(t *testing.T, c *cloud.Cloud) issuer.Mark {
	t.Helper()
	m, err := c.Issuer.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}
