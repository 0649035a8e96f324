package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, name, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFlagWinsOverAVariableOverTheFileOverTheDefault(t *testing.T) {
	file := write(t, "s.toml", "listen = \"127.0.0.1:1\"\npublic-url = \"http://file\"\n[token]\nexpiration = \"2h\"\nmethods = [\"password\", \"token\"]\n[federation]\nenabled = true\n")
	l, err := Load(Sources{
		File:    file,
		Environ: []string{"SYMBOLON_LISTEN=127.0.0.1:2", "SYMBOLON_TOKEN_EXPIRATION=3h"},
		Flags:   map[string]string{"listen": "127.0.0.1:3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if l.Listen != "127.0.0.1:3" || l.Token.Expiration != 3*time.Hour || l.PublicURL != "http://file" || !l.Federation.Enabled || l.LogLevel != "info" ||
		!slices.Equal(l.Token.Methods, []string{"password", "token"}) {
		t.Errorf("%+v", l.Config)
	}
}

func TestOtherSystemsVariablesAreHonoured(t *testing.T) {
	l, err := Load(Sources{Environ: []string{
		"OS_BOOTSTRAP_PASSWORD=pw", "OS_BOOTSTRAP_USERNAME=root", "STIGMEM_PORT=9000", "STIGMEM_HOST=127.0.0.9", "STIGMEM_AUTH_REQUIRED=0",
		"STIGMEM_FEDERATION_PULL_INTERVAL_S=3", "STIGMEM_PEER_TOKEN_LEEWAY_S=0", "STIGMEM_EMBED_ENABLED=1", "STIGMEM_NODE_URL=http://n:1",
		"SYMBOLON_NODE_URL=http://mine", "STIGMEM_API_KEY=secret",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if l.Bootstrap.Password != "pw" || l.Bootstrap.Username != "root" || l.Listen != "127.0.0.9:9000" || l.Auth.Required ||
		l.Federation.PullInterval != 3*time.Second || l.Federation.Leeway != 0 || l.MemoryURL() != "http://mine" {
		t.Errorf("%+v", l.Config)
	}
	if !slices.Equal(l.Ignored, []string{"STIGMEM_EMBED_ENABLED"}) {
		t.Errorf("ignored: %q", l.Ignored)
	}
}

func TestASecretIsReadFromAFileAndNeverAFlag(t *testing.T) {
	l, err := Load(Sources{Environ: []string{"SYMBOLON_BOOTSTRAP_PASSWORD_FILE=" + write(t, "pw", "s3cret\n")}})
	if err != nil || l.Bootstrap.Password != "s3cret" {
		t.Errorf("%v, %v", l, err)
	}
}

func TestEveryProblemIsReportedAtOnceWithItsCause(t *testing.T) {
	file := write(t, "s.toml", "lsten = \"x\"\n[token]\nexpiration = 3600\n")
	_, err := Load(Sources{
		File:    file,
		Environ: []string{"SYMBOLON_LOG_LEVEL=loud", "SYMBOLON_TYPO=1", "SYMBOLON_TOKEN_MAX_ACTIVE_KEYS=x", "STIGMEM_FEDERATION_ENABLED=perhaps"},
		Flags:   map[string]string{"listen": "nowhere", "federation-leeway": "1h"},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"lsten is not a setting", "token.expiration is \"3600\"", "log-level is", "SYMBOLON_TYPO is not", "SYMBOLON_TOKEN_MAX_ACTIVE_KEYS",
		"STIGMEM_FEDERATION_ENABLED", "listen is \"nowhere\"", "federation.leeway is 1h"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
}

// Attack case D14: a lifetime meant in another unit does not make year-long tokens.
func TestAttack_D14_expiration_in_another_unit(t *testing.T) {
	for _, v := range []string{"3600000s", "1000h", "3600"} {
		if _, err := Load(Sources{Environ: []string{"SYMBOLON_TOKEN_EXPIRATION=" + v}}); err == nil {
			t.Errorf("token.expiration=%s is accepted", v)
		}
	}
}

func TestTheTableIsSound(t *testing.T) {
	seen := map[string]bool{}
	d := Default()
	for _, s := range Settings() {
		for _, name := range append([]string{s.Key, s.Env()}, s.Also...) {
			if seen[name] {
				t.Errorf("%s names two settings", name)
			}
			seen[name] = true
		}
		if s.Doc == "" {
			t.Errorf("%s has no documentation", s.Key)
		}
		c := Default()
		if err := s.set(&c, s.get(&d)); err != nil {
			t.Errorf("%s does not read its own value %q: %v", s.Key, s.get(&d), err)
		}
	}
	if err := d.Validate(); err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
}

func FuzzFile(f *testing.F) {
	f.Add("listen = \"127.0.0.1:1\"\n[token]\nexpiration = \"1h\"\n")
	f.Add("[[a]]\nb = {c = [1, 2.5, 1979-05-27]}\n")
	f.Fuzz(func(t *testing.T, body string) {
		path := filepath.Join(t.TempDir(), "s.toml")
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err := Load(Sources{File: path}); err == nil && l.Validate() != nil {
			t.Error("a configuration that does not validate was loaded")
		}
	})
}
