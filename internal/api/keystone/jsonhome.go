package keystone

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// A relation names a path of the API in its home document (JSON-Home,
// draft-nottingham-json-home-03). Those of an extension carry its name.
type relation struct{ extension, name, path string }

// relations are all that the protocol names. The document holds those that are
// served.
var relations = []relation{
	{"", "access_rule", "/users/{user_id}/access_rules/{access_rule_id}"},
	{"", "access_rules", "/users/{user_id}/access_rules"},
	{"", "application_credential", "/users/{user_id}/application_credentials/{application_credential_id}"},
	{"", "application_credentials", "/users/{user_id}/application_credentials"},
	{"", "auth_catalog", "/auth/catalog"},
	{"", "auth_domains", "/auth/domains"},
	{"", "auth_projects", "/auth/projects"},
	{"", "auth_system", "/auth/system"},
	{"", "auth_tokens", "/auth/tokens"},
	{"", "credential", "/credentials/{credential_id}"},
	{"", "credentials", "/credentials"},
	{"", "domain", "/domains/{domain_id}"},
	{"", "domain_config", "/domains/{domain_id}/config"},
	{"", "domain_config_default", "/domains/config/default"},
	{"", "domain_config_default_group", "/domains/config/{group}/default"},
	{"", "domain_config_default_option", "/domains/config/{group}/{option}/default"},
	{"", "domain_config_group", "/domains/{domain_id}/config/{group}"},
	{"", "domain_config_option", "/domains/{domain_id}/config/{group}/{option}"},
	{"", "domain_group_role", "/domains/{domain_id}/groups/{group_id}/roles/{role_id}"},
	{"", "domain_group_roles", "/domains/{domain_id}/groups/{group_id}/roles"},
	{"", "domain_user_role", "/domains/{domain_id}/users/{user_id}/roles/{role_id}"},
	{"", "domain_user_roles", "/domains/{domain_id}/users/{user_id}/roles"},
	{"", "domains", "/domains"},
	{"", "endpoint", "/endpoints/{endpoint_id}"},
	{"", "endpoints", "/endpoints"},
	{"", "group", "/groups/{group_id}"},
	{"", "group_user", "/groups/{group_id}/users/{user_id}"},
	{"", "group_users", "/groups/{group_id}/users"},
	{"", "groups", "/groups"},
	{"", "implied_role", "/roles/{prior_role_id}/implies/{implied_role_id}"},
	{"", "implied_roles", "/roles/{prior_role_id}/implies"},
	{"", "limit", "/limits/{limit_id}"},
	{"", "limit_model", "/limits/model"},
	{"", "limits", "/limits"},
	{"", "policies", "/policies"},
	{"", "policy", "/policies/{policy_id}"},
	{"", "project", "/projects/{project_id}"},
	{"", "project_group_role", "/projects/{project_id}/groups/{group_id}/roles/{role_id}"},
	{"", "project_group_roles", "/projects/{project_id}/groups/{group_id}/roles"},
	{"", "project_tags", "/projects/{project_id}/tags/{value}"},
	{"", "project_user_role", "/projects/{project_id}/users/{user_id}/roles/{role_id}"},
	{"", "project_user_roles", "/projects/{project_id}/users/{user_id}/roles"},
	{"", "projects", "/projects"},
	{"", "region", "/regions/{region_id}"},
	{"", "regions", "/regions"},
	{"", "registered_limit", "/registered_limits/{registered_limit_id}"},
	{"", "registered_limits", "/registered_limits"},
	{"", "role", "/roles/{role_id}"},
	{"", "role_assignments", "/role_assignments"},
	{"", "role_inferences", "/role_inferences"},
	{"", "roles", "/roles"},
	{"", "service", "/services/{service_id}"},
	{"", "services", "/services"},
	{"", "system_group_role", "/system/groups/{group_id}/roles/{role_id}"},
	{"", "system_group_roles", "/system/groups/{group_id}/roles"},
	{"", "system_user_role", "/system/users/{user_id}/roles/{role_id}"},
	{"", "system_user_roles", "/system/users/{user_id}/roles"},
	{"", "user", "/users/{user_id}"},
	{"", "user_change_password", "/users/{user_id}/password"},
	{"", "user_groups", "/users/{user_id}/groups"},
	{"", "user_projects", "/users/{user_id}/projects"},
	{"", "users", "/users"},
	{"OS-EC2", "ec2tokens", "/ec2tokens"},
	{"OS-EC2", "user_credential", "/users/{user_id}/credentials/OS-EC2/{credential_id}"},
	{"OS-EC2", "user_credentials", "/users/{user_id}/credentials/OS-EC2"},
	{"OS-ENDPOINT-POLICY", "endpoint_policy", "/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy"},
	{"OS-ENDPOINT-POLICY", "endpoint_policy_association", "/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints/{endpoint_id}"},
	{"OS-ENDPOINT-POLICY", "policy_endpoints", "/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints"},
	{"OS-ENDPOINT-POLICY", "region_and_service_policy_association", "/policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id}/regions/{region_id}"},
	{"OS-ENDPOINT-POLICY", "service_policy_association", "/policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id}"},
	{"OS-EP-FILTER", "endpoint_group", "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}"},
	{"OS-EP-FILTER", "endpoint_group_to_project_association", "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects/{project_id}"},
	{"OS-EP-FILTER", "endpoint_groups", "/OS-EP-FILTER/endpoint_groups"},
	{"OS-EP-FILTER", "endpoint_projects", "/OS-EP-FILTER/endpoints/{endpoint_id}/projects"},
	{"OS-EP-FILTER", "endpoints_in_endpoint_group", "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/endpoints"},
	{"OS-EP-FILTER", "project_endpoint", "/OS-EP-FILTER/projects/{project_id}/endpoints/{endpoint_id}"},
	{"OS-EP-FILTER", "project_endpoint_groups", "/OS-EP-FILTER/projects/{project_id}/endpoint_groups"},
	{"OS-EP-FILTER", "project_endpoints", "/OS-EP-FILTER/projects/{project_id}/endpoints"},
	{"OS-EP-FILTER", "projects_associated_with_endpoint_group", "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects"},
	{"OS-FEDERATION", "domains", "/auth/domains"},
	{"OS-FEDERATION", "ecp", "/auth/OS-FEDERATION/saml2/ecp"},
	{"OS-FEDERATION", "identity_provider", "/OS-FEDERATION/identity_providers/{idp_id}"},
	{"OS-FEDERATION", "identity_provider_protocol", "/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}"},
	{"OS-FEDERATION", "identity_provider_protocol_auth", "/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth"},
	{"OS-FEDERATION", "identity_provider_protocols", "/OS-FEDERATION/identity_providers/{idp_id}/protocols"},
	{"OS-FEDERATION", "identity_providers", "/OS-FEDERATION/identity_providers"},
	{"OS-FEDERATION", "identity_providers_websso", "/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/websso"},
	{"OS-FEDERATION", "mapping", "/OS-FEDERATION/mappings/{mapping_id}"},
	{"OS-FEDERATION", "mappings", "/OS-FEDERATION/mappings"},
	{"OS-FEDERATION", "metadata", "/OS-FEDERATION/saml2/metadata"},
	{"OS-FEDERATION", "projects", "/auth/projects"},
	{"OS-FEDERATION", "saml2", "/auth/OS-FEDERATION/saml2"},
	{"OS-FEDERATION", "service_provider", "/OS-FEDERATION/service_providers/{service_provider_id}"},
	{"OS-FEDERATION", "service_providers", "/OS-FEDERATION/service_providers"},
	{"OS-FEDERATION", "websso", "/auth/OS-FEDERATION/websso/{protocol_id}"},
	{"OS-INHERIT", "domain_group_role_inherited_to_projects", "/OS-INHERIT/domains/{domain_id}/groups/{group_id}/roles/{role_id}/inherited_to_projects"},
	{"OS-INHERIT", "domain_group_roles_inherited_to_projects", "/OS-INHERIT/domains/{domain_id}/groups/{group_id}/roles/inherited_to_projects"},
	{"OS-INHERIT", "domain_user_role_inherited_to_projects", "/OS-INHERIT/domains/{domain_id}/users/{user_id}/roles/{role_id}/inherited_to_projects"},
	{"OS-INHERIT", "domain_user_roles_inherited_to_projects", "/OS-INHERIT/domains/{domain_id}/users/{user_id}/roles/inherited_to_projects"},
	{"OS-INHERIT", "project_group_role_inherited_to_projects", "/OS-INHERIT/projects/{project_id}/groups/{group_id}/roles/{role_id}/inherited_to_projects"},
	{"OS-INHERIT", "project_user_role_inherited_to_projects", "/OS-INHERIT/projects/{project_id}/users/{user_id}/roles/{role_id}/inherited_to_projects"},
	{"OS-OAUTH1", "access_tokens", "/OS-OAUTH1/access_token"},
	{"OS-OAUTH1", "authorize_request_token", "/OS-OAUTH1/authorize/{request_token_id}"},
	{"OS-OAUTH1", "consumer", "/OS-OAUTH1/consumers/{consumer_id}"},
	{"OS-OAUTH1", "consumers", "/OS-OAUTH1/consumers"},
	{"OS-OAUTH1", "request_tokens", "/OS-OAUTH1/request_token"},
	{"OS-OAUTH1", "user_access_token", "/users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id}"},
	{"OS-OAUTH1", "user_access_token_role", "/users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id}/roles/{role_id}"},
	{"OS-OAUTH1", "user_access_token_roles", "/users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id}/roles"},
	{"OS-OAUTH1", "user_access_tokens", "/users/{user_id}/OS-OAUTH1/access_tokens"},
	{"OS-OAUTH2", "token", "/OS-OAUTH2/token"},
	{"OS-PKI", "revocations", "/auth/tokens/OS-PKI/revoked"},
	{"OS-REVOKE", "events", "/OS-REVOKE/events"},
	{"OS-SIMPLE-CERT", "ca_certificate", "/OS-SIMPLE-CERT/ca"},
	{"OS-SIMPLE-CERT", "certificates", "/OS-SIMPLE-CERT/certificates"},
	{"OS-TRUST", "trust", "/OS-TRUST/trusts/{trust_id}"},
	{"OS-TRUST", "trust_role", "/OS-TRUST/trusts/{trust_id}/roles/{role_id}"},
	{"OS-TRUST", "trust_roles", "/OS-TRUST/trusts/{trust_id}/roles"},
	{"OS-TRUST", "trusts", "/OS-TRUST/trusts"},
	{"s3tokens", "s3tokens", "/s3tokens"},
}

