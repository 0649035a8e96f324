package identity

import (
	"context"
	"strings"
	"unicode/utf8"

	"symbolon/internal/errs"
	"symbolon/internal/id"
)

// CreateRegion makes a region. An empty id is chosen here.
func (d *Directory) CreateRegion(ctx context.Context, r Region) (Region, error) {
	if r.ID == "" {
		r.ID = id.NewHex().String()
	}
	if utf8.RuneCountInString(r.ID) > MaxRegionID {
		return Region{}, errs.E(errs.Invalid, "Invalid input for field/attribute id. Value: %s. %s is too long", r.ID, Quote(r.ID))
	}
	err := d.change(ctx, func(w *work) error { return w.createRegion(r) })
	if err != nil {
		return Region{}, err
	}
	return d.Region(ctx, r.ID)
}

func (w *work) createRegion(r Region) error {
	if r.ParentID != "" {
		if _, err := w.Region(w.ctx, r.ParentID); err != nil {
			return err
		}
	}
	if err := w.CreateRegion(w.ctx, r); err != nil {
		return err
	}
	w.record("region.created", r.ID, nil)
	return nil
}

// A RegionPatch changes a region.
type RegionPatch struct {
	ParentID    Field[string]
	Description Field[string]
	Extra       Extra
}

// UpdateRegion changes a region. Regions form trees: no region becomes its own
// ancestor.
func (d *Directory) UpdateRegion(ctx context.Context, regionID string, p RegionPatch) (Region, error) {
	err := d.change(ctx, func(w *work) error {
		r, err := w.Region(ctx, regionID)
		if err != nil {
			return err
		}
		p.ParentID.apply(&r.ParentID)
		p.Description.apply(&r.Description)
		r.Extra = r.Extra.merge(p.Extra)
		if p.ParentID.Set {
			if err := w.checkNoCircle(r); err != nil {
				return err
			}
		}
		if err := w.UpdateRegion(ctx, r); err != nil {
			return err
		}
		w.record("region.updated", regionID, nil)
		return nil
	})
	if err != nil {
		return Region{}, err
	}
	return d.Region(ctx, regionID)
}

func (w *work) checkNoCircle(r Region) error {
	seen := map[string]bool{r.ID: true}
	for up := r.ParentID; up != ""; {
		if seen[up] {
			return errs.E(errs.Invalid, "Circular reference in region hierarchy: %s cannot be below itself.", r.ID)
		}
		seen[up] = true
		parent, err := w.Region(w.ctx, up)
		if err != nil {
			return err
		}
		up = parent.ParentID
	}
	return nil
}

// DeleteRegion removes a region and those below it, unless an endpoint is in one of
// them.
func (d *Directory) DeleteRegion(ctx context.Context, regionID string) error {
	return d.change(ctx, func(w *work) error {
		if _, err := w.Region(ctx, regionID); err != nil {
			return err
		}
		all, err := w.Regions(ctx)
		if err != nil {
			return err
		}
		children := map[string][]string{}
		for _, r := range all {
			children[r.ParentID] = append(children[r.ParentID], r.ID)
		}
		doomed := []string{regionID}
		for i := 0; i < len(doomed) && i <= len(all); i++ {
			doomed = append(doomed, children[doomed[i]]...)
		}
		for i := len(doomed) - 1; i >= 0; i-- { // the deepest first
			used, err := w.FindEndpoints(ctx, Query{Where: []Condition{{Field: "region_id", Value: doomed[i]}}, Limit: 1})
			if err != nil {
				return err
			}
			if len(used) > 0 {
				return errs.E(errs.Forbidden, "Unable to delete region %s because it or its child regions have associated endpoints.", regionID)
			}
			if err := w.DeleteRegion(ctx, doomed[i]); err != nil {
				return err
			}
			w.record("region.deleted", doomed[i], nil)
		}
		return nil
	})
}

// CreateService makes an entry of the catalogue. The id of s is set here.
func (d *Directory) CreateService(ctx context.Context, s Service) (Service, error) {
	s.ID = id.NewHex().String()
	err := d.change(ctx, func(w *work) error {
		if err := w.CreateService(ctx, s); err != nil {
			return err
		}
		w.record("service.created", s.ID, map[string]any{"type": s.Type, "name": s.Name})
		return nil
	})
	if err != nil {
		return Service{}, err
	}
	return d.Service(ctx, s.ID)
}

// A ServicePatch changes a service.
type ServicePatch struct {
	Type    Field[string]
	Name    Field[string]
	Enabled Field[bool]
	Extra   Extra
}

// UpdateService changes a service.
func (d *Directory) UpdateService(ctx context.Context, serviceID string, p ServicePatch) (Service, error) {
	err := d.change(ctx, func(w *work) error {
		s, err := w.Service(ctx, serviceID)
		if err != nil {
			return err
		}
		p.Type.apply(&s.Type)
		p.Name.apply(&s.Name)
		p.Enabled.apply(&s.Enabled)
		s.Extra = s.Extra.merge(p.Extra)
		if err := w.UpdateService(ctx, s); err != nil {
			return err
		}
		w.record("service.updated", serviceID, map[string]any{"type": s.Type, "name": s.Name})
		return nil
	})
	if err != nil {
		return Service{}, err
	}
	return d.Service(ctx, serviceID)
}

// DeleteService removes a service with its endpoints.
func (d *Directory) DeleteService(ctx context.Context, serviceID string) error {
	return d.change(ctx, func(w *work) error {
		if err := w.DeleteService(ctx, serviceID); err != nil {
			return err
		}
		w.record("service.deleted", serviceID, nil)
		return nil
	})
}

