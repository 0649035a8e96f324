"""Give things in a Keystone's SQLite store other ids.

    python3 keystone_rename.py DB OLD=NEW ...

Two servers that share keys accept each other's tokens only when the ids in them
mean the same on both; no API lets one choose the id of a user or a project.
Every column of every table that holds an old id gets the new one.
"""

import sqlite3
import sys

conn = sqlite3.connect(sys.argv[1], timeout=30)
conn.execute("PRAGMA foreign_keys = OFF")
with conn:
    for pair in sys.argv[2:]:
        old, new = pair.split("=")
        for (table,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for column in conn.execute('PRAGMA table_info("%s")' % table).fetchall():
                conn.execute('UPDATE "%s" SET "%s" = ? WHERE "%s" = ?' % (table, column[1], column[1]), (new, old))
