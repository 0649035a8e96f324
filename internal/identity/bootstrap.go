package identity

import (
	"context"
	"encoding/json"

	"symbolon/internal/errs"
	"symbolon/internal/id"
)

// BootstrapParams say what a usable identity service begins with. Empty names get
// the defaults of the fields' comments.
type BootstrapParams struct {
	// Password is the administrator's, and required.
	Password string
	// Matches reports whether a stored hash is of the password; nil never
	// does, so that the password is set anew.
	Matches func(ctx context.Context, stored PasswordHash, password string) (bool, error)

	Username    string // "admin"
	ProjectName string // "admin"
	RoleName    string // "admin"
	ServiceName string // "keystone"
	RegionID    string // none
	// An endpoint is made for each address that is set.
	PublicURL   string
	InternalURL string
	AdminURL    string
	// MutableRoles leaves the roles open to update and deletion.
	MutableRoles bool
	// OnlyNew does nothing, and returns no steps, where there is a default
	// domain already, so that of several processes that begin at the same time
	// on one store one sets the password.
	OnlyNew bool
}

func (p BootstrapParams) withDefaults() BootstrapParams {
	for _, f := range [...]struct {
		to   *string
		text string
	}{{&p.Username, "admin"}, {&p.ProjectName, "admin"}, {&p.RoleName, "admin"}, {&p.ServiceName, "keystone"}} {
		if *f.to == "" {
			*f.to = f.text
		}
	}
	return p
}

// A BootstrapStep is one thing that bootstrap looked after.
type BootstrapStep struct {
	// Resource is its kind, such as "domain", "role" or "assignment".
	Resource string
	ID       string
	Name     string
	// Done is "created", "updated", "removed" or "unchanged".
	Done string
}

// Bootstrap makes what is missing of the default domain, the administrator with
// project and roles, and the catalogue's entry of the identity service, in one
// transaction. What exists is kept, but for the administrator, who is enabled and
// given the password, and the addresses, which are updated. Running it again
// changes nothing.
func (d *Directory) Bootstrap(ctx context.Context, p BootstrapParams) ([]BootstrapStep, error) {
	p = p.withDefaults()
	if p.Password == "" {
		return nil, errs.E(errs.Invalid, "bootstrap needs a password for the administrator")
	}
	for _, url := range [...]string{p.PublicURL, p.InternalURL, p.AdminURL} {
		if url != "" {
			if err := CheckURL(url); err != nil {
				return nil, err
			}
		}
	}
	pw, keep, same, err := d.bootstrapPassword(ctx, p)
	if err != nil {
		return nil, err
	}
	var steps []BootstrapStep
	err = d.store.UpdateIdentity(ctx, func(tx Tx) error {
		w := &work{Tx: tx, ctx: ctx, cfg: d.cfg, now: d.now().UTC()}
		b := &bootstrap{work: w, p: p, pw: pw, keep: keep, samePassword: same}
		steps = nil
		if p.OnlyNew {
			if _, err := b.Domain(ctx, d.cfg.DefaultDomainID); !errs.Is(err, errs.NotFound) {
				return err
			}
		}
		if err := b.run(); err != nil {
			return err
		}
		if b.changed {
			tx.TouchIdentity()
		}
		steps = b.steps
		return nil
	})
	return steps, err
}

// bootstrapPassword hashes the password unless the administrator has it already.
func (d *Directory) bootstrapPassword(ctx context.Context, p BootstrapParams) (pw Password, keep int, same bool, err error) {
	u, err := d.UserByName(ctx, d.cfg.DefaultDomainID, p.Username)
	var old []Password
	switch {
	case err == nil:
		if old, err = d.Passwords(ctx, u.ID); err != nil {
			return pw, 0, false, err
		}
		if len(old) > 0 && p.Matches != nil {
			if same, err = p.Matches(ctx, old[0].Hash, p.Password); err != nil || same {
				return pw, 0, same, err
			}
		}
	case errs.Is(err, errs.NotFound):
		u = User{Name: p.Username, DomainID: d.cfg.DefaultDomainID}
	default:
		return pw, 0, false, err
	}
	pw, keep, err = d.password(ctx, u, p.Password, nil, false)
	return pw, keep, false, err
}

