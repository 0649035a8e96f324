package keystone

import (
	"context"
	"strings"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/rule"
)

// A target is what a request is about, as policy sees it. Parts that are nil are
// missing, which satisfies no comparison. Nothing of the request's query or body
// stands in it under the name of something stored.
type target struct {
	r       *request
	user    *identity.User
	group   *identity.Group
	project *identity.Project
	domain  *identity.Project
	role    *identity.Role
	// made is the resource that the body asks to create, under its own name.
	made *object
	// domainID is the domain that a list is narrowed to; empty is none.
	domainID string
}

// Value implements [rule.Target].
func (t *target) Value(name string) rule.Value {
	rest, ok := strings.CutPrefix(name, "target.")
	if !ok {
		if v := t.r.PathValue(name); v != "" {
			return rule.Text(v)
		}
		return rule.Value{}
	}
	if rest == "domain_id" {
		if t.domainID == "" {
			return rule.Value{}
		}
		return rule.Text(t.domainID)
	}
	kind, attr, _ := strings.Cut(rest, ".")
	if t.made != nil && t.made.name == kind {
		v, null, ok := t.made.value(attr)
		switch {
		case !ok:
			return rule.Value{}
		case null:
			return rule.Null()
		}
		return rule.Text(v)
	}
	switch {
	case kind == "user" && t.user != nil:
		return pick(attr, t.user.ID, t.user.Name, t.user.DomainID, t.user.Enabled)
	case kind == "group" && t.group != nil:
		return pick(attr, t.group.ID, t.group.Name, t.group.DomainID, true)
	case kind == "project" && t.project != nil:
		if attr == "parent_id" {
			return rule.TextOrNull(t.project.ParentID)
		}
		return pick(attr, t.project.ID, t.project.Name, t.project.DomainID, t.project.Enabled)
	case kind == "domain" && t.domain != nil && attr != "domain_id":
		return pick(attr, t.domain.ID, t.domain.Name, "", t.domain.Enabled)
	case kind == "role" && t.role != nil && attr != "enabled":
		return pick(attr, t.role.ID, t.role.Name, t.role.DomainID, true)
	}
	return rule.Value{}
}

func pick(attr, id, name, domainID string, enabled bool) rule.Value {
	switch attr {
	case "id":
		return rule.Text(id)
	case "name":
		return rule.Text(name)
	case "domain_id":
		return rule.TextOrNull(domainID)
	case "enabled":
		if enabled {
			return rule.Text("True")
		}
		return rule.Text("False")
	}
	return rule.Value{}
}

// found turns a look-up into a part of a target: nil when there is nothing, so that
// policy decides before the caller learns that.
func found[T any](ctx context.Context, get func(context.Context, string) (T, error), id string) (*T, error) {
	v, err := get(ctx, id)
	switch {
	case err == nil:
		return &v, nil
	case errs.Is(err, errs.NotFound):
		return nil, nil //nolint:nilnil // nothing there is an answer
	}
	return nil, err
}

// needed is like found but reports that there is nothing at once.
func needed[T any](ctx context.Context, get func(context.Context, string) (T, error), id string) (*T, error) {
	v, err := get(ctx, id)
	if err != nil {
		return nil, err
	}
	return &v, nil
}
