package fernet

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// Errors of a repository, to be told apart with errors.Is. A repository that has
// no usable key gives [ErrNoKeys].
var (
	ErrNoRepository = errors.New("the key repository does not exist")
	ErrBusy         = errors.New("another process is writing keys here")
)

// A Repository is a directory of keys laid out as Keystone's: one file a key,
// named by a number. Number 0 is staged, the highest is the primary, those
// between are secondaries. Its methods may be called from any number of
// processes; those that write exclude one another by a lock on the file .lock.
type Repository struct {
	dir   string
	fault func(op, name string) error // tests stop the writing here
}

// NewRepository returns the repository in dir, which need not exist yet.
func NewRepository(dir string) *Repository { return &Repository{dir: dir} }

// Dir returns the directory.
func (p *Repository) Dir() string { return p.dir }

// A Problem is something in a repository that looks like a key and is not used
// as one.
type Problem struct {
	Name string // the file's
	Err  error
}

// String returns the name and what is wrong with it.
func (p Problem) String() string { return fmt.Sprintf("%q: %v", p.Name, p.Err) }

// A File is a key of a repository.
type File struct {
	KeyInfo
	Written time.Time // the file's time of modification
}

// A Report says what was found in a repository.
type Report struct {
	Keys     []File // newest number first
	Problems []Problem
	// Warnings are about the repository as it is, such as modes that let
	// others read keys.
	Warnings []string
}

// String returns what a report has to complain about, or "".
func (r Report) String() string {
	all := slices.Clone(r.Warnings)
	for _, p := range r.Problems {
		all = append(all, p.String())
	}
	return strings.Join(all, "; ")
}

func (p *Repository) open() (*disk, error) {
	d, err := openDisk(p.dir, p.fault)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; `symbolon keys setup` makes one", ErrNoRepository)
	}
	return d, p.wrap(err)
}

func (p *Repository) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("fernet: key repository %s: %w", p.dir, err)
}

// Load reads the keys. A file that is not a usable key is skipped and reported;
// without any usable key the error is [ErrNoKeys], and the report says why.
func (p *Repository) Load() (*Ring, Report, error) {
	keys, rep, err := p.read()
	if err != nil {
		return nil, rep, err
	}
	ring, err := NewRing(keys...)
	return ring, rep, p.wrap(err)
}

// List is Load for those who want to look at keys and not to use them: that
// there are none is no error.
func (p *Repository) List() (Report, error) {
	_, rep, err := p.read()
	if errors.Is(err, ErrNoKeys) {
		err = nil
	}
	return rep, err
}

// read reads every key. A rotation may be going on, so it reads again when the
// names have changed meanwhile.
func (p *Repository) read() ([]NumberedKey, Report, error) {
	d, err := p.open()
	if err != nil {
		return nil, Report{}, err
	}
	defer d.close()
	for try := 0; ; try++ {
		names, err := d.entries()
		if err != nil {
			return nil, Report{}, p.wrap(err)
		}
		keys, rep, err := d.readAll(names)
		if err != nil {
			return nil, Report{}, p.wrap(err)
		}
		again, err := d.entries()
		if err != nil {
			return nil, Report{}, p.wrap(err)
		}
		slices.Sort(names)
		slices.Sort(again)
		if !slices.Equal(names, again) && try < 5 {
			continue
		}
		if len(keys) == 0 {
			return nil, rep, p.wrap(fmt.Errorf("%w%s", ErrNoKeys, because(rep)))
		}
		return keys, rep, nil
	}
}

func because(rep Report) string {
	if s := rep.String(); s != "" {
		return " (" + s + ")"
	}
	return "; `symbolon keys setup` makes the first"
}

