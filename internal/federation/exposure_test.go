package federation_test

import (
	"strings"
	"testing"

	"symbolon/internal/federation"
)

// exposureCases holds the start-up refusals B1 to B7.
func exposureCases(t *testing.T) {
	t.Helper()
	base := federation.Exposure{
		NodeURL: "http://localhost:8765", Listen: []string{"127.0.0.1:8765"},
		FederationEnabled: true, AuthRequired: true,
	}
	with := func(f func(*federation.Exposure)) federation.Exposure { e := base; f(&e); return e }
	tls := func(e *federation.Exposure) { e.TLSCert, e.TLSKey, e.TLSCABundle = "c.pem", "k.pem", "ca.pem" }
	for _, tt := range []struct {
		name    string
		in      federation.Exposure
		refused string // a part of the error; empty: starts
		warned  string // a part of a warning; empty: none
	}{
		{"B1_federation without TLS is refused and names the settings", base, "STIGMEM_TLS_CERT_PATH", ""},
		{"B2_insecure off loopback is refused", with(func(e *federation.Exposure) {
			e.Insecure, e.NodeURL = true, "http://node.example:8765"
		}), "node.example", ""},
		{"B3_the override lifts it with a warning", with(func(e *federation.Exposure) {
			e.Insecure, e.NodeURL, e.AllowNonLoopback = true, "http://node.example:8765", true
		}), "", "without mutual TLS"},
		{"B4_insecure on loopback warns", with(func(e *federation.Exposure) { e.Insecure = true }), "", "without mutual TLS"},
		{"B5_push alone needs TLS as well", with(func(e *federation.Exposure) {
			e.FederationEnabled, e.PushEnabled = false, true
		}), "federation push needs mutual TLS", ""},
		{"B6_a loopback URL with a public listener is refused", with(func(e *federation.Exposure) {
			e.Insecure, e.Listen = true, []string{"0.0.0.0:8765"}
		}), "listens on 0.0.0.0:8765", ""},
		{"B6_an empty listen host is every interface", with(func(e *federation.Exposure) {
			e.Insecure, e.Listen = true, []string{"127.0.0.1:1", ":8765"}
		}), "every interface", ""},
		{"B6_one public address among several is enough", with(func(e *federation.Exposure) {
			e.Insecure, e.Listen = true, []string{"[::1]:8765", "[2001:db8::1]:8765"}
		}), "2001:db8::1", ""},
		{"B6_the override lifts it with a warning", with(func(e *federation.Exposure) {
			e.Insecure, e.Listen, e.AllowNonLoopback = true, []string{"0.0.0.0:8765"}, true
		}), "", "without mutual TLS"},
		{"B7_no authentication off loopback is refused", with(func(e *federation.Exposure) {
			e.FederationEnabled, e.AuthRequired, e.NodeURL = false, false, "http://node.example"
		}), "authentication may be off on loopback only", ""},
		{"B7_no authentication on a public listener is refused", with(func(e *federation.Exposure) {
			e.FederationEnabled, e.AuthRequired, e.Listen = false, false, []string{"192.0.2.1:80"}
		}), "192.0.2.1", ""},
		{"B7_the override lifts it with a warning", with(func(e *federation.Exposure) {
			e.FederationEnabled, e.AuthRequired, e.NodeURL, e.AllowNonLoopback = false, false, "http://node.example", true
		}), "", "anybody may read"},
		{"B7_no authentication on loopback warns", with(func(e *federation.Exposure) {
			e.FederationEnabled, e.AuthRequired = false, false
		}), "", "every local process"},
		{"a node with neither federation nor an open door starts quietly anywhere", with(func(e *federation.Exposure) {
			e.FederationEnabled, e.NodeURL, e.Listen = false, "https://node.example", []string{":443"}
		}), "", ""},
		{"mutual TLS allows federation anywhere", with(func(e *federation.Exposure) {
			tls(e)
			e.NodeURL, e.Listen = "https://node.example", []string{":443"}
		}), "", ""},
		{"certificate and key without a CA bundle are refused", with(func(e *federation.Exposure) {
			tls(e)
			e.TLSCABundle = ""
		}), "STIGMEM_TLS_CA_BUNDLE", ""},
		{"a certificate without its key is refused", with(func(e *federation.Exposure) {
			tls(e)
			e.TLSKey = ""
		}), "must be set together", ""},
		{"a name that only looks local is not loopback", with(func(e *federation.Exposure) {
			e.Insecure, e.NodeURL = true, "http://localhost.example"
		}), "localhost.example", ""},
		{"a URL without a host is not loopback", with(func(e *federation.Exposure) {
			e.Insecure, e.NodeURL = true, "localhost:8765"
		}), "names no host", ""},
		{"an IPv4-mapped loopback address is loopback", with(func(e *federation.Exposure) {
			e.Insecure, e.NodeURL, e.Listen = true, "http://[::ffff:127.0.0.1]:8765", []string{"unix:/run/s.sock"}
		}), "", "on loopback only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			warnings, err := federation.CheckExposure(tt.in)
			if tt.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tt.refused) {
					t.Fatalf("CheckExposure: error %v, want one about %q", err, tt.refused)
				}
				if strings.Contains(err.Error(), "\n") {
					t.Errorf("CheckExposure: the error has more than one line: %q", err)
				}
				return
			}
			if err != nil {
				t.Fatalf("CheckExposure: %v, want a start", err)
			}
			all := strings.Join(warnings, "\n")
			if !strings.Contains(all, tt.warned) || (tt.warned == "") != (all == "") {
				t.Errorf("CheckExposure: warnings %q, want one about %q", all, tt.warned)
			}
		})
	}
}
