package store

import (
	"context"

	"symbolon/internal/identity"
)

const serviceColumns = `s.id, s.type, s.name, s.enabled, s.extra`

var serviceFields = fields{"id": "s.id", "type": "s.type", "name": "s.name", "enabled": "s.enabled"}

func scanService(row scanner) (s identity.Service, err error) {
	var extra string
	if err = row.Scan(&s.ID, &s.Type, &s.Name, &s.Enabled, &extra); err != nil {
		return s, err
	}
	return s, intoObject(extra, &s.Extra)
}

// Service implements [identity.Reader].
func (r identityReads) Service(ctx context.Context, id string) (identity.Service, error) {
	s, err := scanService(r.q.QueryRow(ctx, `SELECT `+serviceColumns+` FROM services s WHERE s.id = $1`, id))
	return one(s, err, "service", id)
}

// Services implements [identity.Reader].
func (r identityReads) Services(ctx context.Context) ([]identity.Service, error) {
	return r.FindServices(ctx, identity.Query{})
}

// FindServices implements [identity.Reader].
func (r identityReads) FindServices(ctx context.Context, q identity.Query) ([]identity.Service, error) {
	s := selectFrom(`SELECT %s FROM services s`, serviceColumns)
	if err := s.narrow(serviceFields, "s.id", q); err != nil {
		return nil, err
	}
	return collect(ctx, r.q, s, scanService)
}

const endpointColumns = `e.id, e.service_id, e.interface, e.url, COALESCE(e.region_id, ''), e.enabled, e.extra`

var endpointFields = fields{
	"id": "e.id", "service_id": "e.service_id", "interface": "e.interface", "region_id": "e.region_id", "url": "e.url", "enabled": "e.enabled",
}

func scanEndpoint(row scanner) (e identity.Endpoint, err error) {
	var extra string
	if err = row.Scan(&e.ID, &e.ServiceID, &e.Interface, &e.URL, &e.RegionID, &e.Enabled, &extra); err != nil {
		return e, err
	}
	return e, intoObject(extra, &e.Extra)
}

// Endpoint implements [identity.Reader].
func (r identityReads) Endpoint(ctx context.Context, id string) (identity.Endpoint, error) {
	e, err := scanEndpoint(r.q.QueryRow(ctx, `SELECT `+endpointColumns+` FROM endpoints e WHERE e.id = $1`, id))
	return one(e, err, "endpoint", id)
}

// Endpoints implements [identity.Reader].
func (r identityReads) Endpoints(ctx context.Context) ([]identity.Endpoint, error) {
	return r.FindEndpoints(ctx, identity.Query{})
}

// FindEndpoints implements [identity.Reader].
func (r identityReads) FindEndpoints(ctx context.Context, q identity.Query) ([]identity.Endpoint, error) {
	s := selectFrom(`SELECT %s FROM endpoints e`, endpointColumns)
	if err := s.narrow(endpointFields, "e.id", q); err != nil {
		return nil, err
	}
	return collect(ctx, r.q, s, scanEndpoint)
}

const regionColumns = `r.id, COALESCE(r.parent_region_id, ''), r.description, r.extra`

var regionFields = fields{"id": "r.id", "parent_region_id": "r.parent_region_id", "description": "r.description"}

func scanRegion(row scanner) (r identity.Region, err error) {
	var extra string
	if err = row.Scan(&r.ID, &r.ParentID, &r.Description, &extra); err != nil {
		return r, err
	}
	return r, intoObject(extra, &r.Extra)
}

// Region implements [identity.Reader].
func (r identityReads) Region(ctx context.Context, id string) (identity.Region, error) {
	g, err := scanRegion(r.q.QueryRow(ctx, `SELECT `+regionColumns+` FROM regions r WHERE r.id = $1`, id))
	return one(g, err, "region", id)
}

// Regions implements [identity.Reader].
func (r identityReads) Regions(ctx context.Context) ([]identity.Region, error) {
	return r.FindRegions(ctx, identity.Query{})
}

