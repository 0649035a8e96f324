//go:build unix

package fernet

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openNonblock keeps the opening of a fifo that has a key's name from waiting
// for a writer.
const openNonblock = syscall.O_NONBLOCK

func tryLock(f *os.File) (busy bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) // #nosec G115 -- a descriptor is an int
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

func syncDirectory(f *os.File) error { return f.Sync() }

// giveToOwner gives a new key to the owner of the directory when root writes it:
// the server that reads the keys is seldom root.
func (d *disk) giveToOwner(name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	st, err := d.root.Stat(".")
	if err != nil {
		return err
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return d.root.Lchown(name, int(sys.Uid), int(sys.Gid))
	}
	return nil
}

// openToWorld reports whether a mode lets every user in.
func openToWorld(m fs.FileMode) bool { return m.Perm()&0o007 != 0 }
