-- Each table has a rowid, so that rows of a damaged file can be looked for one by one.

CREATE TABLE jobs (
    row INTEGER PRIMARY KEY,
    id BLOB NOT NULL,               -- 16 bytes
    role INTEGER NOT NULL,          -- Role
    peer BLOB,                      -- 32 bytes; null: this machine
    peer_name TEXT,
    program TEXT NOT NULL,
    digest BLOB,                    -- 32 bytes
    args TEXT NOT NULL,
    submitted_ms INTEGER NOT NULL,  -- all times: since 1970
    started_ms INTEGER,
    ended_ms INTEGER,
    end_kind INTEGER,               -- End; null: not ended
    exit_code INTEGER,
    why TEXT,
    fuel INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    memory_peak_bytes INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    map BLOB,
    task INTEGER,
    priority INTEGER NOT NULL,
    submitter TEXT NOT NULL,
    keep_until_ms INTEGER,
    UNIQUE (id, role)
) STRICT;
CREATE INDEX jobs_by_time ON jobs (submitted_ms);
CREATE INDEX jobs_by_end ON jobs (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX jobs_by_map ON jobs (map, task) WHERE map IS NOT NULL;

-- What a job asks for, whole, as whoever wrote it understands it.
CREATE TABLE requests (
    row INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    role INTEGER NOT NULL,
    bytes BLOB NOT NULL,            -- sealed
    UNIQUE (id, role)
) STRICT;

CREATE TABLE runs (
    row INTEGER PRIMARY KEY,
    job BLOB NOT NULL,
    role INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    peer BLOB,
    accepted_ms INTEGER NOT NULL,
    started_ms INTEGER,
    ended_ms INTEGER,
    end_kind INTEGER,
    exit_code INTEGER,
    why TEXT,
    fuel INTEGER NOT NULL,
    UNIQUE (job, role, attempt)
) STRICT;

-- What the deciding code said, in its order: read again from the beginning after a crash.
CREATE TABLE events (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    job BLOB NOT NULL,
    bytes BLOB NOT NULL             -- sealed
) STRICT;
CREATE INDEX events_by_job ON events (job);