// FindRegions implements [identity.Reader].
func (r identityReads) FindRegions(ctx context.Context, q identity.Query) ([]identity.Region, error) {
	s := selectFrom(`SELECT %s FROM regions r`, regionColumns)
	if err := s.narrow(regionFields, "r.id", q); err != nil {
		return nil, err
	}
	return collect(ctx, r.q, s, scanRegion)
}

// CreateService implements [identity.Tx].
func (t identityTx) CreateService(ctx context.Context, s identity.Service) error {
	extra, err := object(s.Extra)
	if err != nil {
		return err
	}
	_, err = t.q.Exec(ctx, `INSERT INTO services (id, type, name, enabled, extra) VALUES ($1, $2, $3, $4, $5)`, s.ID, s.Type, s.Name, s.Enabled, extra)
	return duplicate(err, "service", "Duplicate entry found with ID "+s.ID)
}

// UpdateService implements [identity.Tx].
func (t identityTx) UpdateService(ctx context.Context, s identity.Service) error {
	extra, err := object(s.Extra)
	if err != nil {
		return err
	}
	n, err := t.q.Exec(ctx, `UPDATE services SET type = $2, name = $3, enabled = $4, extra = $5 WHERE id = $1`, s.ID, s.Type, s.Name, s.Enabled, extra)
	return changed(n, err, "service", s.ID)
}

// DeleteService implements [identity.Tx].
func (t identityTx) DeleteService(ctx context.Context, id string) error {
	n, err := t.q.Exec(ctx, `DELETE FROM services WHERE id = $1`, id)
	return changed(n, err, "service", id)
}

// CreateEndpoint implements [identity.Tx].
func (t identityTx) CreateEndpoint(ctx context.Context, e identity.Endpoint) error {
	extra, err := object(e.Extra)
	if err != nil {
		return err
	}
	_, err = t.q.Exec(ctx, `INSERT INTO endpoints (id, service_id, interface, url, region_id, enabled, extra) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		e.ID, e.ServiceID, e.Interface, e.URL, orNull(e.RegionID), e.Enabled, extra)
	return duplicate(err, "endpoint", "Duplicate entry found with ID "+e.ID)
}

// UpdateEndpoint implements [identity.Tx].
func (t identityTx) UpdateEndpoint(ctx context.Context, e identity.Endpoint) error {
	extra, err := object(e.Extra)
	if err != nil {
		return err
	}
	n, err := t.q.Exec(ctx, `UPDATE endpoints SET service_id = $2, interface = $3, url = $4, region_id = $5, enabled = $6, extra = $7 WHERE id = $1`,
		e.ID, e.ServiceID, e.Interface, e.URL, orNull(e.RegionID), e.Enabled, extra)
	return changed(n, err, "endpoint", e.ID)
}

// DeleteEndpoint implements [identity.Tx].
func (t identityTx) DeleteEndpoint(ctx context.Context, id string) error {
	n, err := t.q.Exec(ctx, `DELETE FROM endpoints WHERE id = $1`, id)
	return changed(n, err, "endpoint", id)
}

// CreateRegion implements [identity.Tx].
func (t identityTx) CreateRegion(ctx context.Context, r identity.Region) error {
	extra, err := object(r.Extra)
	if err != nil {
		return err
	}
	_, err = t.q.Exec(ctx, `INSERT INTO regions (id, parent_region_id, description, extra) VALUES ($1, $2, $3, $4)`,
		r.ID, orNull(r.ParentID), r.Description, extra)
	return duplicate(err, "region", "Duplicate ID, "+r.ID+".")
}

// UpdateRegion implements [identity.Tx].
func (t identityTx) UpdateRegion(ctx context.Context, r identity.Region) error {
	extra, err := object(r.Extra)
	if err != nil {
		return err
	}
	n, err := t.q.Exec(ctx, `UPDATE regions SET parent_region_id = $2, description = $3, extra = $4 WHERE id = $1`,
		r.ID, orNull(r.ParentID), r.Description, extra)
	return changed(n, err, "region", r.ID)
}

// DeleteRegion implements [identity.Tx].
func (t identityTx) DeleteRegion(ctx context.Context, id string) error {
	n, err := t.q.Exec(ctx, `DELETE FROM regions WHERE id = $1`, id)
	return changed(n, err, "region", id)
}
