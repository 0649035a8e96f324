package keystone

import (
	"net/http"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

func (a *API) catalogRoutes() []route {
	return []route{
		with("GET", "/v3/regions", "identity:list_regions", (*request).parseRegionList, (*request).listRegions),
		with("POST", "/v3/regions", "identity:create_region", (*request).parseNewRegion, (*request).createRegion),
		plain("GET", "/v3/regions/{region_id}", "identity:get_region", (*request).getRegion),
		with("PUT", "/v3/regions/{region_id}", "identity:create_region", (*request).parseNewRegion, (*request).createRegion),
		with("PATCH", "/v3/regions/{region_id}", "identity:update_region", (*request).parseRegionPatch, (*request).updateRegion),
		plain("DELETE", "/v3/regions/{region_id}", "identity:delete_region", (*request).deleteRegion),

		with("GET", "/v3/services", "identity:list_services", (*request).parseServiceList, (*request).listServices),
		with("POST", "/v3/services", "identity:create_service", (*request).parseNewService, (*request).createService),
		plain("GET", "/v3/services/{service_id}", "identity:get_service", (*request).getService),
		with("PATCH", "/v3/services/{service_id}", "identity:update_service", (*request).parseServicePatch, (*request).updateService),
		plain("DELETE", "/v3/services/{service_id}", "identity:delete_service", (*request).deleteService),

		with("GET", "/v3/endpoints", "identity:list_endpoints", (*request).parseEndpointList, (*request).listEndpoints),
		with("POST", "/v3/endpoints", "identity:create_endpoint", (*request).parseNewEndpoint, (*request).createEndpoint),
		plain("GET", "/v3/endpoints/{endpoint_id}", "identity:get_endpoint", (*request).getEndpoint),
		with("PATCH", "/v3/endpoints/{endpoint_id}", "identity:update_endpoint", (*request).parseEndpointPatch, (*request).updateEndpoint),
		plain("DELETE", "/v3/endpoints/{endpoint_id}", "identity:delete_endpoint", (*request).deleteEndpoint),
	}
}

// allow asks a rule that looks at nothing but the caller, then runs fn.
func (r *request) allow(rule string, fn func() (response, error)) (response, error) {
	if err := r.enforce(rule, &target{r: r}); err != nil {
		return response{}, err
	}
	return fn()
}

// deleted is the answer to a deletion.
func deleted(err error) (response, error) {
	if err != nil {
		return response{}, err
	}
	return noContent()
}

// The names that extra attributes cannot take.
var (
	ownOfRegion   = []string{"id", "parent_region_id", "description", "links"}
	ownOfService  = []string{"id", "type", "name", "enabled", "links"}
	ownOfEndpoint = []string{"id", "service_id", "interface", "url", "region", "region_id", "enabled", "links", "legacy_endpoint_id"}
)

func (r *request) writeRegion(d *doc, x identity.Region) {
	attributes(d, x.Extra)
	d.str("id", x.ID)
	d.str("description", x.Description)
	d.strOrNull("parent_region_id", x.ParentID)
	r.selfLink(d, "regions", x.ID)
}

// parseRegionList knows one filter and, as the protocol has it for regions, nothing
// else.
func (r *request) parseRegionList() (listing, error) {
	for _, k := range sortedKeys(r.query) {
		if k != "parent_region_id" {
			return listing{}, errs.E(errs.Invalid, "Additional properties are not allowed (%s was unexpected)", identity.Quote(shorten(k)))
		}
	}
	return r.listQuery(filters{"parent_region_id": anyText})
}

func (r *request) listRegions(l listing) (response, error) {
	return r.allow("identity:list_regions", func() (response, error) {
		xs, err := r.api.Identity.FindRegions(r.Context(), l.Query)
		if err != nil {
			return response{}, err
		}
		return collection(r, "regions", l, xs, func(x identity.Region) string { return x.ID }, r.writeRegion)
	})
}

func (r *request) parseNewRegion() (identity.Region, error) {
	o := r.object("region")
	x := identity.Region{
		ID: o.nullableText("id", identity.MaxRegionID).To, ParentID: o.regionID("parent_region_id").To, Description: o.nullableText("description", 255).To,
	}
	x.Extra = o.extra(true, ownOfRegion...)
	if at := r.PathValue("region_id"); at != "" && o.err == nil {
		if x.ID != "" && x.ID != at {
			return x, errs.E(errs.Invalid, "Conflicting region IDs specified: \"%s\" != \"%s\"", shorten(at), shorten(x.ID))
		}
		x.ID = at
	}
	return x, o.err
}

// regionID reads the id of a region or null, which is the empty text.
func (o *object) regionID(k string) identity.Field[string] {
	f := o.nullable(k, identity.MaxRegionID)
	if f.To != nil && *f.To == "" {
		o.fail(k, nil, "'' is too short")
	}
	if f.To == nil {
		return identity.Field[string]{Set: f.Set}
	}
	return identity.Set(*f.To)
}

func (r *request) createRegion(x identity.Region) (response, error) {
	return r.allow("identity:create_region", func() (response, error) {
		n, err := r.api.Identity.CreateRegion(r.Context(), x)
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusCreated, "region", func(d *doc) { r.writeRegion(d, n) })
	})
}

