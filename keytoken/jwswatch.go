package keytoken

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"symbolon/fernet"
)

// PrivateKeyFile is the name that the signing key's file has.
const PrivateKeyFile = "private.pem"

const (
	maxKeyFiles = 1000
	maxKeyFile  = 16 << 10
)

// ErrNoPublicKeys means that a directory holds no public key that can be used.
var ErrNoPublicKeys = errors.New("keytoken: no usable public key")

// JWSFiles are the directories of the JWS provider's keys.
type JWSFiles struct {
	// Private holds private.pem. Nil makes keys that only verify.
	Private fs.FS
	// Public holds the public keys: every file in it is one, whatever its name.
	Public fs.FS
	// Accept lists the algorithms of tokens that are accepted; empty stands
	// for ES256 alone.
	Accept []Algorithm
}

// Load reads the keys. A public key that cannot be used is skipped and is among
// the problems; without any the error is [ErrNoPublicKeys].
func (f JWSFiles) Load() (keys *JWSKeys, problems []error, err error) {
	keys, problems, _, err = f.load()
	return keys, problems, err
}

// load also returns a digest of all that was read.
func (f JWSFiles) load() (keys *JWSKeys, problems []error, digest [32]byte, err error) {
	h := sha256.New()
	read := func(dir fs.FS, name string) ([]byte, error) {
		file, err := dir.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		b, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
		if err == nil && len(b) > maxKeyFile {
			err = fmt.Errorf("%s is longer than a key", name)
		}
		sum := sha256.Sum256(b)
		h.Write(sum[:])
		_, _ = io.WriteString(h, name)
		return b, err
	}
	var sign SigningKey
	if f.Private != nil {
		b, err := read(f.Private, PrivateKeyFile)
		if err != nil {
			return nil, nil, digest, fmt.Errorf("keytoken: signing key: %w", err)
		}
		if sign, err = ParseSigningKey(b); err != nil {
			return nil, nil, digest, err
		}
	}
	entries, err := fs.ReadDir(f.Public, ".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, digest, fmt.Errorf("%w: the directory does not exist", ErrNoPublicKeys)
	}
	if err != nil {
		return nil, nil, digest, fmt.Errorf("keytoken: public keys: %w", err)
	}
	if len(entries) > maxKeyFiles {
		return nil, nil, digest, fmt.Errorf("keytoken: more than %d public keys", maxKeyFiles)
	}
	var verify []VerifyingKey
	for _, e := range entries {
		if st, err := fs.Stat(f.Public, e.Name()); err != nil || !st.Mode().IsRegular() {
			continue
		}
		b, err := read(f.Public, e.Name())
		if err != nil {
			return nil, nil, digest, fmt.Errorf("keytoken: public keys: %w", err)
		}
		k, err := ParseVerifyingKey(e.Name(), b)
		if err == nil {
			// One that is not for an accepted algorithm makes no set.
			_, err = NewJWSKeys(SigningKey{}, f.Accept, k)
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		verify = append(verify, k)
	}
	h.Sum(digest[:0])
	if len(verify) == 0 {
		return nil, problems, digest, errors.Join(append([]error{ErrNoPublicKeys}, problems...)...)
	}
	keys, err = NewJWSKeys(sign, f.Accept, verify...)
	return keys, problems, digest, err
}

// A JWSChange is what a watcher tells.
type JWSChange struct {
	Problems []error
	// Err is why there are no new keys. After ErrNoPublicKeys no token
	// verifies; after any other error the last keys stay in use.
	Err      error
	Revision uint64
}

// A JWSWatcher follows the directories of the JWS provider's keys and always has
// the keys of now. It is safe for concurrent use.
type JWSWatcher struct {
	files  JWSFiles
	notify func(JWSChange)
	state  atomic.Pointer[jwsState]
	mu     sync.Mutex // one look at a time; guards told
	told   string
}

type jwsState struct {
	keys     *JWSKeys
	digest   [32]byte
	revision uint64
}

// WatchJWS loads the keys and returns a watcher of them; it fails when there are
// none. Notify, if not nil, is told of every look that found something new. The
// caller runs [JWSWatcher.Run].
func WatchJWS(f JWSFiles, notify func(JWSChange)) (*JWSWatcher, error) {
	if notify == nil {
		notify = func(JWSChange) {}
	}
	w := &JWSWatcher{files: f, notify: notify}
	w.state.Store(&jwsState{keys: &JWSKeys{}})
	if err := w.Reload(); err != nil {
		return nil, err
	}
	return w, nil
}

// JWSKeys returns the keys of now.
func (w *JWSWatcher) JWSKeys() *JWSKeys { return w.state.Load().keys }

// Revision returns a number that grows with every change of the keys, for caches
// to be keyed by.
func (w *JWSWatcher) Revision() uint64 { return w.state.Load().revision }

// Run looks at the directories every [fernet.DefaultInterval] until ctx is done,
// and returns why it is done.
func (w *JWSWatcher) Run(ctx context.Context) error {
	t := time.NewTicker(fernet.DefaultInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
			_ = w.Reload() // told to notify
		}
	}
}

// Reload looks at the directories now. Its error is also told to notify.
func (w *JWSWatcher) Reload() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys, problems, digest, err := w.files.load()
	old := w.state.Load()
	if errors.Is(err, ErrNoPublicKeys) {
		keys = &JWSKeys{}
	}
	if keys != nil && (old.revision == 0 || digest != old.digest) {
		w.state.Store(&jwsState{keys, digest, old.revision + 1})
		w.told = ""
	}
	if line := fmt.Sprintf("told: %v %v", problems, err); line != w.told {
		w.told = line
		w.notify(JWSChange{problems, err, w.Revision()})
	}
	return err
}
