package fernet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"symbolon/token"
)

// newRepository returns a repository of keys 0 and 1 in a temporary directory.
func newRepository(t testing.TB) *Repository {
	t.Helper()
	p := NewRepository(filepath.Join(t.TempDir(), "fernet-keys"))
	if err := p.Setup(); err != nil {
		t.Fatal(err)
	}
	return p
}

func rotate(t testing.TB, p *Repository, maxActive int) Rotation {
	t.Helper()
	done, err := p.Rotate(maxActive)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func load(t testing.TB, p *Repository) *Ring {
	t.Helper()
	r, _, err := p.Load()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// files returns the names in the directory but for the lock.
func files(t testing.TB, p *Repository) string {
	t.Helper()
	es, err := os.ReadDir(p.Dir())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range es {
		if e.Name() != lockName {
			names = append(names, e.Name())
		}
	}
	return strings.Join(names, " ")
}

func put(t testing.TB, p *Repository, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.Dir(), name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, p *Repository, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.Dir(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func opens(t testing.TB, r *Ring, text string, want bool) {
	t.Helper()
	if _, rej := r.Open(text); (rej == nil) != want {
		t.Errorf("Open gives %v, want opened %v", rej, want)
	}
}

func primaryOf(r *Ring) KeyID { return r.Keys()[0].ID }

// The layout is the reference's: names, roles, modes, bytes.
func TestLayout(t *testing.T) {
	p := newRepository(t)
	if got := files(t, p); got != "0 1" {
		t.Fatalf("after setup: %q, want 0 1", got)
	}
	for i, want := range []string{"0 1 2", "0 2 3", "0 3 4"} {
		staged := get(t, p, "0")
		done := rotate(t, p, 3)
		if got := files(t, p); got != want {
			t.Errorf("after rotation %d: %q, want %q", i+1, got, want)
		}
		if got := get(t, p, done.Primary.String()); got != staged || done.Resumed {
			t.Errorf("rotation %d: the primary %d is not the key that was staged (%+v)", i+1, done.Primary, done)
		}
		if get(t, p, "0") == staged {
			t.Errorf("rotation %d left the staged key where it was", i+1)
		}
	}
	var roles []string
	rep, err := p.List()
	for _, k := range rep.Keys {
		roles = append(roles, fmt.Sprint(k.ID, " ", k.Role))
		if len(k.Hash) != 40 || k.Written.IsZero() {
			t.Errorf("key %d: hash %q, written %v", k.ID, k.Hash, k.Written)
		}
	}
	if got := strings.Join(roles, ", "); err != nil || got != "4 primary, 3 secondary, 0 staged" {
		t.Errorf("List: %s, %v", got, err)
	}
	if rep.String() != "" {
		t.Errorf("List complains: %s", rep)
	}
	if runtime.GOOS != "windows" {
		for name, want := range map[string]fs.FileMode{".": 0o700, "0": 0o600, "3": 0o600, "4": 0o600} {
			st, err := os.Stat(filepath.Join(p.Dir(), name))
			if err != nil || st.Mode().Perm() != want {
				t.Errorf("mode of %s: %v, %v, want %v", name, st.Mode(), err, want)
			}
		}
	}
	for _, name := range []string{"0", "3", "4"} {
		if s := get(t, p, name); len(s) != 44 || strings.ContainsAny(s, "\r\n") {
			t.Errorf("key %s holds %d bytes, want 44 and no line end", name, len(s))
		}
	}
	before := files(t, p) + get(t, p, "0")
	if err := p.Setup(); err != nil || files(t, p)+get(t, p, "0") != before {
		t.Errorf("a second setup changed something (%v)", err)
	}
}

func TestKeyAlone(t *testing.T) {
	p := newRepository(t)
	if err := os.Remove(filepath.Join(p.Dir(), "1")); err != nil {
		t.Fatal(err)
	}
	if k := load(t, p).Keys(); len(k) != 1 || k[0].ID != 0 || k[0].Role != Primary {
		t.Errorf("key 0 alone: %+v, want it primary", k)
	}
	rotate(t, p, 3)
	if got := files(t, p); got != "0 1" {
		t.Errorf("after rotation: %q, want 0 1", got)
	}
	if done := rotate(t, p, 1); files(t, p) != "0" || done.Primary != 0 {
		t.Errorf("rotation to one key: %q, %+v, want 0 alone", files(t, p), done)
	}
	if _, err := p.Rotate(0); err == nil {
		t.Error("a rotation to no key went through")
	}
}

// E: keys and rotation. Cases that need a token's content are in package
// keytoken.
func TestRotationAttacks(t *testing.T) {
	t.Run("E1_staged_key", func(t *testing.T) {
		p := newRepository(t)
		staged, err := ParseKey(get(t, p, "0"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewRing(NumberedKey{0, staged})
		if err != nil {
			t.Fatal(err)
		}
		opens(t, load(t, p), seal(t, r, "made with the staged key"), true)
	})
	t.Run("E2_one_rotation_ahead", func(t *testing.T) {
		p := newRepository(t)
		unsynced := load(t, p)
		rotate(t, p, 3)
		opens(t, unsynced, seal(t, load(t, p), "x"), true)
	})
	t.Run("E3_two_rotations_ahead", func(t *testing.T) {
		p := newRepository(t)
		unsynced := load(t, p)
		rotate(t, p, 3)
		rotate(t, p, 3)
		_, rej := unsynced.Open(seal(t, load(t, p), "x"))
		if rej == nil || rej.Reason != token.BadMAC {
			t.Errorf("a key that this node never saw: %v, want bad_mac", rej)
		}
	})
	t.Run("E6_crash", crashEverywhere)
	t.Run("E6_crash_of_the_reference", func(t *testing.T) {
		// The reference renames 0 before it has another 0.
		p := newRepository(t)
		if err := os.Rename(filepath.Join(p.Dir(), "0"), filepath.Join(p.Dir(), "2")); err != nil {
			t.Fatal(err)
		}
		put(t, p, "0.tmp", NewKey().reveal()[:20])
		r := load(t, p)
		if primaryOf(r) != 2 {
			t.Fatalf("without a key 0 the primary is %d, want 2", primaryOf(r))
		}
		text := seal(t, r, "x")
		if done := rotate(t, p, 3); !done.Resumed || done.Primary != 2 || files(t, p) != "0 1 2" {
			t.Errorf("the rotation that follows: %+v, %q, want it to end the other", done, files(t, p))
		}
		opens(t, load(t, p), text, true)
		if done := rotate(t, p, 3); done.Resumed || done.Primary != 3 || files(t, p) != "0 2 3" {
			t.Errorf("the rotation after that: %+v, %q", done, files(t, p))
		}
		if err := os.Remove(filepath.Join(p.Dir(), "0")); err != nil {
			t.Fatal(err)
		}
		if err := p.Setup(); err != nil || files(t, p) != "0 2 3" {
			t.Errorf("setup without a key 0: %v, %q", err, files(t, p))
		}
	})
	t.Run("E7_hostile_names", hostileNames)
	t.Run("E8_corrupt_key", func(t *testing.T) {
		good := NewKey().reveal()
		for name, content := range map[string]string{
			"43 characters":            good[:43],
			"no padding":               good[:43] + "\n",
			"45 characters":            good + "=",
			"a line end of CR LF":      good + "\r\n",
			"two line ends":            good + "\n\n",
			"31 bytes":                 strings.Repeat("A", 40) + "AAA=",
			"33 bytes":                 strings.Repeat("A", 43) + "A",
			"unused bits":              strings.Repeat("B", 42) + "C=",
			"the standard alphabet":    "+/" + good[2:],
			"a line end inside":        good[:20] + "\n" + good[20:43],
			"spaces":                   " " + good,
			"the key of zeros":         strings.Repeat("A", 43) + "=",
			"more than a key can have": strings.Repeat(good, 100),
			"bytes that are no text":   "\x00\xff",
		} {
			p := newRepository(t)
			text := seal(t, load(t, p), "x")
			put(t, p, "2", content)
			r, rep, err := p.Load()
			if err != nil || primaryOf(r) != 1 {
				t.Errorf("%s: %v, primary %v, want the rest in use", name, err, r)
				continue
			}
			opens(t, r, text, true)
			if len(rep.Problems) != 1 || rep.Problems[0].Name != "2" || rep.Problems[0].Err == nil {
				t.Errorf("%s: problems %v, want one of file 2", name, rep.Problems)
			}
			if s := rep.String(); len(content) > 40 && strings.Contains(s, content[10:20]) {
				t.Errorf("%s: the report shows the key: %s", name, s)
			}
			// The number stays taken: nothing is written over it.
			if done := rotate(t, p, 5); done.Primary != 3 || get(t, p, "2") != content {
				t.Errorf("%s: rotation %+v", name, done)
			}
		}
	})
	t.Run("E8_corrupt_staged_key", func(t *testing.T) {
		p := newRepository(t)
		put(t, p, "0", "not a key")
		text := seal(t, load(t, p), "x")
		if done := rotate(t, p, 3); !done.Resumed || done.Primary != 1 {
			t.Errorf("rotation %+v, want a fresh key staged and none promoted", done)
		}
		opens(t, load(t, p), text, true)
		if k := load(t, p).Keys(); len(k) != 2 {
			t.Errorf("keys %+v", k)
		}
	})
	t.Run("E9_trailing_newline", func(t *testing.T) {
		p := newRepository(t)
		text := seal(t, load(t, p), "x")
		put(t, p, "1", get(t, p, "1")+"\n")
		r, rep, err := p.Load()
		if err != nil || len(rep.Problems) > 0 {
			t.Fatal(rep, err)
		}
		opens(t, r, text, true)
	})
	t.Run("E10_world_readable", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			return // modes say nothing there
		}
		p := newRepository(t)
		for path, mode := range map[string]fs.FileMode{p.Dir(): 0o755, filepath.Join(p.Dir(), "1"): 0o644} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		_, rep, err := p.Load()
		if err != nil || len(rep.Warnings) != 2 {
			t.Errorf("Load: %v, warnings %q, want one for the directory and one for key 1", err, rep.Warnings)
		}
	})
	t.Run("E11_missing_or_empty", func(t *testing.T) {
		p := NewRepository(filepath.Join(t.TempDir(), "none"))
		_, _, err := p.Load()
		if !errors.Is(err, ErrNoRepository) || !strings.Contains(err.Error(), p.Dir()) {
			t.Errorf("Load without a directory: %v", err)
		}
		if _, err := Watch(p, WatchOptions{}); !errors.Is(err, ErrNoRepository) {
			t.Errorf("Watch without a directory: %v", err)
		}
		if _, err := p.Rotate(3); !errors.Is(err, ErrNoRepository) {
			t.Errorf("Rotate without a directory: %v", err)
		}
		if err := os.Mkdir(p.Dir(), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Load(); !errors.Is(err, ErrNoKeys) || !strings.Contains(err.Error(), p.Dir()) {
			t.Errorf("Load of an empty directory: %v", err)
		}
		if _, err := Watch(p, WatchOptions{}); !errors.Is(err, ErrNoKeys) {
			t.Errorf("Watch of an empty directory: %v", err)
		}
		if _, err := p.Rotate(3); !errors.Is(err, ErrNoKeys) {
			t.Errorf("Rotate in an empty directory: %v", err)
		}
		if rep, err := p.List(); err != nil || len(rep.Keys) != 0 {
			t.Errorf("List of an empty directory: %v, %v", rep, err)
		}
		put(t, p, "0", "corrupt")
		if _, _, err := p.Load(); !errors.Is(err, ErrNoKeys) || !strings.Contains(err.Error(), `"0"`) {
			t.Errorf("Load of one corrupt key: %v, want it named", err)
		}
	})
	t.Run("E13_two_rotations", twoRotations)
	t.Run("E14_fewer_keys", func(t *testing.T) {
		p := newRepository(t)
		for range 6 {
			rotate(t, p, 6)
		}
		if got := files(t, p); got != "0 3 4 5 6 7" {
			t.Fatalf("before: %q", got)
		}
		done := rotate(t, p, 3)
		if got := files(t, p); got != "0 7 8" || !slices.Equal(done.Removed, []KeyID{3, 4, 5, 6}) {
			t.Errorf("after: %q, %+v", got, done)
		}
	})
	t.Run("E16_other_repository", func(t *testing.T) {
		tokens, receipts := newRepository(t), newRepository(t)
		text := seal(t, load(t, receipts), "x")
		if _, rej := load(t, tokens).Open(text); rej == nil || rej.Reason != token.BadMAC {
			t.Errorf("a token of another repository: %v", rej)
		}
	})
}

func hostileNames(t *testing.T) {
	p := newRepository(t)
	text := seal(t, load(t, p), "x")
	k := NewKey().reveal()
	for _, name := range []string{
		"0.tmp", "3.tmp", ".5.swp", "5~", "08", "-1", " 3", "3 ", "1_0", "+5", "0x9", "1e3", "٥", "00", "9223372036854775807",
		"99999999999999999999", "#6#", "key", ".9",
	} {
		put(t, p, name, k)
	}
	put(t, p, "6", "") // an empty file
	for _, dir := range []string{"7", "9.tmp"} {
		if err := os.Mkdir(filepath.Join(p.Dir(), dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(t.TempDir(), "10")
	if err := os.WriteFile(outside, []byte(k), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"10": outside,                  // out of the directory, same name
		"11": "1",                      // another key of ours under a higher number
		"12": "0.tmp",                  // a file of another name
		"13": "13",                     // itself
		"14": "no such file",           //
		"15": "../fernet-keys/1",       // out and in again
		"16": "7",                      // a directory
		"17": "/dev/zero",              //
		"18": filepath.Join("7", "18"), // in the directory, but a fifo (below)
	} {
		if err := os.Symlink(target, filepath.Join(p.Dir(), name)); err != nil {
			t.Fatal(err)
		}
	}
	fifo(t, filepath.Join(p.Dir(), "7", "18"))
	fifo(t, filepath.Join(p.Dir(), "19"))

	r, rep, err := p.Load()
	if err != nil {
		t.Fatal(err)
	}
	var ids []KeyID
	for _, key := range r.Keys() {
		ids = append(ids, key.ID)
	}
	if !slices.Equal(ids, []KeyID{1, 0}) {
		t.Errorf("keys %v, want 1 and 0 alone (%v)", ids, rep.Problems)
	}
	opens(t, r, text, true)
	for _, name := range []string{"08", "-1", " 3", "1_0", "6", "7", "10", "11", "17", "19"} {
		if !slices.ContainsFunc(rep.Problems, func(p Problem) bool { return p.Name == name }) {
			t.Errorf("the report has no word about %q", name)
		}
	}
	// A rotation takes a number above all of them, directories and links too.
	if done := rotate(t, p, 9); done.Primary != 20 {
		t.Errorf("rotation: %+v, want 20", done)
	}
	if got := files(t, p); strings.Contains(got, "0.tmp") || strings.Contains(got, "3.tmp") || !strings.Contains(got, "5~") {
		t.Errorf("after rotation: %s, want its own left-overs gone and the rest untouched", got)
	}

	// Secrets that a container platform mounts are links to links.
	mounted := newRepository(t)
	if err := os.Mkdir(filepath.Join(mounted.Dir(), "..2026"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, mounted, "..2026/2", k)
	for name, target := range map[string]string{"..data": "..2026", "2": "..data/2"} {
		if err := os.Symlink(target, filepath.Join(mounted.Dir(), name)); err != nil {
			t.Fatal(err)
		}
	}
	if r, rep, err := mounted.Load(); err != nil || primaryOf(r) != 2 {
		t.Errorf("a mounted secret: %v, %v", rep, err)
	}
}

var errCrash = errors.New("the process is dead")

// crashAt makes every act fail from the n-th on, as for a process that died
// before it, or the n-th alone, as for a disk that refuses once.
func crashAt(p *Repository, n int, forGood bool) (count *int) {
	count = new(int)
	p.fault = func(string, string) error {
		*count++
		if *count == n || forGood && *count > n {
			return errCrash
		}
		return nil
	}
	return count
}

// crashEverywhere stops setup and rotation before each act on the disk in turn.
// Whatever is left must open every token made before, must seal tokens which
// the nodes that have not looked yet can open, and must be put right by doing
// the same again.
func crashEverywhere(t *testing.T) {
	for _, forGood := range []bool{true, false} {
		for n := 1; ; n++ {
			p := NewRepository(filepath.Join(t.TempDir(), "keys"))
			count := crashAt(p, n, forGood)
			err := p.Setup()
			if *count < n {
				break // ran to its end
			}
			p.fault = nil
			if err == nil && forGood {
				t.Errorf("setup, act %d: no error", n)
			}
			if err := p.Setup(); err != nil {
				t.Errorf("setup after a crash before act %d: %v", n, err)
				continue
			}
			load(t, p)
			rotate(t, p, 3)
			if got := files(t, p); got != "0 1" && got != "0 1 2" {
				t.Errorf("setup after a crash before act %d, then rotation: %s", n, got)
			}
		}
		acts := 0
		before := newRepository(t)
		for range 3 {
			rotate(t, before, 4)
		}
		for n := 1; ; n++ {
			p := NewRepository(t.TempDir())
			if err := os.CopyFS(p.Dir(), os.DirFS(before.Dir())); err != nil {
				t.Fatal(err)
			}
			old := load(t, p)
			texts := []string{seal(t, old, "x")}
			count := crashAt(p, n, forGood)
			done, err := p.Rotate(4)
			if *count < n {
				if err != nil || done.Primary != 5 {
					t.Errorf("rotation: %+v, %v", done, err)
				}
				acts = n - 1
				break
			}
			p.fault = nil
			if err == nil {
				t.Errorf("rotation, act %d: no error", n)
			}
			r, rep, err := p.Load()
			if err != nil || len(rep.Problems) > 0 {
				t.Errorf("after a crash before act %d: %v, %v", n, rep, err)
				continue
			}
			texts = append(texts, seal(t, r, "y"))
			for _, text := range texts {
				opens(t, r, text, true)
				opens(t, old, text, true)
			}
			rotate(t, p, 4)
			r = load(t, p)
			for _, text := range texts {
				opens(t, r, text, true)
				opens(t, old, text, true) // it is one rotation ahead at most
			}
			// A crash after the fresh key was staged left a whole rotation
			// behind, and then there have been two.
			got := files(t, p)
			if got != "0 3 4 5" && got != "0 4 5 6" {
				t.Errorf("rotation after a crash before act %d: %s, want 0 3 4 5 or 0 4 5 6", n, got)
			}
			if a, b := get(t, p, "0"), get(t, p, got[len(got)-1:]); a == b {
				t.Errorf("rotation after a crash before act %d left one key both staged and primary", n)
			}
		}
		if acts < 15 {
			t.Errorf("a rotation was stopped at %d acts, want all of its 15 or more", acts)
		}
	}
}

// rotateHelper is the environment variable that makes the test binary rotate the
// repository it names, waiting with the lock held until its input ends.
const rotateHelper = "SYMBOLON_TEST_ROTATE"

func TestMain(m *testing.M) {
	dir := os.Getenv(rotateHelper)
	if dir == "" {
		os.Exit(m.Run())
	}
	p := NewRepository(dir)
	p.fault = func(op, name string) error {
		if op == "rename" && name == "0" {
			fmt.Println("holding")
			_, _ = fmt.Scanln()
		}
		return nil
	}
	if _, err := p.Rotate(5); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// twoRotations runs two rotations in two processes at once: one goes through,
// the other is told to come back.
func twoRotations(t *testing.T) {
	p := newRepository(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), rotateHelper+"="+p.Dir())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 8)
	if _, err := out.Read(line); err != nil || string(line[:7]) != "holding" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	if _, err := p.Rotate(5); !errors.Is(err, ErrBusy) {
		t.Errorf("a rotation while another goes on: %v, want ErrBusy", err)
	}
	if err := p.Setup(); !errors.Is(err, ErrBusy) {
		t.Errorf("a setup while a rotation goes on: %v, want ErrBusy", err)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the first rotation: %v", err)
	}
	if got := files(t, p); got != "0 1 2" {
		t.Errorf("after both: %s, want the outcome of one", got)
	}
	// A rotation that is killed gives up the lock and what it did is ended by
	// the next.
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), rotateHelper+"="+p.Dir())
	if _, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if out, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(line); err != nil || string(line[:7]) != "holding" {
		t.Fatalf("the third process says %q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if done := rotate(t, p, 5); !done.Resumed || done.Primary != 3 || files(t, p) != "0 1 2 3" {
		t.Errorf("after a rotation was killed: %+v, %s", done, files(t, p))
	}
}

// What is loaded while another process rotates is what there is after it, and
// not a mixture.
func TestLoadDuringRotation(t *testing.T) {
	p := newRepository(t)
	other := NewRepository(p.Dir())
	reads := 0
	p.fault = func(op, _ string) error {
		if op != "read" {
			return nil
		}
		if reads++; reads == 1 {
			rotate(t, other, 3)
			rotate(t, other, 3)
		}
		return nil
	}
	r, rep, err := p.Load()
	if err != nil || len(rep.Problems) > 0 {
		t.Fatal(rep, err)
	}
	want := load(t, other)
	if got := r.Keys(); !slices.Equal(got, want.Keys()) {
		t.Errorf("keys %+v, want %+v", got, want.Keys())
	}
}

// A file that cannot be read for a reason that is not its own is no reason to
// give up a key, still less to write over it.
func TestTroubleOfTheMachine(t *testing.T) {
	p := newRepository(t)
	before := get(t, p, "0") + get(t, p, "1")
	trouble := errors.New("too many open files")
	for _, name := range []string{"0", "1"} {
		p.fault = func(op, n string) error {
			if op == "read" && n == name {
				return trouble
			}
			return nil
		}
		if _, _, err := p.Load(); !errors.Is(err, trouble) || errors.Is(err, ErrNoKeys) {
			t.Errorf("Load with trouble at key %s: %v", name, err)
		}
		if _, err := p.Rotate(3); !errors.Is(err, trouble) {
			t.Errorf("Rotate with trouble at key %s: %v", name, err)
		}
	}
	if files(t, p) != "0 1" || get(t, p, "0")+get(t, p, "1") != before {
		t.Error("keys changed")
	}
}
