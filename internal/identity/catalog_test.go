package identity_test

import (
	"strings"
	"testing"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

func TestRegions(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	region := func(id, parent string) error {
		return second(w.CreateRegion(ctx, identity.Region{ID: id, ParentID: parent}))
	}
	w.ok(region("north", ""))
	w.ok(region("far-north", "north"))
	w.ok(region("pole", "far-north"))
	w.refused(region("north", ""), errs.Conflict, "Conflict occurred attempting to store region - Duplicate ID, north..")
	w.refused(region("x", "nowhere"), errs.NotFound, "Could not find region: nowhere.")
	w.refused(region(strings.Repeat("x", 256), ""), errs.Invalid, "too long")
	move := func(id, parent string) error {
		return second(w.UpdateRegion(ctx, id, identity.RegionPatch{ParentID: identity.Set(parent)}))
	}
	w.refused(move("north", "north"), errs.Invalid, "Circular")
	w.refused(move("north", "pole"), errs.Invalid, "Circular")
	w.refused(move("north", "x"), errs.NotFound, "region: x.")
	w.ok(move("pole", "north"))
	w.ok(move("pole", "far-north"))

	s, err := w.CreateService(ctx, identity.Service{Type: "memory", Enabled: true})
	w.ok(err)
	e, err := w.CreateEndpoint(ctx, identity.Endpoint{ServiceID: s.ID, Interface: "public", URL: "http://x/", RegionID: "pole", Enabled: true}, false)
	w.ok(err)
	w.refused(w.DeleteRegion(ctx, "north"), errs.Forbidden, "Unable to delete region north because it or its child regions have associated endpoints.")
	w.ok(w.DeleteEndpoint(ctx, e.ID))
	w.ok(w.DeleteRegion(ctx, "north"))
	rs, err := w.Regions(ctx)
	w.ok(err)
	if len(rs) != 0 {
		t.Errorf("regions left: %+v", rs)
	}
}

func TestEndpoints(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	s, err := w.CreateService(ctx, identity.Service{Type: "memory", Name: "m", Enabled: true})
	w.ok(err)
	make := func(service, region string, makeRegion bool) (identity.Endpoint, error) {
		return w.CreateEndpoint(ctx, identity.Endpoint{ServiceID: service, Interface: "public", URL: "http://x", RegionID: region, Enabled: true}, makeRegion)
	}
	_, err = make("none", "", false)
	w.refused(err, errs.Invalid, "Expecting to find endpoint service_id in service table.")
	_, err = make(s.ID, "r1", false)
	w.refused(err, errs.Invalid, "Expecting to find endpoint region_id in region table.")
	e, err := make(s.ID, "r1", true)
	w.ok(err)
	if _, err := w.Region(ctx, "r1"); err != nil {
		t.Error(err)
	}
	_, err = w.UpdateEndpoint(ctx, e.ID, identity.EndpointPatch{URL: identity.Set("http://x/$(password)s")})
	w.refused(err, errs.Invalid, "Cannot create an endpoint with an invalid URL")
	_, err = w.UpdateEndpoint(ctx, e.ID, identity.EndpointPatch{RegionID: identity.Set("")})
	w.ok(err)
	w.ok(w.DeleteService(ctx, s.ID))
	_, err = w.Endpoint(ctx, e.ID)
	w.refused(err, errs.NotFound, "endpoint")
}

// J12.
func TestEndpointAddresses(t *testing.T) {
	for _, tt := range []struct {
		url string
		ok  bool
	}{
		{"http://h/v1/$(project_id)s", true},
		{"http://h/v1/%(tenant_id)s/$(user_id)s/x", true},
		{"http://h:8776/v1", true},
		{"http://h/a$b", true},
		{"http://h/100%%", true},
		{"urn:x", true},
		{"http://h/$(admin_token)s", false},
		{"http://h/%(password)s", false},
		{"http://h/{0.__class__}", false},
		{"http://h/%(project_id)d", false},
		{"http://h/$(project_id)", false},
		{"http://h/$(project_id", false},
		{"http://h/%", false},
		{"http://h/%s", false},
		{"http://h/%20", false},
		{"http://h/$(project_id)s$(password)s", false},
		{"http://h/%%(password)s", true}, // an escaped sign, then plain text
		{"no-scheme", false},
		{":x", false},
		{"ht tp:x", false},
		{"http:", false},
		{"", false},
		{"http://" + strings.Repeat("x", 219), false},
	} {
		if err := identity.CheckURL(tt.url); (err == nil) != tt.ok || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("CheckURL(%q) = %v, want ok %v", tt.url, err, tt.ok)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"http://h/$(project_id)s", "a:%%(x)s", "a:%(user_id)s$(", "a:$$(tenant_id)s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, url string) {
		if identity.CheckURL(url) != nil {
			return
		}
		// Whatever is accepted holds no opened substitution but the known ones.
		s := strings.ReplaceAll(url, "$(", "%(")
		s = strings.ReplaceAll(s, "%%", "")
		for _, n := range identity.Substitutions() {
			s = strings.ReplaceAll(s, "%("+n+")s", "")
		}
		if strings.Contains(s, "%(") && !strings.Contains(url, "%%") {
			t.Errorf("accepted %q", url)
		}
	})
}