// experimental are the relations that the protocol marks so.
var experimental = []string{"limit", "limit_model", "limits", "registered_limit", "registered_limits"}

const relationBase = "https://docs.openstack.org/api/openstack-identity/3/"

func (r relation) url() string {
	if r.extension == "" {
		return relationBase + "rel/" + r.name
	}
	return relationBase + "ext/" + r.extension + "/1.0/rel/" + r.name
}

// paramURL names what a part of a path stands for.
func paramURL(name string) string {
	switch name {
	case "prior_role_id", "implied_role_id":
		name = "role_id"
	case "value":
		name = "tag_value"
	case "group", "option":
		name = "config_" + name
	case "trust_id":
		return relationBase + "ext/OS-TRUST/1.0/param/" + name
	case "endpoint_group_id":
		return relationBase + "ext/OS-EP-FILTER/1.0/param/" + name
	case "idp_id", "protocol_id", "mapping_id", "service_provider_id":
		return relationBase + "ext/OS-FEDERATION/1.0/param/" + name
	case "consumer_id", "access_token_id", "request_token_id":
		return relationBase + "ext/OS-OAUTH1/1.0/param/" + name
	}
	return relationBase + "param/" + name
}

// homeDocument renders the home document with paths below prefix.
func (a *API) homeDocument(prefix string) []byte {
	var d doc
	d.open()
	d.object("resources", func() {
		for _, r := range relations {
			if !slices.ContainsFunc(a.table, func(rt route) bool { return rt.path == "/v3"+r.path }) {
				continue
			}
			d.object(r.url(), func() { r.write(&d, prefix) })
		}
	})
	d.close()
	return d.b
}

