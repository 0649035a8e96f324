package stigmem

import (
	"slices"

	"symbolon/internal/principal"
)

// Node is what the node says of itself in its discovery document.
type Node struct {
	ID  string
	URL string
	// AuthOff says that callers without a key are let in.
	AuthOff bool
	// SourceAttestation is "off", "warn" or "enforce"; empty is "off".
	SourceAttestation string
	CORSDevLocalhost  bool
	CORSConfigured    bool
	// Federation is nil when the node does not federate.
	Federation *FederationInfo
}

// FederationInfo is what a federating node publishes.
type FederationInfo struct {
	PubKey  string // base64url without padding
	Version string
	Push    bool
	// EntityURI is published when it is not empty.
	EntityURI string
}

type wellKnown struct {
	Version           string         `json:"version"`
	NodeID            string         `json:"node_id"`
	NodeURL           string         `json:"node_url"`
	Auth              string         `json:"auth"`
	Federation        string         `json:"federation"`
	SourceAttestation string         `json:"source_attestation"`
	Namespaces        []string       `json:"namespaces"`
	Spec              string         `json:"spec"`
	CORS              wellKnownCORS  `json:"cors"`
	PubKey            string         `json:"federation_pubkey,omitempty"`
	EntityURI         string         `json:"entity_uri,omitempty"`
	FederationVersion string         `json:"federation_version,omitempty"`
	Endpoints         *wellKnownURLs `json:"federation_endpoints,omitempty"`
}

type wellKnownCORS struct {
	DevLocalhost bool `json:"dev_localhost"`
	Configured   bool `json:"configured"`
}

type wellKnownURLs struct {
	Peers string  `json:"peers"`
	Facts string  `json:"facts"`
	Push  *string `json:"push"`
}

// wellKnown answers GET /.well-known/stigmem.
func (a *API) wellKnown(*Call) (Reply, error) {
	n := a.Node
	doc := wellKnown{
		Version: "1.0", NodeID: n.ID, NodeURL: n.URL, Auth: "required", Federation: "disabled", SourceAttestation: n.SourceAttestation,
		Namespaces: []string{"stigmem:", "rel:", "memory:", "intent:", "roadmap:", "preference:", "garden:"},
		Spec:       "https://github.com/eidetic-labs/stigmem/blob/main/spec/stigmem-spec-v1.0.md",
		CORS:       wellKnownCORS{n.CORSDevLocalhost, n.CORSConfigured},
	}
	if n.AuthOff {
		doc.Auth = "none"
	}
	if doc.SourceAttestation == "" {
		doc.SourceAttestation = "off"
	}
	if f := n.Federation; f != nil {
		doc.Federation, doc.PubKey, doc.EntityURI, doc.FederationVersion = "enabled", f.PubKey, f.EntityURI, f.Version
		doc.Endpoints = &wellKnownURLs{Peers: "/v1/federation/peers", Facts: "/v1/federation/facts"}
		if f.Push {
			push := "/v1/federation/facts/push"
			doc.Endpoints.Push = &push
		}
	}
	return JSON(0, doc)
}

func healthz(*Call) (Reply, error) { return Reply{Body: []byte(`{"status":"ok"}`)}, nil }

// doctor answers GET /v1/doctor. Facts in gardens are kept from outsiders, always.
func doctor(*Call) (Reply, error) {
	return Reply{Body: []byte(`{"status":"ok","memory_garden_acl_filtering":"enabled-full"}`)}, nil
}

// me answers GET /v1/me.
func me(c *Call) (Reply, error) {
	p := c.Caller
	permissions := slices.Clone(p.Permissions)
	slices.Sort(permissions)
	b := appendText([]byte(`{"entity_uri":`), p.Entity)
	b = appendTexts[principal.Permission](append(b, `,"permissions":`...), permissions)
	b = appendOptional(append(b, `,"oidc_sub":`...), p.OIDCSubject)
	b = append(appendText(append(b, `,"tenant_id":`...), p.Tenant), '}')
	return Reply{Body: b}, nil
}

type connector struct {
	Editor       string `json:"editor"`
	Label        string `json:"label"`
	Tier         string `json:"validation_tier"`
	DocsLink     string `json:"docs_link"`
	ConfigPath   string `json:"config_path"`
	ConfigFormat string `json:"config_format"`
}

// editors are the connectors of the Model Context Protocol that the protocol's
// project knows, in its order.
var editors = []connector{
	{"codex-cli", "Codex CLI", "validated", "", "~/.codex/config.toml", "toml"},
	{"claude-code", "Claude Code", "validated", "", "~/.claude/mcp_servers.json", "json"},
	{"gemini-cli", "Gemini CLI", "caveated", "", "~/.gemini/settings.json", "json"},
	{"continue-dev", "Continue.dev", "experimental", "", "~/.continue/config.json", "json"},
	{"cursor", "Cursor", "experimental", "", "~/.cursor/mcp.json", "json"},
	{"zed", "Zed", "experimental", "", "~/.config/zed/settings.json", "jsonc"},
}

// connectors answers GET /v1/mcp/connectors.
func connectors(*Call) (Reply, error) {
	list := slices.Clone(editors)
	for i := range list {
		list[i].DocsLink = "https://docs.stigmem.dev/en/latest/docs/integrations/mcp/" + list[i].Editor
	}
	return JSON(0, struct {
		Version    string      `json:"version"`
		Connectors []connector `json:"connectors"`
	}{"1", list})
}
