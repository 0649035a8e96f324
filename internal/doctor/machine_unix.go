//go:build linux || darwin

package doctor

import "syscall"

// writable reports whether this process may make files in dir.
func writable(dir string) bool {
	const writeAndEnter = 2 | 1
	return syscall.Access(dir, writeAndEnter) == nil
}

// freeSpace returns how many bytes a process may still write to dir's file system.
func freeSpace(dir string) (n uint64, known bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return st.Bavail * uint64(st.Bsize), true // #nosec G115 -- a block size is positive
}
