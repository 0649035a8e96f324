package rule

// Everyone, everywhere: the scope types that most rules list.
const anyScope = System | Domain | Project

const noDomain = System | Project

// The building blocks of the default rules.
const (
	admin        = "rule:admin_required"
	systemReader = "(role:reader and system_scope:all)"
	adminOrRead  = admin + " or " + systemReader

	// An actor of the caller's domain on a target of the caller's domain.
	userHere    = "domain_id:%(target.user.domain_id)s"
	groupHere   = "domain_id:%(target.group.domain_id)s"
	projectHere = "domain_id:%(target.project.domain_id)s"
	domainHere  = "domain_id:%(target.domain.id)s"
	grantHere   = "((" + userHere + " or " + groupHere + ") and (" + projectHere + " or " + domainHere + "))"
	roleHere    = "(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s)"

	// A project that has a domain, and the caller's: a root project has none, and
	// two nulls would compare equal.
	projectOfDomain = "(" + projectHere + " and not None:%(target.project.domain_id)s)"
	readProject     = adminOrRead + " or (role:reader and " + projectOfDomain + ") or project_id:%(target.project.id)s"
	manageProject   = admin + " or (role:manager and " + projectOfDomain + ")"
	manageUser      = admin + " or (role:manager and token.domain.id:%(target.user.domain_id)s)"
	readGroup       = adminOrRead + " or (role:reader and " + groupHere + ")"
	manageGroup     = admin + " or (role:manager and " + groupHere + ")"
	manageMember    = admin + " or (role:manager and " + groupHere + " and " + userHere + ")"
	listInDomain    = adminOrRead + " or (role:reader and domain_id:%(target.domain_id)s)"
	changeGrant     = admin + " or (role:admin and " + grantHere + " and " + roleHere + ") or (role:manager and " + grantHere +
		" and rule:domain_managed_target_role)"
	readTrust = adminOrRead + " or user_id:%(target.trust.trustor_user_id)s or user_id:%(target.trust.trustee_user_id)s"
)