type bootstrap struct {
	*work
	p            BootstrapParams
	pw           Password
	keep         int
	samePassword bool
	steps        []BootstrapStep
	changed      bool
}

func (b *bootstrap) step(resource, id, name, done string) {
	b.steps = append(b.steps, BootstrapStep{resource, id, name, done})
	if done != "unchanged" {
		b.changed = true
		b.record(resource+"."+done, id, map[string]any{"name": name, "by": "bootstrap"})
	}
}

// ensure runs create when err says that something does not exist.
func (b *bootstrap) ensure(err error, resource, id, name string, create func() error) error {
	switch {
	case err == nil:
		b.step(resource, id, name, "unchanged")
		return nil
	case !errs.Is(err, errs.NotFound):
		return err
	}
	if err := create(); err != nil {
		return err
	}
	b.step(resource, id, name, "created")
	return nil
}

func (b *bootstrap) run() error {
	domainID := b.cfg.DefaultDomainID
	text := "The default domain"
	_, err := b.Domain(b.ctx, domainID)
	err = b.ensure(err, "domain", domainID, "Default", func() error {
		return b.CreateProject(b.ctx, Project{ID: domainID, Name: "Default", Description: &text, IsDomain: true, Enabled: true})
	})
	if err != nil {
		return err
	}
	project, err := b.project(domainID)
	if err != nil {
		return err
	}
	user, err := b.user(domainID)
	if err != nil {
		return err
	}
	role, err := b.roles()
	if err != nil {
		return err
	}
	for _, t := range [...]Target{{ProjectID: project}, {System: true}} {
		given, err := b.Assign(b.ctx, Assignment{Actor: Actor{UserID: user}, Target: t, RoleID: role})
		if err != nil {
			return err
		}
		name := b.p.RoleName + " on " + b.p.ProjectName
		if t.System {
			name = b.p.RoleName + " on the system"
		}
		b.step("assignment", user, name, doneIf(given, "created"))
	}
	return b.catalog()
}

func doneIf(changed bool, done string) string {
	if changed {
		return done
	}
	return "unchanged"
}

func (b *bootstrap) project(domainID string) (string, error) {
	p, err := b.ProjectByName(b.ctx, domainID, b.p.ProjectName)
	if err != nil {
		p.ID = id.NewHex().String()
	}
	text := "Bootstrap project for initializing the cloud."
	err = b.ensure(err, "project", p.ID, b.p.ProjectName, func() error {
		return b.CreateProject(b.ctx, Project{
			ID: p.ID, Name: b.p.ProjectName, Description: &text, DomainID: domainID, ParentID: domainID, Enabled: true,
		})
	})
	return p.ID, err
}

func (b *bootstrap) user(domainID string) (string, error) {
	u, err := b.UserByName(b.ctx, domainID, b.p.Username)
	if errs.Is(err, errs.NotFound) {
		u = User{ID: id.NewHex().String(), Name: b.p.Username, DomainID: domainID, Enabled: true, CreatedAt: b.now}
		if err := b.CreateUser(b.ctx, u); err != nil {
			return "", err
		}
		b.step("user", u.ID, u.Name, "created")
		return u.ID, b.SetPassword(b.ctx, u.ID, b.pw, b.keep)
	}
	if err != nil {
		return "", err
	}
	b.step("user", u.ID, u.Name, doneIf(!u.Enabled || !b.samePassword, "updated"))
	if !u.Enabled {
		u.Enabled = true
		if err := b.UpdateUser(b.ctx, u); err != nil {
			return "", err
		}
	}
	if b.samePassword {
		return u.ID, nil
	}
	if err := b.SetPassword(b.ctx, u.ID, b.pw, b.keep); err != nil {
		return "", err
	}
	if err := b.ResetFailures(b.ctx, u.ID); err != nil {
		return "", err
	}
	return u.ID, b.revoke(RevocationEvent{UserID: u.ID})
}

