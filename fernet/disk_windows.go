package fernet

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"unsafe"
)

const openNonblock = 0

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

func tryLock(f *os.File) (busy bool, err error) {
	const (
		exclusive       = 2
		failImmediately = 1
		lockViolation   = syscall.Errno(33)
	)
	var ol syscall.Overlapped
	ok, _, err := lockFileEx.Call(f.Fd(), exclusive|failImmediately, 0, 1, 0, uintptr(unsafe.Pointer(&ol))) // #nosec G103 -- a system call's argument
	switch {
	case ok != 0:
		return false, nil
	case errors.Is(err, lockViolation) || errors.Is(err, syscall.ERROR_IO_PENDING):
		return true, nil
	}
	return false, err
}

// syncDirectory does nothing: Windows has no handle of a directory to flush.
func syncDirectory(*os.File) error { return nil }

func (d *disk) giveToOwner(string) error { return nil }

// openToWorld is always false: modes say nothing about access on Windows.
func openToWorld(fs.FileMode) bool { return false }
