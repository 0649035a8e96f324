package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"symbolon/internal/server"
	"symbolon/internal/store"
	"symbolon/internal/store/sqlite"
)

// start asks what would keep the node from starting.
func (e *exam) start(ctx context.Context) {
	for _, o := range server.Preflight(ctx, e.Config, server.Options{Now: e.Now}) {
		e.blocked[o.Area] = true
		what, do := advice(o.Err)
		e.problem(o.Area, do, "a node would not start: %s", what)
	}
}

// advice cuts the line of an error that keeps a node from starting into what is wrong
// and what to do.
func advice(err error) (what, do string) {
	line := err.Error()
	if i := max(strings.LastIndex(line, ": "), strings.LastIndex(line, "; ")); i > 0 {
		return line[:i], line[i+2:]
	}
	return line, ""
}

// store looks at the database beyond whether it opens.
func (e *exam) store(ctx context.Context) {
	o := store.Options{URL: e.Config.Database, Dir: e.Config.Data, Now: e.Now}
	switch {
	case e.blocked[areaStore]:
		return
	case !store.Exists(o):
		e.warn(areaStore, "nothing, when this is before the first start; otherwise restore a backup or name the right directory with --data",
			"there is no store in %s yet; the first start makes one", e.Config.Data)
		return
	}
	l, err := store.LookAt(ctx, o)
	if err != nil { // it opened a moment ago
		what, do := advice(err)
		e.problem(areaStore, do, "%s", what)
		return
	}
	e.look = l
	made, err := l.Migrated(ctx)
	switch {
	case err != nil:
		e.problem(areaStore, "try again; restore a backup when it stays", "the schema cannot be read: %v", err)
		made = false
	case !made:
		e.warn(areaStore, "nothing: the next start fills it", "the store is empty")
	case l.Pending():
		e.warn(areaStore, "make a backup, then run `symbolon db migrate` or start the node", "the store's schema is older than this binary's")
	default:
		e.ok(areaStore, "the store opens and its schema is this binary's")
	}
	if !made || l.Pending() {
		_ = l.Close(ctx) // nothing was written
		e.look = nil
		return
	}
	if e.Config.Database == "" {
		e.storeFile(ctx)
	}
}

// quickFile is the greatest size of a database file that is read through without
// being asked to.
const quickFile = 64 << 20

func (e *exam) storeFile(ctx context.Context) {
	path := filepath.Join(e.Config.Data, sqlite.FileName)
	st, err := os.Stat(path)
	if err != nil {
		e.problem(areaStore, "try again", "the store's file cannot be looked at: %v", err)
		return
	}
	if mode := st.Mode().Perm(); mode&0o077 != 0 {
		e.warn(areaStore, "chmod 600 "+path, "other users of this machine can read %s (mode %04o)", path, mode)
	}
	if st.Size() > quickFile && !e.Full {
		return
	}
	const most = 5
	damage, err := e.look.Check(ctx, most)
	switch {
	case err != nil:
		e.problem(areaStore, "restore it from a backup", "%s cannot be read through: %v", path, err)
	case len(damage) > 0:
		e.problem(areaStore, "stop the node, keep a copy of the file, and restore a backup", "%s is damaged: %s", path, strings.Join(damage, "; "))
	default:
		e.ok(areaStore, "the store's file is sound throughout")
	}
}