// Defaults returns the rules of the resources that are served, with the meaning that
// Keystone's defaults have (keystone-routes.tsv, columns rule and persona).
func Defaults() []Default {
	return []Default{
		{"admin_required", 0, "role:admin or is_admin:1"},
		{"service_role", 0, "role:service"},
		{"service_or_admin", 0, "rule:admin_required or rule:service_role"},
		{"owner", 0, "user_id:%(user_id)s"},
		{"admin_or_owner", 0, "rule:admin_required or rule:owner"},
		{"token_subject", 0, "user_id:%(target.token.user_id)s"},
		{"admin_or_token_subject", 0, "rule:admin_required or rule:token_subject"},
		{"service_admin_or_token_subject", 0, "rule:service_or_admin or rule:token_subject"},
		{"domain_managed_target_role", 0, "'manager':%(target.role.name)s or 'member':%(target.role.name)s or 'reader':%(target.role.name)s"},

		{"identity:get_auth_catalog", 0, ""},
		{"identity:get_auth_projects", 0, ""},
		{"identity:get_auth_domains", 0, ""},
		{"identity:get_auth_system", 0, ""},
		{"identity:check_token", anyScope, adminOrRead + " or rule:token_subject"},
		{"identity:validate_token", anyScope, adminOrRead + " or rule:service_role or rule:token_subject"},
		{"identity:revoke_token", anyScope, "rule:admin_or_token_subject"},
		{"identity:list_revoke_events", noDomain, "rule:service_or_admin"},
		{"identity:revocation_list", noDomain, "rule:service_or_admin"},

		{"identity:get_domain", anyScope, adminOrRead + " or token.domain.id:%(target.domain.id)s or token.project.domain.id:%(target.domain.id)s"},
		{"identity:list_domains", anyScope, adminOrRead + " or (role:reader and " + domainHere + ")"},
		{"identity:create_domain", noDomain, admin},
		{"identity:update_domain", noDomain, admin},
		{"identity:delete_domain", noDomain, admin},

		{"identity:get_project", anyScope, readProject},
		{"identity:list_projects", anyScope, listInDomain},
		{"identity:list_user_projects", anyScope, adminOrRead + " or (role:reader and " + userHere + ") or user_id:%(target.user.id)s"},
		{"identity:create_project", anyScope, manageProject},
		{"identity:update_project", anyScope, manageProject},
		{"identity:delete_project", anyScope, manageProject},
		{"identity:list_project_tags", anyScope, readProject},
		{"identity:get_project_tag", anyScope, readProject},
		{"identity:update_project_tags", anyScope, manageProject},
		{"identity:create_project_tag", anyScope, manageProject},
		{"identity:delete_project_tags", anyScope, manageProject},
		{"identity:delete_project_tag", anyScope, manageProject},

		{"identity:get_user", anyScope, adminOrRead + " or (role:reader and token.domain.id:%(target.user.domain_id)s) or user_id:%(target.user.id)s"},
		{"identity:list_users", anyScope, listInDomain},
		{"identity:create_user", anyScope, manageUser},
		{"identity:update_user", anyScope, manageUser},
		{"identity:delete_user", anyScope, manageUser},

		{"identity:get_group", anyScope, readGroup},
		{"identity:list_groups", anyScope, readGroup},
		{"identity:list_groups_for_user", anyScope, adminOrRead + " or (role:reader and " + userHere + ") or rule:owner"},
		{"identity:create_group", anyScope, manageGroup},
		{"identity:update_group", anyScope, manageGroup},
		{"identity:delete_group", anyScope, manageGroup},
		{"identity:list_users_in_group", anyScope, readGroup},
		{"identity:check_user_in_group", anyScope, adminOrRead + " or (role:reader and " + groupHere + " and " + userHere + ")"},
		{"identity:add_user_to_group", anyScope, manageMember},
		{"identity:remove_user_from_group", anyScope, manageMember},

		{"identity:get_role", anyScope, adminOrRead + " or (role:manager and rule:domain_managed_target_role)"},
		{"identity:list_roles", anyScope, adminOrRead + " or (role:manager and not domain_id:None)"},
		{"identity:create_role", noDomain, admin},
		{"identity:update_role", noDomain, admin},
		{"identity:delete_role", noDomain, admin},
		{"identity:get_domain_role", noDomain, adminOrRead},
		{"identity:list_domain_roles", noDomain, adminOrRead},
		{"identity:create_domain_role", noDomain, admin},
		{"identity:update_domain_role", noDomain, admin},
		{"identity:delete_domain_role", noDomain, admin},
		{"identity:get_implied_role", noDomain, adminOrRead},
		{"identity:list_implied_roles", noDomain, adminOrRead},
		{"identity:create_implied_role", noDomain, admin},
		{"identity:delete_implied_role", noDomain, admin},
		{"identity:check_implied_role", noDomain, adminOrRead},
		{"identity:list_role_inference_rules", noDomain, adminOrRead},

		{"identity:check_grant", anyScope, adminOrRead + " or (role:reader and " + grantHere + " and " + roleHere + ")"},
		{"identity:list_grants", anyScope, adminOrRead + " or (role:reader and " + grantHere + ")"},
		{"identity:create_grant", anyScope, changeGrant},
		{"identity:revoke_grant", anyScope, changeGrant},
		{"identity:list_system_grants_for_user", noDomain, adminOrRead},
		{"identity:check_system_grant_for_user", noDomain, adminOrRead},
		{"identity:create_system_grant_for_user", noDomain, admin},
		{"identity:revoke_system_grant_for_user", noDomain, admin},
		{"identity:list_system_grants_for_group", noDomain, adminOrRead},
		{"identity:check_system_grant_for_group", noDomain, adminOrRead},
		{"identity:create_system_grant_for_group", noDomain, admin},
		{"identity:revoke_system_grant_for_group", noDomain, admin},
		{"identity:list_role_assignments", anyScope, listInDomain},
		{"identity:list_role_assignments_for_tree", anyScope, listInDomain},

		{"identity:get_service", noDomain, adminOrRead},
		{"identity:list_services", noDomain, adminOrRead},
		{"identity:create_service", noDomain, admin},
		{"identity:update_service", noDomain, admin},
		{"identity:delete_service", noDomain, admin},
		{"identity:get_endpoint", noDomain, adminOrRead},
		{"identity:list_endpoints", noDomain, adminOrRead},
		{"identity:create_endpoint", noDomain, admin},
		{"identity:update_endpoint", noDomain, admin},
		{"identity:delete_endpoint", noDomain, admin},
		{"identity:get_region", anyScope, ""},
		{"identity:list_regions", anyScope, ""},
		{"identity:create_region", noDomain, admin},
		{"identity:update_region", noDomain, admin},
		{"identity:delete_region", noDomain, admin},

		{"identity:create_trust", Project, "user_id:%(target.trust.trustor_user_id)s"},
		{"identity:list_trusts", noDomain, adminOrRead},
		{"identity:list_trusts_for_trustor", noDomain, adminOrRead + " or user_id:%(target.trust.trustor_user_id)s"},
		{"identity:list_trusts_for_trustee", noDomain, adminOrRead + " or user_id:%(target.trust.trustee_user_id)s"},
		{"identity:get_trust", noDomain, readTrust},
		{"identity:list_roles_for_trust", noDomain, readTrust},
		{"identity:get_role_for_trust", noDomain, readTrust},
		{"identity:delete_trust", noDomain, admin + " or user_id:%(target.trust.trustor_user_id)s"},
	}
}
