//go:build unix

package keystone_test

import (
	"syscall"
	"time"
)

// cpuTime is what the process has used of the processors. On a machine that does
// other things too it tells more than the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
