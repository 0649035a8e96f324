package store

import "os"

// exists reports whether the SQLite file is there.
func exists(o Options) bool {
	_, err := os.Stat(dbPath(o))
	return err == nil
}
