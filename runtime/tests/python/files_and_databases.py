#! out: True True
#! out: [(1,)] [(3,)]
#! out: /tmp /tmp
import os
import sqlite3
import tempfile

with tempfile.TemporaryDirectory() as directory, tempfile.NamedTemporaryFile() as file:
    print(directory.startswith("/tmp/"), file.name.startswith("/tmp/"))
database = sqlite3.connect("kept.db")
database.execute("create table t (n)")
database.execute("insert into t values (3)")
database.commit()
print(sqlite3.connect(":memory:").execute("select 1").fetchall(), database.execute("select n from t").fetchall())
print(os.environ["HOME"], tempfile.gettempdir())
