package rule

import (
	"fmt"
	"strings"
	"testing"
)

func enforcer(t testing.TB, ds ...Default) *Enforcer {
	t.Helper()
	e, err := NewEnforcer(ds)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestLanguage(t *testing.T) {
	c := &Creds{UserID: "u", ProjectID: "p", Roles: []string{"member", "reader"}}
	target := Map{"user_id": Text("u"), "other": Text("x"), "nothing": Null(), "target.role.name": Text("reader"), "n": Text("5")}
	for _, tt := range []struct {
		check string
		want  bool
	}{
		{"", true}, {"@", true}, {"!", false}, {"not !", true},
		{"role:member", true}, {"role:MEMBER", true}, {"role:admin", false}, {"role:%(target.role.name)s", true},
		{"user_id:%(user_id)s", true}, {"user_id:%(other)s", false}, {"user_id:%(absent)s", false}, {"user_id:u", true},
		{"not user_id:%(absent)s", true},
		{"'reader':%(target.role.name)s", true}, {"\"member\":%(target.role.name)s", false},
		{"None:%(nothing)s", true}, {"None:%(user_id)s", false}, {"domain_id:%(nothing)s", true}, {"domain_id:None", true},
		{"not domain_id:None", false}, {"token.domain.id:%(nothing)s", false}, {"token.project.domain.id:None", false},
		{"5:%(n)s", true}, {"5.0:%(n)s", false}, {"True:True", true}, {"nosuch:%(user_id)s", false},
		{"is_admin:1", false}, {"is_admin:0", true},
		{"user_id:%(user_id)s-%(n)s", false}, {"'u-5':%(user_id)s-%(n)s", true},
		{"role:admin or role:member and role:nobody", false},
		{"role:member or role:admin and role:nobody", true},
		{"(role:admin or role:member) and role:reader", true},
		{"not role:admin and role:member", true}, {"not (role:admin or role:member)", false},
		{"((role:member))", true}, {"role:member AND role:reader", true},
		{"rule:yes", true}, {"rule:no", false}, {"rule:undefined", false}, {"not rule:undefined", true},
	} {
		e := enforcer(t, Default{"r", 0, tt.check}, Default{"yes", 0, "@"}, Default{"no", 0, "!"})
		if got := e.Allowed("r", c, target); got != tt.want {
			t.Errorf("%q is %v, want %v", tt.check, got, tt.want)
		}
	}
}

func TestWhatIsNotTheLanguageIsRefused(t *testing.T) {
	for _, check := range []string{
		"(", ")", "role:a role:b", "and", "role:a and", "or role:a", "not", "(role:a", "role:a)", "admin", ":x", "user_id:%(x",
		"https://example/check", "user_id:%()s", strings.Repeat("(", 200) + "@" + strings.Repeat(")", 200), strings.Repeat("not ", 200) + "@",
	} {
		if _, err := NewEnforcer([]Default{{"r", 0, check}}); err == nil {
			t.Errorf("%.60q is accepted", check)
		}
	}
	if _, err := NewEnforcer([]Default{{"a", 0, "rule:b"}, {"b", 0, "not rule:a"}}); err == nil {
		t.Error("rules that refer to each other are accepted")
	}
	if _, err := NewEnforcer([]Default{{"a", 0, ""}, {"a", 0, "!"}}); err == nil {
		t.Error("a rule defined twice is accepted")
	}
}

func TestAnUndefinedRuleAllowsNobody(t *testing.T) {
	e := enforcer(t)
	c := &Creds{UserID: "u", Roles: []string{"admin"}, IsAdmin: true, SystemScope: "all"}
	if e.Allowed("identity:nothing", c, NoTarget{}) {
		t.Error("allowed")
	}
	if why := e.Explain("identity:nothing", c, NoTarget{}); !strings.HasPrefix(why, "denied: no rule") {
		t.Errorf("Explain: %q", why)
	}
}

func TestScopeTypes(t *testing.T) {
	e := enforcer(t, Default{"sys", System | Project, "@"}, Default{"dom", Domain, "@"}, Default{"any", 0, "@"})
	for _, tt := range []struct {
		c             Creds
		sys, dom, any bool
	}{
		{Creds{SystemScope: "all"}, true, false, true},
		{Creds{DomainID: "d"}, false, true, true},
		{Creds{ProjectID: "p"}, true, false, true},
		{Creds{}, true, false, true},
	} {
		got := [3]bool{e.Allowed("sys", &tt.c, NoTarget{}), e.Allowed("dom", &tt.c, NoTarget{}), e.Allowed("any", &tt.c, NoTarget{})}
		if want := [3]bool{tt.sys, tt.dom, tt.any}; got != want {
			t.Errorf("%+v: %v, want %v", tt.c, got, want)
		}
	}
}

// The personas of the routes table, row by row where a rule has a condition of its own.
func TestDefaultsDecideAsKeystoneDoes(t *testing.T) {
	e := enforcer(t, Defaults()...)
	cloudAdmin := &Creds{UserID: "a", ProjectID: "p", ProjectDomainID: "d1", Roles: []string{"admin"}}
	sysReader := &Creds{UserID: "s", SystemScope: "all", Roles: []string{"reader"}}
	domReader := &Creds{UserID: "dr", DomainID: "d1", Roles: []string{"reader"}}
	domManager := &Creds{UserID: "dm", DomainID: "d1", Roles: []string{"manager", "member", "reader"}}
	domAdmin := &Creds{UserID: "da", DomainID: "d1", Roles: []string{"admin", "manager", "member", "reader"}}
	member := &Creds{UserID: "u", ProjectID: "p", ProjectDomainID: "d1", Roles: []string{"member", "reader"}}
	service := &Creds{UserID: "svc", ProjectID: "sp", ProjectDomainID: "d1", Roles: []string{"service"}}
	unscoped := &Creds{UserID: "u"}

	user := func(id, domain string) Map {
		return Map{"target.user.id": Text(id), "target.user.domain_id": Text(domain), "user_id": Text(id)}
	}
	root := Map{"target.project.id": Text("d1"), "target.project.domain_id": Null()}
	grant := func(userDomain, projectDomain, role string) Map {
		return Map{"target.user.domain_id": Text(userDomain), "target.project.domain_id": Text(projectDomain), "target.role.name": Text(role),
			"target.role.domain_id": Null()}
	}
	tok := Map{"target.token.user_id": Text("u")}
	for _, tt := range []struct {
		rule string
		who  string
		c    *Creds
		t    Map
		want bool
	}{
		{"identity:get_user", "cloud admin", cloudAdmin, user("u", "d2"), true},
		{"identity:get_user", "system reader", sysReader, user("u", "d2"), true},
		{"identity:get_user", "domain reader, own domain", domReader, user("u", "d1"), true},
		{"identity:get_user", "domain reader, other domain", domReader, user("u", "d2"), false},
		{"identity:get_user", "self", member, user("u", "d1"), true},
		{"identity:get_user", "self, unscoped", unscoped, user("u", "d1"), true},
		{"identity:get_user", "somebody else", member, user("x", "d1"), false},
		{"identity:create_user", "domain manager", domManager, user("x", "d1"), true},
		{"identity:create_user", "domain manager elsewhere (J4)", domManager, user("x", "d2"), false},
		{"identity:create_user", "domain manager, no domain given (J4)", domManager, Map{}, false},
		{"identity:create_domain", "cloud admin", cloudAdmin, Map{}, true},
		{"identity:create_domain", "domain admin (J5)", domAdmin, Map{}, false},
		{"identity:get_project", "reader of a project reads a root domain (J3)", member, root, false},
		{"identity:get_project", "own project", member, Map{"target.project.id": Text("p"), "target.project.domain_id": Text("d1")}, true},
		{"identity:create_grant", "domain manager grants member", domManager, grant("d1", "d1", "member"), true},
		{"identity:create_grant", "domain manager grants admin (J4)", domManager, grant("d1", "d1", "admin"), false},
		{"identity:create_grant", "domain manager grants an outsider (J4)", domManager, grant("d2", "d1", "member"), false},
		{"identity:create_grant", "domain admin grants admin at home", domAdmin, grant("d1", "d1", "admin"), true},
		{"identity:validate_token", "service", service, tok, true},
		{"identity:check_token", "service", service, tok, false},
		{"identity:validate_token", "subject", member, tok, true},
		{"identity:validate_token", "other", &Creds{UserID: "z", Roles: []string{"member"}}, tok, false},
		{"identity:revoke_token", "system reader", sysReader, tok, false},
		{"identity:create_trust", "trustor", member, Map{"target.trust.trustor_user_id": Text("u")}, true},
		{"identity:create_trust", "admin for another", cloudAdmin, Map{"target.trust.trustor_user_id": Text("u")}, false},
		{"identity:list_roles", "manager without a domain", &Creds{Roles: []string{"manager"}, ProjectID: "p"}, Map{}, false},
		{"identity:list_roles", "domain manager", domManager, Map{}, true},
	} {
		if got := e.Allowed(tt.rule, tt.c, tt.t); got != tt.want {
			t.Errorf("%s by %s: %v, want %v\n%s", tt.rule, tt.who, got, tt.want, e.Explain(tt.rule, tt.c, tt.t))
		}
	}
}

func TestDecidingAllocatesNothing(t *testing.T) {
	e := enforcer(t, Defaults()...)
	c := &Creds{UserID: "u", DomainID: "d", Roles: []string{"member", "reader"}}
	target := Map{"target.user.id": Text("x"), "target.user.domain_id": Text("d")}
	var tt Target = target
	if n := testing.AllocsPerRun(100, func() { e.Allowed("identity:get_user", c, tt) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// A check that parses prints as one that parses and decides alike.
func FuzzParse(f *testing.F) {
	for _, d := range Defaults() {
		f.Add(d.Check)
	}
	f.Add("not (role:a or user_id:%(x)s-y) and 'b':%(z)s")
	c := &Creds{UserID: "u", Roles: []string{"a", "member"}}
	target := Map{"x": Text("u"), "z": Null()}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := NewEnforcer([]Default{{"r", 0, s}})
		if err != nil {
			return
		}
		printed := fmt.Sprint(e.rules["r"].node)
		again, err := NewEnforcer([]Default{{"r", 0, printed}})
		if err != nil {
			t.Fatalf("%q prints as %q, which is refused: %v", s, printed, err)
		}
		if e.Allowed("r", c, target) != again.Allowed("r", c, target) {
			t.Errorf("%q and %q decide differently", s, printed)
		}
	})
}

func BenchmarkAllowed(b *testing.B) {
	e := enforcer(b, Defaults()...)
	c := &Creds{UserID: "svc", ProjectID: "p", Roles: []string{"service"}}
	var t Target = Map{"target.token.user_id": Text("x")}
	b.ReportAllocs()
	for b.Loop() {
		e.Allowed("identity:validate_token", c, t)
	}
}
