package fernet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600

	lockName  = ".lock"
	tmpSuffix = ".tmp"

	// maxEntries bounds what is read of a directory.
	maxEntries = 10_000
	// maxKeyFile is more than any key file holds, line end included.
	maxKeyFile = 64
)

// disk is a repository's directory. Everything goes through an os.Root, so that
// no name and no link leads out of the directory. Before each act that a crash
// could separate from the next one it calls fault, if there is one: so a test
// stops it anywhere.
type disk struct {
	path  string
	root  *os.Root
	fault func(op, name string) error
}

func openDisk(path string, fault func(op, name string) error) (*disk, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &disk{path: path, root: root, fault: fault}, nil
}

func (d *disk) close() { _ = d.root.Close() }

func (d *disk) step(op, name string) error {
	if d.fault == nil {
		return nil
	}
	return d.fault(op, name)
}

// keyNumber reads a file name as Keystone writes it: digits without a leading
// zero. Other spellings of a number are not names of keys, or "08" and "8" would
// be two files of one number.
func keyNumber(name string) (KeyID, bool) {
	n, err := strconv.ParseInt(name, 10, 64)
	if err != nil || n < 0 || len(name) > 18 || strconv.FormatInt(n, 10) != name {
		return 0, false
	}
	return KeyID(n), true
}

// isLeftover reports whether name is that of a file which a rotation writes on
// its way to a key.
func isLeftover(name string) bool {
	number, ok := strings.CutSuffix(name, tmpSuffix)
	if _, isKey := keyNumber(number); !ok || !isKey {
		return false
	}
	return true
}

// entries returns the names in the directory.
func (d *disk) entries() ([]string, error) {
	if err := d.step("list", "."); err != nil {
		return nil, err
	}
	f, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(maxEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(names) > maxEntries {
		return nil, fmt.Errorf("more than %d entries", maxEntries)
	}
	return names, nil
}

// Why a file with the name of a key is not one.
var (
	errNotRegular = errors.New("not a regular file")
	errLink       = errors.New("a link that leads out of the directory or to another name")
	errEmptyFile  = errors.New("empty")
	errTooLong    = errors.New("longer than a key")
	errNull       = errors.New("the key of zero bytes, which protects nothing")
)

// readKey reads the key in the file of that name.
func (d *disk) readKey(name string) (Key, error) {
	if err := d.step("read", name); err != nil {
		return Key{}, err
	}
	if err := d.checkLink(name); err != nil {
		return Key{}, err
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return Key{}, plain(err)
	}
	defer func() { _ = f.Close() }()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return Key{}, errNotRegular
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	switch {
	case err != nil:
		return Key{}, plain(err)
	case len(b) == 0:
		return Key{}, errEmptyFile
	case len(b) > maxKeyFile:
		return Key{}, errTooLong
	}
	k, err := ParseKey(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return Key{}, err
	}
	if k.IsNull() {
		return Key{}, errNull
	}
	return k, nil
}

// checkLink refuses a symbolic link unless it leads to a file of its own name
// inside the directory, as the mounted secrets of a container platform do. Any
// other would make a key of a file that somebody else chose.
func (d *disk) checkLink(name string) error {
	st, err := d.root.Lstat(name)
	if err != nil {
		return plain(err)
	}
	if st.Mode()&fs.ModeSymlink == 0 {
		if !st.Mode().IsRegular() {
			return errNotRegular
		}
		return nil
	}
	end, err := filepath.EvalSymlinks(filepath.Join(d.path, name))
	if err != nil || filepath.Base(end) != name {
		return errLink
	}
	if _, err := d.root.Stat(name); err != nil { // refuses to leave the root
		return errLink
	}
	return nil
}

// plain drops the operation and path that the caller names anyway.
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// writeKey makes the file name hold k, whole or not at all: it writes a file
// beside it, syncs it, and renames it over the name.
func (d *disk) writeKey(name string, k Key) (err error) {
	tmp := name + tmpSuffix
	if err := d.remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.step("create", tmp); err != nil {
		return err
	}
	f, err := d.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	defer func() {
		if f != nil {
			_ = f.Close()
		}
		if err != nil {
			_ = d.remove(tmp)
		}
	}()
	text := []byte(k.reveal())
	if err := d.step("write", tmp); err != nil {
		_, _ = f.Write(text[:len(text)/2]) // what a crash may leave
		return err
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := d.step("sync", tmp); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	g := f
	f = nil
	if err := g.Close(); err != nil {
		return err
	}
	if err := d.giveToOwner(tmp); err != nil {
		return err
	}
	if err := d.step("rename", name); err != nil {
		return err
	}
	if err := d.root.Rename(tmp, name); err != nil {
		return err
	}
	return d.syncDir()
}

func (d *disk) remove(name string) error {
	if err := d.step("remove", name); err != nil {
		return err
	}
	return d.root.Remove(name)
}

// syncDir makes renames and removals survive a loss of power.
func (d *disk) syncDir() error {
	if err := d.step("syncdir", "."); err != nil {
		return err
	}
	f, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return syncDirectory(f)
}

// lock takes the one lock under which keys are written, across processes. It
// does not wait: two rotations one after the other would leave a primary that
// nobody else has.
func (d *disk) lock() (unlock func(), err error) {
	if err := d.step("lock", lockName); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE|openNonblock, fileMode)
	if err != nil {
		return nil, err
	}
	busy, err := tryLock(f)
	if err == nil && busy {
		err = ErrBusy
	}
	if err == nil {
		err = d.giveToOwner(lockName)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil // closing the file gives up its lock
}