// CreateEndpoint makes an address of a service. With makeRegion its region is made
// too when there is none of that id. The id of e is set here.
func (d *Directory) CreateEndpoint(ctx context.Context, e Endpoint, makeRegion bool) (Endpoint, error) {
	if err := CheckURL(e.URL); err != nil {
		return Endpoint{}, err
	}
	e.ID = id.NewHex().String()
	err := d.change(ctx, func(w *work) error {
		if err := w.checkEndpoint(e, makeRegion); err != nil {
			return err
		}
		if err := w.CreateEndpoint(ctx, e); err != nil {
			return err
		}
		w.record("endpoint.created", e.ID, map[string]any{"service_id": e.ServiceID, "interface": e.Interface})
		return nil
	})
	if err != nil {
		return Endpoint{}, err
	}
	return d.Endpoint(ctx, e.ID)
}

func (w *work) checkEndpoint(e Endpoint, makeRegion bool) error {
	if e.RegionID != "" {
		_, err := w.Region(w.ctx, e.RegionID)
		switch {
		case errs.Is(err, errs.NotFound) && makeRegion:
			err = w.createRegion(Region{ID: e.RegionID})
		case errs.Is(err, errs.NotFound):
			err = missing("endpoint region_id", "region table")
		}
		if err != nil {
			return err
		}
	}
	_, err := w.Service(w.ctx, e.ServiceID)
	if errs.Is(err, errs.NotFound) {
		return missing("endpoint service_id", "service table")
	}
	return err
}

// missing is the protocol's error for a request in which something is not there.
func missing(what, where string) error {
	return errs.E(errs.Invalid, "Expecting to find %s in %s. The server could not comply with the request since it is either malformed or "+
		"otherwise incorrect. The client is assumed to be in error.", what, where)
}

// An EndpointPatch changes an endpoint. MakeRegion makes its region when there is
// none of that id.
type EndpointPatch struct {
	ServiceID  Field[string]
	Interface  Field[string]
	URL        Field[string]
	RegionID   Field[string]
	Enabled    Field[bool]
	Extra      Extra
	MakeRegion bool
}

// UpdateEndpoint changes an endpoint.
func (d *Directory) UpdateEndpoint(ctx context.Context, endpointID string, p EndpointPatch) (Endpoint, error) {
	if p.URL.Set {
		if err := CheckURL(p.URL.To); err != nil {
			return Endpoint{}, err
		}
	}
	err := d.change(ctx, func(w *work) error {
		e, err := w.Endpoint(ctx, endpointID)
		if err != nil {
			return err
		}
		p.ServiceID.apply(&e.ServiceID)
		p.Interface.apply(&e.Interface)
		p.URL.apply(&e.URL)
		p.RegionID.apply(&e.RegionID)
		p.Enabled.apply(&e.Enabled)
		e.Extra = e.Extra.merge(p.Extra)
		if err := w.checkEndpoint(e, p.MakeRegion); err != nil {
			return err
		}
		if err := w.UpdateEndpoint(ctx, e); err != nil {
			return err
		}
		w.record("endpoint.updated", endpointID, map[string]any{"service_id": e.ServiceID, "interface": e.Interface})
		return nil
	})
	if err != nil {
		return Endpoint{}, err
	}
	return d.Endpoint(ctx, endpointID)
}

// DeleteEndpoint removes an endpoint.
func (d *Directory) DeleteEndpoint(ctx context.Context, endpointID string) error {
	return d.change(ctx, func(w *work) error {
		if err := w.DeleteEndpoint(ctx, endpointID); err != nil {
			return err
		}
		w.record("endpoint.deleted", endpointID, nil)
		return nil
	})
}

// CheckURL checks the address of an endpoint: it has a scheme, at most [MaxURL]
// characters, and no substitution but those of [Substitutions]. A percent sign of
// the address itself is written twice.
func CheckURL(url string) error {
	scheme, rest, ok := strings.Cut(url, ":")
	if !ok || scheme == "" || rest == "" || strings.Trim(scheme, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-") != "" {
		return errs.E(errs.Invalid, "Invalid input for field/attribute url. Value: %s. %s does not match '^[a-zA-Z0-9+.-]+:.+'", url, Quote(url))
	}
	if utf8.RuneCountInString(url) > MaxURL {
		return errs.E(errs.Invalid, "Invalid input for field/attribute url. Value: %s. %s is too long", url, Quote(url))
	}
	invalid := errs.E(errs.Invalid, "Cannot create an endpoint with an invalid URL: %s", url)
	if strings.ContainsAny(url, "{}") { // no address has them, and templates of other languages do
		return invalid
	}
	for s := url; ; {
		i := strings.IndexAny(s, "$%")
		if i < 0 {
			return nil
		}
		mark := s[i]
		s = s[i+1:]
		switch {
		case strings.HasPrefix(s, "("):
		case mark == '$': // one of the URL itself
			continue
		case strings.HasPrefix(s, "%"): // the escape of one of the URL itself
			s = s[1:]
			continue
		default:
			return invalid
		}
		name, after, ok := strings.Cut(s[1:], ")s")
		if !ok || !substitution(name) {
			return invalid
		}
		s = after
	}
}

// Substitutions returns the names that an endpoint's address may refer to, as in
// $(project_id)s or %(project_id)s.
func Substitutions() []string { return []string{"project_id", "tenant_id", "user_id"} }

func substitution(name string) bool {
	for _, s := range Substitutions() {
		if s == name {
			return true
		}
	}
	return false
}
