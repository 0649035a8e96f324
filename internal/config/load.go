package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Sources is where settings come from besides the defaults.
type Sources struct {
	// Flags holds the flags that were given, by name.
	Flags map[string]string
	// Environ is the environment, as os.Environ returns it.
	Environ []string
	// File is the path of a configuration file, or empty.
	File string
}

// Environ returns the environment of this process.
func Environ() []string { return os.Environ() }

// Loaded is a configuration with what is worth telling about where it came from.
type Loaded struct {
	Config
	// File is the configuration file that was read, or empty.
	File string
	// Ignored lists variables of a Stigmem node that mean nothing here, sorted.
	Ignored []string
}

// Load layers the sources over the defaults and validates the whole. The error
// names every problem with the flag, the variable or the key that causes it.
func Load(src Sources) (*Loaded, error) {
	l := &Loaded{Config: Default()}
	env := map[string]string{}
	for _, kv := range src.Environ {
		if k, v, ok := strings.Cut(kv, "="); ok {
			env[k] = v
		}
	}
	var ps Problems
	table := Settings()
	if src.File == "" {
		src.File = env["SYMBOLON_CONFIG"]
	}
	if src.File != "" {
		l.File = src.File
		ps = append(ps, l.file(src.File, table)...)
	}
	if h, p := env["STIGMEM_HOST"], env["STIGMEM_PORT"]; h != "" || p != "" {
		l.Listen = listenFromStigmem(h, p, l.Listen)
	}
	for _, s := range table {
		ps = append(ps, l.env(s, env)...)
	}
	known := map[string]Setting{}
	for _, s := range table {
		known[s.Flag()] = s
	}
	for name, v := range src.Flags {
		s, ok := known[name]
		if !ok {
			ps = append(ps, Problem{"--" + name, "is not a setting"})
			continue
		}
		if err := s.set(&l.Config, v); err != nil {
			ps = append(ps, Problem{"--" + name, err.Error()})
		}
	}
	l.Ignored = ignored(env, table)
	ps = append(ps, unknownOwn(env, table)...)
	if err := l.Validate(); err != nil {
		var more Problems
		if errors.As(err, &more) {
			ps = append(ps, more...)
		}
	}
	if len(ps) > 0 {
		sort.SliceStable(ps, func(i, j int) bool { return ps[i].Key < ps[j].Key })
		return nil, ps
	}
	return l, nil
}

// maxFile bounds a configuration file and a file that holds a secret.
const maxFile = 1 << 20

func (l *Loaded) file(path string, table []Setting) Problems {
	b, err := readSmall(path)
	if err != nil {
		return Problems{{"config", "cannot be read: " + err.Error()}}
	}
	var tree map[string]any
	if err := toml.NewDecoder(bytes.NewReader(b)).Decode(&tree); err != nil {
		var de *toml.DecodeError
		if errors.As(err, &de) {
			row, col := de.Position()
			return Problems{{"config", fmt.Sprintf("%s:%d:%d: %v", path, row, col, de)}}
		}
		return Problems{{"config", path + ": " + err.Error()}}
	}
	flat := map[string]string{}
	ps := flatten(tree, "", flat)
	for _, s := range table {
		v, ok := flat[s.Key]
		if !ok {
			continue
		}
		delete(flat, s.Key)
		if err := s.set(&l.Config, v); err != nil {
			ps = append(ps, Problem{s.Key, err.Error() + " (in " + path + ")"})
		}
	}
	for k := range flat {
		ps = append(ps, Problem{k, "is not a setting (in " + path + ")"})
	}
	return ps
}

func flatten(tree map[string]any, prefix string, to map[string]string) (ps Problems) {
	for k, v := range tree {
		key := prefix + k
		switch v := v.(type) {
		case map[string]any:
			ps = append(ps, flatten(v, key+".", to)...)
		case string:
			to[key] = v
		case bool:
			to[key] = strconv.FormatBool(v)
		case int64:
			to[key] = strconv.FormatInt(v, 10)
		case []any:
			var parts []string
			for _, x := range v {
				parts = append(parts, fmt.Sprint(x))
			}
			to[key] = strings.Join(parts, ",")
		default:
			ps = append(ps, Problem{key, fmt.Sprintf("is a %T, want text, a number, a switch or a list", v)})
		}
	}
	return ps
}

func (l *Loaded) env(s Setting, env map[string]string) Problems {
	for _, name := range append([]string{s.Env()}, s.Also...) {
		if v, ok := env[name]; ok && v != "" {
			if err := s.set(&l.Config, v); err != nil {
				if s.Secret {
					err = errors.New("is not of the right form")
				}
				return Problems{{name, err.Error()}}
			}
			return nil
		}
		path := env[name+"_FILE"]
		if !s.Secret || path == "" {
			continue
		}
		b, err := readSmall(path)
		if err != nil {
			return Problems{{name + "_FILE", "cannot be read: " + err.Error()}}
		}
		if err := s.set(&l.Config, strings.TrimRight(string(b), "\r\n")); err != nil {
			return Problems{{name + "_FILE", "does not hold a value of the right form"}}
		}
		return nil
	}
	return nil
}

func readSmall(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxFile {
		return nil, fmt.Errorf("%s is over %d bytes", path, maxFile)
	}
	return os.ReadFile(path)
}

// elsewhere are variables that are read, though not through the table.
var elsewhere = []string{
	"STIGMEM_HOST", "STIGMEM_PORT", "STIGMEM_URL", "STIGMEM_API_KEY", "STIGMEM_BOOTSTRAP_KEY",
	"SYMBOLON_CONFIG", "SYMBOLON_SOAK", "SYMBOLON_CI", "SYMBOLON_REQUIRE_POSTGRES",
}

func ignored(env map[string]string, table []Setting) (names []string) {
	for k := range env {
		if strings.HasPrefix(k, "STIGMEM_") && !slices.Contains(elsewhere, k) && !inTable(k, table) {
			names = append(names, k)
		}
	}
	sort.Strings(names)
	return names
}

func unknownOwn(env map[string]string, table []Setting) (ps Problems) {
	for k := range env {
		if strings.HasPrefix(k, "SYMBOLON_") && !slices.Contains(elsewhere, k) && !inTable(k, table) {
			ps = append(ps, Problem{k, "is not a setting"})
		}
	}
	return ps
}

func inTable(name string, table []Setting) bool {
	for _, s := range table {
		bare := name
		if s.Secret {
			bare = strings.TrimSuffix(name, "_FILE")
		}
		if bare == s.Env() || slices.Contains(s.Also, bare) {
			return true
		}
	}
	return false
}