// readAll reads those of the names that are keys. It fails when a file could not
// be read, which says nothing about the key in it.
func (d *disk) readAll(names []string) ([]NumberedKey, Report, error) {
	var rep Report
	if st, err := d.root.Stat("."); err == nil && openToWorld(st.Mode()) {
		rep.Warnings = append(rep.Warnings, "every user of this machine can enter the directory; it should have mode 0700")
	}
	var keys []NumberedKey
	written := map[KeyID]time.Time{}
	for _, name := range names {
		id, ok := keyNumber(name)
		if !ok {
			if looksNumeric(name) {
				rep.Problems = append(rep.Problems, Problem{name, errors.New("not a key's name: want digits without a leading zero")})
			}
			continue
		}
		k, err := d.readKey(name)
		if err != nil && !saysNoKey(err) {
			return nil, Report{}, fmt.Errorf("reading key %d: %w", id, err)
		}
		if err != nil {
			rep.Problems = append(rep.Problems, Problem{name, err})
			continue
		}
		if st, err := d.root.Stat(name); err == nil {
			written[id] = st.ModTime()
			if openToWorld(st.Mode()) {
				rep.Warnings = append(rep.Warnings, fmt.Sprintf("every user of this machine can read key %d; it should have mode 0600", id))
			}
		}
		keys = append(keys, NumberedKey{id, k})
	}
	slices.SortFunc(keys, func(a, b NumberedKey) int { return cmp.Compare(b.ID, a.ID) })
	slices.SortFunc(rep.Problems, func(a, b Problem) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(rep.Warnings)
	for i, k := range keys {
		rep.Keys = append(rep.Keys, File{KeyInfo{k.ID, roleAt(i, k.ID), k.Key.Hash()}, written[k.ID]})
	}
	return keys, rep, nil
}

// saysNoKey reports whether an error means that the file is no key for us, now
// and until somebody changes it, and not that the reading went wrong.
func saysNoKey(err error) bool {
	return slices.ContainsFunc([]error{
		errNotRegular, errLink, errEmptyFile, errTooLong, errNull, errKeyText, fs.ErrNotExist, fs.ErrPermission,
	}, func(e error) bool { return errors.Is(err, e) })
}

// looksNumeric reports whether the reference could take the name for a number
// although it is none of ours: such a file deserves a word.
func looksNumeric(name string) bool {
	return strings.Trim(name, "0123456789_+- \t") == "" && strings.ContainsAny(name, "0123456789")
}

// A Rotation says what a rotation did.
type Rotation struct {
	Primary KeyID
	Removed []KeyID
	// Resumed means that an earlier rotation had been cut short after the
	// staged key became primary, and that this one finished it: a fresh key was
	// staged and none was promoted.
	Resumed bool
}

// Setup makes the directory and its first keys, 0 and 1, and does nothing when
// key 0 exists. A repository that lost only its key 0 gets a new one.
func (p *Repository) Setup() error {
	if err := p.step("mkdir"); err != nil {
		return p.wrap(err)
	}
	if err := os.MkdirAll(p.dir, dirMode); err != nil {
		return p.wrap(err)
	}
	d, err := p.open()
	if err != nil {
		return err
	}
	defer d.close()
	unlock, err := d.lock()
	if err != nil {
		return p.wrap(err)
	}
	defer unlock()
	s, err := d.survey()
	if err != nil {
		return p.wrap(err)
	}
	if s.exists(0) {
		if len(s.keys) == 0 {
			return p.wrap(fmt.Errorf("setup: key 0 exists, but %w%s", ErrNoKeys, because(s.report)))
		}
		return nil
	}
	if err := d.writeKey("0", NewKey()); err != nil {
		return p.wrap(fmt.Errorf("setup: %w", err))
	}
	if len(s.numbers) > 0 {
		return nil
	}
	if s, err = d.survey(); err == nil {
		_, err = d.rotate(s, 2)
	}
	if err != nil {
		return p.wrap(fmt.Errorf("setup: %w", err))
	}
	return nil
}

func (p *Repository) step(op string) error {
	if p.fault == nil {
		return nil
	}
	return p.fault(op, p.dir)
}

// Rotate makes the staged key the primary, stages a fresh one and removes the
// oldest keys until at most maxActive are left, staged and primary counted. It
// may be cut short anywhere: every key that was usable before is usable then,
// and the next rotation finishes what this one began. While another process
// writes keys here it fails with [ErrBusy] and does nothing.
func (p *Repository) Rotate(maxActive int) (Rotation, error) {
	if maxActive < 1 {
		return Rotation{}, p.wrap(fmt.Errorf("rotate: at most %d active keys, want 1 or more", maxActive))
	}
	d, err := p.open()
	if err != nil {
		return Rotation{}, err
	}
	defer d.close()
	unlock, err := d.lock()
	if err != nil {
		return Rotation{}, p.wrap(fmt.Errorf("rotate: %w", err))
	}
	defer unlock()
	s, err := d.survey()
	if err != nil {
		return Rotation{}, p.wrap(err)
	}
	if len(s.keys) == 0 {
		return Rotation{}, p.wrap(fmt.Errorf("rotate: %w%s", ErrNoKeys, because(s.report)))
	}
	done, err := d.rotate(s, maxActive)
	if err != nil {
		return done, p.wrap(fmt.Errorf("rotate: %w", err))
	}
	return done, nil
}

// A survey is what a rotation starts from.
type survey struct {
	keys   []NumberedKey // usable, newest first
	report Report
	// numbers are taken, ascending, whatever the files of those names hold.
	numbers []KeyID
	// files are the numbers of files that count as keys, ascending.
	files []KeyID
}

func (s *survey) exists(id KeyID) bool { return slices.Contains(s.numbers, id) }

// usable returns the key of that number, if it can be used.
func (s *survey) usable(id KeyID) (Key, bool) {
	for _, k := range s.keys {
		if k.ID == id {
			return k.Key, true
		}
	}
	return Key{}, false
}

// survey reads the directory and sweeps away what an interrupted rotation left.
func (d *disk) survey() (*survey, error) {
	names, err := d.entries()
	if err != nil {
		return nil, err
	}
	s := &survey{}
	for _, name := range names {
		if st, err := d.root.Lstat(name); isLeftover(name) && err == nil && !st.IsDir() {
			if err := d.remove(name); err != nil {
				return nil, err
			}
		}
		id, ok := keyNumber(name)
		if !ok {
			continue
		}
		s.numbers = append(s.numbers, id)
		if st, err := d.root.Lstat(name); err == nil && !st.IsDir() && st.Size() > 0 {
			s.files = append(s.files, id)
		}
	}
	slices.Sort(s.numbers)
	slices.Sort(s.files)
	if s.keys, s.report, err = d.readAll(names); err != nil {
		return nil, err
	}
	for _, pr := range s.report.Problems {
		// A staged key that cannot be seen may be a good one.
		if errors.Is(pr.Err, fs.ErrPermission) {
			return nil, fmt.Errorf("key %s: %w", pr.Name, pr.Err)
		}
	}
	return s, nil
}

// rotate writes keys in such an order that key 0 is never missing, a key gets
// its number only when it is whole on the disk, and nothing is removed before
// what replaces it is there.
func (d *disk) rotate(s *survey, maxActive int) (Rotation, error) {
	var done Rotation
	staged, ok := s.usable(0)
	primary := s.keys[0]
	switch {
	case !ok, primary.ID != 0 && primary.Key.Equal(staged):
		// The reference promotes by renaming 0, so a crash leaves no 0; we
		// promote by copying it, so a crash leaves it twice. Either way the
		// promotion has happened. Another one now would put forward a key
		// that no other node has seen staged.
		done.Primary, done.Resumed = primary.ID, true
	default:
		done.Primary = s.numbers[len(s.numbers)-1] + 1
		if _, ok := keyNumber(done.Primary.String()); !ok {
			return done, fmt.Errorf("no number is left above %d", done.Primary-1)
		}
		if err := d.writeKey(done.Primary.String(), staged); err != nil {
			return done, fmt.Errorf("promoting the staged key: %w", err)
		}
		s.files = append(s.files, done.Primary)
	}
	if err := d.writeKey("0", NewKey()); err != nil {
		return done, fmt.Errorf("staging a fresh key: %w", err)
	}
	if !slices.Contains(s.files, 0) {
		s.files = slices.Insert(s.files, 0, 0)
	}
	for len(s.files) > maxActive && len(s.files) > 1 {
		oldest := s.files[1]
		if err := d.remove(oldest.String()); err != nil {
			return done, fmt.Errorf("key %d is primary now and a fresh one staged, but removing key %d failed: %w", done.Primary, oldest, err)
		}
		done.Removed = append(done.Removed, oldest)
		s.files = slices.Delete(s.files, 1, 2)
	}
	if slices.Contains(done.Removed, done.Primary) {
		done.Primary = 0 // with one active key, the fresh one is all there is
	}
	if len(done.Removed) > 0 {
		if err := d.syncDir(); err != nil {
			return done, err
		}
	}
	return done, nil
}
