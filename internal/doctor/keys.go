package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"symbolon/fernet"
	"symbolon/internal/server"
	"symbolon/keytoken"
)

// oldPrimary is the age at which a primary key is worth a word.
const oldPrimary = 90 * 24 * time.Hour

// keys looks at the repositories and the node's key.
func (e *exam) keys() {
	if e.Config.Token.Provider == "jws" {
		e.jws()
	} else {
		e.repository("token", Problem)
	}
	e.repository("receipt", Warning)
	e.repository("credential", Warning)
	if !e.blocked[areaNodeKey] {
		if _, err := os.Stat(server.NodeKeyFile(e.Config)); err == nil {
			e.ok(areaNodeKey, "the node key is there and is the one of the store")
		}
	}
}

// repository looks at one repository of Fernet keys. What makes it unusable is of the
// given severity.
func (e *exam) repository(name string, unusable Severity) {
	dir, err := server.KeyDir(e.Config, name)
	if err != nil {
		e.problem(areaKeys, "", "%v", err)
		return
	}
	rep, err := fernet.NewRepository(dir).List()
	switch {
	case errors.Is(err, fernet.ErrNoRepository):
		e.noRepository(name, dir, unusable)
		return
	case err != nil:
		if !e.blocked[areaKeys] {
			e.add(unusable, areaKeys, "run as its owner, or restore it from a backup", "the %s keys cannot be read: %v", name, err)
		}
		return
	}
	before := len(e.found)
	for _, p := range rep.Problems {
		e.add(unusable, areaKeys, "restore it from a backup, or move it away when it is no key", "the %s key file %s is not used: %v", name, filepath.Join(dir, p.Name), p.Err)
	}
	for _, w := range rep.Warnings {
		e.warn(areaKeys, "chmod 700 "+dir+"; chmod 600 "+filepath.Join(dir, "*"), "%s keys: %s", name, w)
	}
	e.roles(name, dir, rep.Keys, unusable)
	if name == "token" && len(rep.Keys) > 0 {
		e.lifetimes(rep.Keys)
	}
	if len(e.found) == before {
		e.ok(areaKeys, "the %d %s keys can be used", len(rep.Keys), name)
	}
}

func (e *exam) noRepository(name, dir string, unusable Severity) {
	switch {
	case name == "token" && e.Config.KeyRepository != "":
		if !e.blocked[areaKeys] { // said already
			e.problem(areaKeys, "name the right one with --key-repository", "there is no key repository %s", dir)
		}
	case e.look != nil:
		e.add(unusable, areaKeys, "restore it from a backup: the next start makes new keys, and what was made with the old ones is lost",
			"the %s keys are gone: there is no %s", name, dir)
	}
}

// roles looks at which of its keys a repository has.
func (e *exam) roles(name, dir string, keys []fernet.File, unusable Severity) {
	switch {
	case len(keys) == 0:
		if !e.blocked[areaKeys] || name != "token" {
			e.add(unusable, areaKeys, "restore it from a backup, or run `symbolon keys setup --repository "+name+"`", "there is no %s key that can be used in %s", name, dir)
		}
		return
	case keys[len(keys)-1].ID != 0:
		e.warn(areaKeys, "run `symbolon keys rotate --repository "+name+"`, which finishes it",
			"no %s key is staged: a rotation was cut short, or somebody removed key 0", name)
	}
	limit := e.Config.Token.MaxActiveKeys
	if name == "credential" {
		limit = server.CredentialKeys
	}
	if len(keys) > limit {
		e.warn(areaKeys, "check token.max-active-keys; the next rotation removes what is too much",
			"there are %d %s keys and at most %d should be active", len(keys), name, limit)
	}
	if age := e.Now().Sub(keys[0].Written); age > oldPrimary {
		e.warn(areaKeys, "rotate regularly: `symbolon keys rotate --repository "+name+"`", "the primary %s key is %d days old", name, int(age.Hours()/24))
	}
}

// lifetimes compares how long a token lives with how long the key that made it is
// kept, given the pace at which keys were rotated so far.
func (e *exam) lifetimes(keys []fernet.File) {
	t := e.Config.Token
	kept := t.MaxActiveKeys - 2 // rotations for which a former primary still validates
	if kept < 1 {
		e.warn(areaKeys, "set token.max-active-keys to 3 or more",
			"with token.max-active-keys at %d a rotation ends every token that is alive", t.MaxActiveKeys)
		return
	}
	var pace time.Duration                             // the shortest time between two rotations
	for i := 1; i < len(keys) && keys[i].ID > 1; i++ { // 1 is no rotation's: the setup made it
		gap := keys[i-1].Written.Sub(keys[i].Written)
		if gap > 0 && (pace == 0 || gap < pace) {
			pace = gap
		}
	}
	if pace == 0 {
		return
	}
	full := t.Expiration + t.AllowExpiredWindow
	needed := func(life time.Duration) int { return int(math.Ceil(float64(life)/float64(pace))) + 2 }
	have := time.Duration(kept) * pace
	do := fmt.Sprintf("set token.max-active-keys to %d, or rotate every %v at most", cmp.Or(min(needed(full), 1000), 3), (full / time.Duration(kept)).Round(time.Second))
	switch {
	case have < t.Expiration:
		e.problem(areaKeys, do, "keys were rotated %v apart: a token lives %v and its key is gone after %v", round(pace), t.Expiration, round(have))
	case have < full:
		e.warn(areaKeys, do, "keys were rotated %v apart: a service that fetches expired tokens for %v loses them after %v", round(pace), t.AllowExpiredWindow, round(have))
	}
}

func round(d time.Duration) time.Duration {
	if d > time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}

func (e *exam) jws() {
	private, public := server.JWSDirs(e.Config)
	path := filepath.Join(private, keytoken.PrivateKeyFile)
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if e.look != nil {
			e.problem(areaKeys, "restore it from a backup: the next start makes a new one, and the others do not know it", "the signing key %s is gone", path)
		}
		return
	case err != nil:
		e.problem(areaKeys, "run as its owner", "the signing key cannot be looked at: %v", err)
		return
	case st.Mode().Perm()&0o077 != 0:
		e.warn(areaKeys, "chmod 600 "+path, "other users of this machine can read the signing key %s (mode %04o)", path, st.Mode().Perm())
	}
	if e.blocked[areaKeys] {
		return
	}
	_, problems, err := keytoken.JWSFiles{
		Private: os.DirFS(private), Public: os.DirFS(public), Accept: []keytoken.Algorithm{keytoken.Algorithm(e.Config.Token.JWSAlgorithm)},
	}.Load()
	for _, p := range problems {
		e.warn(areaKeys, "replace it, or move it away when it is no key", "a public key in %s is not used: %v", public, p)
	}
	if err == nil && len(problems) == 0 {
		e.ok(areaKeys, "the JWS keys can be used")
	}
}