func (r relation) write(d *doc, prefix string) {
	if !strings.Contains(r.path, "{") {
		d.str("href", prefix+r.path)
	} else {
		d.str("href-template", prefix+r.path)
		d.object("href-vars", func() {
			for _, seg := range strings.Split(r.path, "/") {
				if name, ok := strings.CutPrefix(seg, "{"); ok {
					name = strings.TrimSuffix(name, "}")
					d.str(name, paramURL(name))
				}
			}
		})
	}
	if r.extension == "" && slices.Contains(experimental, r.name) {
		d.object("hints", func() { d.str("status", "experimental") })
	}
}

// wantsHome reports whether a request prefers the home document to JSON.
func wantsHome(r *http.Request) bool {
	home, plain := 0.0, 0.0
	for _, part := range strings.Split(strings.Join(r.Header["Accept"], ","), ",") {
		mt, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if v, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				continue
			}
		}
		switch mt {
		case "application/json-home":
			home = max(home, q)
		case "application/json", "application/*", "*/*":
			plain = max(plain, q)
		}
	}
	return home > plain
}

// home is the answer with the home document.
func (r *request) home(prefix string) (response, error) {
	return response{
		status: http.StatusOK, header: http.Header{"Content-Type": {"application/json-home"}}, body: r.api.homeDocument(prefix),
	}, nil
}
