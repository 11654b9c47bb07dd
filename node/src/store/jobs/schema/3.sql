-- What runs said and left, as frames.
CREATE TABLE recordings (
    row INTEGER PRIMARY KEY,
    job BLOB NOT NULL,
    role INTEGER NOT NULL,          -- Role: of a job of this home, or of a run that is kept for one
    home BLOB NOT NULL,             -- 32 bytes: whose job it is; all 0: this machine's
    attempt INTEGER NOT NULL,
    len INTEGER NOT NULL,
    bytes BLOB,                     -- sealed; null: in a file
    UNIQUE (job, role, home, attempt)
) STRICT;

-- Runs that are kept for homes.
CREATE TABLE kept_runs (
    row INTEGER PRIMARY KEY,
    job BLOB NOT NULL,
    home BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    state INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    request BLOB,                   -- sealed; null: not known any more
    UNIQUE (job, home, attempt)
) STRICT;

-- How jobs of this home have ended, as those who follow them are told.
CREATE TABLE ends (
    row INTEGER PRIMARY KEY,
    job BLOB NOT NULL UNIQUE,
    bytes BLOB NOT NULL             -- sealed
) STRICT;