func (r *request) getRegion() (response, error) {
	return r.allow("identity:get_region", func() (response, error) {
		x, err := r.api.Identity.Region(r.Context(), r.PathValue("region_id"))
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusOK, "region", func(d *doc) { r.writeRegion(d, x) })
	})
}

func (r *request) parseRegionPatch() (identity.RegionPatch, error) {
	o := r.object("region")
	o.notEmpty()
	o.matchID(r.PathValue("region_id"))
	p := identity.RegionPatch{ParentID: o.regionID("parent_region_id"), Description: o.nullableText("description", 255)}
	p.Extra = o.extra(false, ownOfRegion...)
	return p, o.err
}

func (r *request) updateRegion(p identity.RegionPatch) (response, error) {
	return r.allow("identity:update_region", func() (response, error) {
		n, err := r.api.Identity.UpdateRegion(r.Context(), r.PathValue("region_id"), p)
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusOK, "region", func(d *doc) { r.writeRegion(d, n) })
	})
}

func (r *request) deleteRegion() (response, error) {
	return r.allow("identity:delete_region", func() (response, error) {
		return deleted(r.api.Identity.DeleteRegion(r.Context(), r.PathValue("region_id")))
	})
}

func (r *request) writeService(d *doc, x identity.Service) {
	d.str("name", x.Name)
	attributes(d, x.Extra)
	d.str("id", x.ID)
	d.str("type", x.Type)
	d.boolean("enabled", x.Enabled)
	r.selfLink(d, "services", x.ID)
}

func (r *request) parseServiceList() (listing, error) {
	return r.listQuery(filters{"type": anyText, "name": anyText})
}

func (r *request) listServices(l listing) (response, error) {
	return r.allow("identity:list_services", func() (response, error) {
		if err := marker(r, l, r.api.Identity.Service); err != nil {
			return response{}, err
		}
		xs, err := r.api.Identity.FindServices(r.Context(), l.Query)
		if err != nil {
			return response{}, err
		}
		return collection(r, "services", l, xs, func(x identity.Service) string { return x.ID }, r.writeService)
	})
}

func (o *object) servicePatch() identity.ServicePatch {
	return identity.ServicePatch{
		Type: o.text("type", 1, identity.MaxServiceType), Name: o.text("name", 1, 255), Enabled: o.boolean("enabled"),
	}
}

func (r *request) parseNewService() (identity.Service, error) {
	o := r.object("service")
	o.require("type")
	p := o.servicePatch()
	return identity.Service{
		Type: p.Type.To, Name: p.Name.To, Enabled: !p.Enabled.Set || p.Enabled.To, Extra: o.extra(true, ownOfService...),
	}, o.err
}

func (r *request) createService(x identity.Service) (response, error) {
	return r.allow("identity:create_service", func() (response, error) {
		n, err := r.api.Identity.CreateService(r.Context(), x)
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusCreated, "service", func(d *doc) { r.writeService(d, n) })
	})
}

func (r *request) getService() (response, error) {
	return r.allow("identity:get_service", func() (response, error) {
		x, err := r.api.Identity.Service(r.Context(), r.PathValue("service_id"))
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusOK, "service", func(d *doc) { r.writeService(d, x) })
	})
}

func (r *request) parseServicePatch() (identity.ServicePatch, error) {
	o := r.object("service")
	o.notEmpty()
	o.matchID(r.PathValue("service_id"))
	p := o.servicePatch()
	p.Extra = o.extra(false, ownOfService...)
	return p, o.err
}

func (r *request) updateService(p identity.ServicePatch) (response, error) {
	return r.allow("identity:update_service", func() (response, error) {
		n, err := r.api.Identity.UpdateService(r.Context(), r.PathValue("service_id"), p)
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusOK, "service", func(d *doc) { r.writeService(d, n) })
	})
}

func (r *request) deleteService() (response, error) {
	return r.allow("identity:delete_service", func() (response, error) {
		return deleted(r.api.Identity.DeleteService(r.Context(), r.PathValue("service_id")))
	})
}