// roles makes the five roles and the chain of implications between four of them:
// the administrator's implies manager, manager implies member, member reader.
func (b *bootstrap) roles() (adminID string, err error) {
	names := [...]string{"reader", "member", "manager", b.p.RoleName, "service"}
	ids := map[string]string{}
	for _, name := range names {
		r, err := b.RoleByName(b.ctx, "", name)
		if err != nil {
			r = Role{ID: id.NewHex().String(), Name: name}
			if !b.p.MutableRoles {
				r.Options = Options{Immutable: json.RawMessage("true")}
			}
		}
		if err := b.ensure(err, "role", r.ID, name, func() error { return b.CreateRole(b.ctx, r) }); err != nil {
			return "", err
		}
		ids[name] = r.ID
	}
	all, err := b.Implications(b.ctx)
	if err != nil {
		return "", err
	}
	has := func(prior, implied string) bool {
		for _, x := range all[ids[prior]] {
			if x == ids[implied] {
				return true
			}
		}
		return false
	}
	for _, c := range [...][2]string{{b.p.RoleName, "manager"}, {"manager", "member"}, {"member", "reader"}} {
		missing := !has(c[0], c[1])
		if missing {
			if err := b.CreateImplication(b.ctx, Implication{PriorID: ids[c[0]], ImpliedID: ids[c[1]]}); err != nil {
				return "", err
			}
		}
		b.step("implied_role", ids[c[0]], c[0]+" implies "+c[1], doneIf(missing, "created"))
	}
	// Before there was a manager role the administrator's implied member itself.
	if has(b.p.RoleName, "member") {
		if err := b.DeleteImplication(b.ctx, Implication{PriorID: ids[b.p.RoleName], ImpliedID: ids["member"]}); err != nil {
			return "", err
		}
		b.step("implied_role", ids[b.p.RoleName], b.p.RoleName+" implies member", "removed")
	}
	return ids[b.p.RoleName], nil
}

func (b *bootstrap) catalog() error {
	if b.p.RegionID != "" {
		_, err := b.Region(b.ctx, b.p.RegionID)
		err = b.ensure(err, "region", b.p.RegionID, b.p.RegionID, func() error {
			return b.CreateRegion(b.ctx, Region{ID: b.p.RegionID})
		})
		if err != nil {
			return err
		}
	}
	urls := [...]struct{ iface, url string }{
		{InterfacePublic, b.p.PublicURL}, {InterfaceInternal, b.p.InternalURL}, {InterfaceAdmin, b.p.AdminURL},
	}
	service := ""
	for _, u := range urls {
		if u.url == "" {
			continue
		}
		if service == "" {
			var err error
			if service, err = b.service(); err != nil {
				return err
			}
		}
		if err := b.endpoint(service, u.iface, u.url); err != nil {
			return err
		}
	}
	return nil
}

func (b *bootstrap) service() (string, error) {
	found, err := b.FindServices(b.ctx, Query{Where: []Condition{{Field: "type", Value: "identity"}}, Limit: 1})
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		b.step("service", found[0].ID, found[0].Name, "unchanged")
		return found[0].ID, nil
	}
	s := Service{ID: id.NewHex().String(), Type: "identity", Name: b.p.ServiceName, Enabled: true}
	if err := b.CreateService(b.ctx, s); err != nil {
		return "", err
	}
	b.step("service", s.ID, s.Name, "created")
	return s.ID, nil
}

func (b *bootstrap) endpoint(service, iface, url string) error {
	q := Query{Where: []Condition{{Field: "service_id", Value: service}, {Field: "interface", Value: iface}}}
	found, err := b.FindEndpoints(b.ctx, q)
	if err != nil {
		return err
	}
	for _, e := range found {
		if e.RegionID != b.p.RegionID {
			continue
		}
		changed := e.URL != url
		if changed {
			e.URL = url
			if err := b.UpdateEndpoint(b.ctx, e); err != nil {
				return err
			}
		}
		b.step("endpoint", e.ID, iface+" "+url, doneIf(changed, "updated"))
		return nil
	}
	e := Endpoint{ID: id.NewHex().String(), ServiceID: service, Interface: iface, URL: url, RegionID: b.p.RegionID, Enabled: true}
	if err := b.CreateEndpoint(b.ctx, e); err != nil {
		return err
	}
	b.step("endpoint", e.ID, iface+" "+url, "created")
	return nil
}
