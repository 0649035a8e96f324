package keystone

import (
	"errors"
	"net/http"
	"strings"
	"sync"

	"symbolon/internal/authn"
	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/issuer"
	"symbolon/internal/rule"
	"symbolon/token"
)

func (a *API) authRoutes() []route {
	return []route{
		with("POST", "/v3/auth/tokens", "", (*request).parseLogin, (*request).issueToken),
		plain("GET", "/v3/auth/tokens", "identity:validate_token", (*request).showToken),
		plain("HEAD", "/v3/auth/tokens", "identity:check_token", (*request).showToken),
		plain("DELETE", "/v3/auth/tokens", "identity:revoke_token", (*request).revokeToken),
		plain("GET", "/v3/auth/catalog", "identity:get_auth_catalog", (*request).authCatalog),
		plain("GET", "/v3/auth/projects", "identity:get_auth_projects", (*request).authProjects),
		plain("GET", "/v3/auth/domains", "identity:get_auth_domains", (*request).authDomains),
		plain("GET", "/v3/auth/system", "identity:get_auth_system", (*request).authSystem),
		with("GET", "/v3/OS-REVOKE/events", "identity:list_revoke_events", (*request).parseSince, (*request).revocationEvents),
	}
}

const subjectHeader = "X-Subject-Token"

func (r *request) issueToken(in authn.Request) (response, error) {
	text, t, err := r.api.Logins.Login(r.Context(), in)
	if err != nil {
		return response{}, err
	}
	return r.tokenAnswer(http.StatusCreated, text, t)
}

// buffers are what token answers are written in, again and again: with a catalogue
// they are large, and services ask for many.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// tokenAnswer shows a token. Its text is a header and never in a body.
func (r *request) tokenAnswer(status int, text string, t *issuer.Token) (response, error) {
	buf := buffers.Get().(*[]byte)
	body, err := r.api.appendToken(r.Context(), (*buf)[:0], t, !r.query.Has("nocatalog"))
	if err != nil {
		return response{}, err
	}
	return response{status: status, subject: text, body: body, buffer: buf}, nil
}

func (r *request) showToken() (response, error) {
	t, text, err := r.subject(issuer.Options{AllowExpired: truthWord(r.query.Get("allow_expired"))})
	if err != nil {
		return response{}, err
	}
	return r.tokenAnswer(http.StatusOK, text, t)
}

func (r *request) revokeToken() (response, error) {
	t, _, err := r.subject(issuer.Options{})
	if err != nil {
		return response{}, err
	}
	if err := r.api.Issuer.Revoke(r.Context(), t, r.flag("chain")); err != nil {
		return response{}, err
	}
	return noContent()
}

// truthWord reports whether a query value is one of the words that turn
// allow_expired on.
func truthWord(v string) bool {
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "1", "t", "true", "on", "y", "yes":
		return true
	}
	return false
}

// subjectOf is the subject token as policy sees it.
type subjectOf string

// Value implements [rule.Target].
func (s subjectOf) Value(name string) rule.Value {
	if name == "target.token.user_id" && s != "" {
		return rule.Text(string(s))
	}
	return rule.Value{}
}

// subject validates the token in X-Subject-Token for a caller who may look at it.
// Whoever may look at any token learns that it is not valid (404). Whoever may only
// look at their own gets the same answer (403) for somebody else's as for no token
// at all, so that nobody can find out by asking whether a text is a token; that
// one of their own is no longer valid they may know.
func (r *request) subject(o issuer.Options) (*issuer.Token, string, error) {
	texts := r.Header[subjectHeader]
	text := ""
	if len(texts) == 1 {
		text = texts[0]
	}
	var t *issuer.Token
	err := errNoSubject
	if text != "" {
		t, err = r.api.Issuer.Validate(r.Context(), text, o)
		var rej *token.Rejection
		if errors.As(err, &rej) {
			err = errBadSubject
		}
	}
	switch {
	case err == nil:
		return t, text, r.enforce(r.route.rule, r.own(t.User.ID, t.BearerID))
	case errs.Is(err, errs.NotFound):
		if denied := r.enforce(r.route.rule, subjectOf("")); denied != nil {
			if owner := r.api.Issuer.Owner(text); text == "" || owner == "" || r.enforce(r.route.rule, r.own(owner, owner)) != nil {
				return nil, "", denied
			}
		}
	}
	return nil, "", err
}

// own names the subject's user to policy: of two whom a trust's token is about, the
// one who asks.
func (r *request) own(user, bearer string) subjectOf {
	if bearer == r.creds.UserID || bearer == r.token.BearerID {
		user = r.creds.UserID
	}
	return subjectOf(user)
}

var (
	errNoSubject  = errs.E(errs.NotFound, "No token in the request")
	errBadSubject = errs.E(errs.NotFound, "Failed to validate token")
)

func (r *request) authCatalog() (response, error) {
	if err := r.enforce(r.route.rule, rule.NoTarget{}); err != nil {
		return response{}, err
	}
	if r.token.Project == nil {
		return response{}, errs.E(errs.Forbidden, "You are not authorized to perform the requested action.")
	}
	var d doc
	d.open()
	d.key("catalog")
	var err error
	if d.b, err = r.api.Issuer.AppendCatalog(r.Context(), d.b, r.token); err != nil {
		return response{}, err
	}
	r.selfLink(&d, "auth", "catalog")
	d.close()
	return response{status: http.StatusOK, body: d.b}, nil
}

// authProjects lists the projects that the caller can have a token for.
func (r *request) authProjects() (response, error) {
	if err := r.enforce(r.route.rule, rule.NoTarget{}); err != nil {
		return response{}, err
	}
	ps, err := r.api.Identity.ProjectsOf(r.Context(), r.token.User.ID, identity.Query{})
	if err != nil {
		return response{}, err
	}
	return collection(r, "projects", listing{}, ps, projectID, r.writeProject)
}

func (r *request) authDomains() (response, error) {
	if err := r.enforce(r.route.rule, rule.NoTarget{}); err != nil {
		return response{}, err
	}
	ds, err := r.api.Issuer.DomainsOf(r.Context(), r.token.User.ID)
	if err != nil {
		return response{}, err
	}
	return collection(r, "domains", listing{}, ds, projectID, r.writeDomain)
}

func (r *request) authSystem() (response, error) {
	if err := r.enforce(r.route.rule, rule.NoTarget{}); err != nil {
		return response{}, err
	}
	can, err := r.api.Issuer.OnSystem(r.Context(), r.token.User.ID)
	if err != nil {
		return response{}, err
	}
	var d doc
	d.open()
	n := 0
	if can {
		n = 1
	}
	d.list("system", n, func(int) { d.b = append(d.b, `{"all":true}`...) })
	r.selfLink(&d, "auth", "system")
	d.close()
	return response{status: http.StatusOK, body: d.b}, nil
}