func (r *request) writeEndpoint(d *doc, x identity.Endpoint) {
	attributes(d, x.Extra)
	d.str("id", x.ID)
	d.str("interface", x.Interface)
	d.strOrNull("region_id", x.RegionID)
	d.str("service_id", x.ServiceID)
	d.str("url", x.URL)
	d.boolean("enabled", x.Enabled)
	d.strOrNull("region", x.RegionID)
	r.selfLink(d, "endpoints", x.ID)
}

func (r *request) parseEndpointList() (listing, error) {
	if r.query.Has("interface") {
		if err := checkInterface(r.query.Get("interface")); err != nil {
			return listing{}, err
		}
	}
	return r.listQuery(filters{"interface": anyText, "service_id": anyText, "region_id": anyText})
}

func checkInterface(v string) error {
	switch v {
	case identity.InterfacePublic, identity.InterfaceInternal, identity.InterfaceAdmin:
		return nil
	}
	return badFilter("interface", v, "is not one of ['admin', 'internal', 'public']")
}

func (r *request) listEndpoints(l listing) (response, error) {
	return r.allow("identity:list_endpoints", func() (response, error) {
		if err := marker(r, l, r.api.Identity.Endpoint); err != nil {
			return response{}, err
		}
		xs, err := r.api.Identity.FindEndpoints(r.Context(), l.Query)
		if err != nil {
			return response{}, err
		}
		return collection(r, "endpoints", l, xs, func(x identity.Endpoint) string { return x.ID }, r.writeEndpoint)
	})
}

// endpointPatch reads the attributes that creating and changing share. A region
// given under its old name "region" is made when there is none.
func (o *object) endpointPatch() identity.EndpointPatch {
	p := identity.EndpointPatch{
		ServiceID: o.text("service_id", 0, 64), Interface: o.text("interface", 0, 0), URL: o.text("url", 0, identity.MaxURL),
		RegionID: o.nullableText("region_id", identity.MaxRegionID), Enabled: o.boolean("enabled"),
	}
	if p.Interface.Set && o.err == nil {
		o.err = checkInterface(p.Interface.To)
	}
	if old := o.nullableText("region", identity.MaxRegionID); p.RegionID.To == "" && old.To != "" {
		p.RegionID, p.MakeRegion = old, true
	}
	for _, k := range [...]string{"name", "description"} {
		v, ok := o.m[k]
		if ok && v[0] != '"' && (k == "name" || !isNull(v)) {
			o.fail(k, v, "%s is not of type 'string'", shorten(string(v)))
		}
	}
	return p
}

// A newEndpoint is an endpoint to be made.
type newEndpoint struct {
	identity.Endpoint
	makeRegion bool
}

func (r *request) parseNewEndpoint() (newEndpoint, error) {
	o := r.object("endpoint")
	o.require("interface", "service_id", "url")
	p := o.endpointPatch()
	return newEndpoint{makeRegion: p.MakeRegion, Endpoint: identity.Endpoint{
		ServiceID: p.ServiceID.To, Interface: p.Interface.To, URL: p.URL.To, RegionID: p.RegionID.To, Enabled: !p.Enabled.Set || p.Enabled.To,
		Extra: o.extra(true, ownOfEndpoint...),
	}}, o.err
}

func (r *request) createEndpoint(x newEndpoint) (response, error) {
	return r.allow("identity:create_endpoint", func() (response, error) {
		n, err := r.api.Identity.CreateEndpoint(r.Context(), x.Endpoint, x.makeRegion)
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusCreated, "endpoint", func(d *doc) { r.writeEndpoint(d, n) })
	})
}

func (r *request) getEndpoint() (response, error) {
	return r.allow("identity:get_endpoint", func() (response, error) {
		x, err := r.api.Identity.Endpoint(r.Context(), r.PathValue("endpoint_id"))
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusOK, "endpoint", func(d *doc) { r.writeEndpoint(d, x) })
	})
}

func (r *request) parseEndpointPatch() (identity.EndpointPatch, error) {
	o := r.object("endpoint")
	o.notEmpty()
	o.matchID(r.PathValue("endpoint_id"))
	p := o.endpointPatch()
	p.Extra = o.extra(false, ownOfEndpoint...)
	return p, o.err
}

func (r *request) updateEndpoint(p identity.EndpointPatch) (response, error) {
	return r.allow("identity:update_endpoint", func() (response, error) {
		n, err := r.api.Identity.UpdateEndpoint(r.Context(), r.PathValue("endpoint_id"), p)
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusOK, "endpoint", func(d *doc) { r.writeEndpoint(d, n) })
	})
}

func (r *request) deleteEndpoint() (response, error) {
	return r.allow("identity:delete_endpoint", func() (response, error) {
		return deleted(r.api.Identity.DeleteEndpoint(r.Context(), r.PathValue("endpoint_id")))
	})
}
