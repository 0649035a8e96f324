package keystone

import "net/http"

func (a *API) discoveryRoutes() []route {
	return []route{
		plain("GET", "/", "", (*request).versions),
		plain("GET", "/v3", "", (*request).version),
	}
}

// versionDoc writes the members of the one version that is served. Clients compare
// them literally.
func (r *request) versionDoc(d *doc) {
	d.str("id", "v3.14")
	d.str("status", "stable")
	d.str("updated", "2020-04-07T00:00:00Z")
	d.list("links", 1, func(int) {
		d.open()
		d.str("rel", "self")
		d.str("href", r.base+"/")
		d.close()
	})
	d.list("media-types", 1, func(int) {
		d.open()
		d.str("base", "application/json")
		d.str("type", "application/vnd.openstack.identity-v3+json")
		d.close()
	})
}

func (r *request) versions() (response, error) {
	if wantsHome(r.Request) {
		return r.home("/v3")
	}
	var d doc
	d.open()
	d.object("versions", func() {
		d.list("values", 1, func(int) {
			d.open()
			r.versionDoc(&d)
			d.close()
		})
	})
	d.close()
	return response{status: http.StatusMultipleChoices, header: http.Header{"Location": {r.base + "/"}}, body: d.b}, nil
}

func (r *request) version() (response, error) {
	if wantsHome(r.Request) {
		return r.home("")
	}
	return r.member(http.StatusOK, "version", r.versionDoc)
}
