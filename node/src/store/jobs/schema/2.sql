-- What nodes have signed about jobs.
CREATE TABLE receipts (
    row INTEGER PRIMARY KEY,
    job BLOB NOT NULL,
    role INTEGER NOT NULL,
    wrong TEXT,                     -- why it is not believed; null: it is
    body BLOB NOT NULL,
    signature BLOB NOT NULL,        -- 64 bytes
    UNIQUE (job, role)
) STRICT;

-- Who ran how much for whom, by days since 1970; stays when jobs are forgotten.
CREATE TABLE ledger (
    row INTEGER PRIMARY KEY,
    day INTEGER NOT NULL,
    role INTEGER NOT NULL,
    peer BLOB NOT NULL,
    peer_name TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    fuel INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    receipts INTEGER NOT NULL,
    wrong_receipts INTEGER NOT NULL,
    UNIQUE (day, role, peer)
) STRICT;

INSERT INTO ledger (day, role, peer, peer_name, jobs, fuel, wall_ms, receipts, wrong_receipts)
    SELECT ended_ms / 86400000, role, peer, max(peer_name), count(*),
        CAST(min(total(fuel), 2e18) AS INTEGER), CAST(min(total(wall_ms), 2e18) AS INTEGER), 0, 0
    FROM jobs WHERE peer IS NOT NULL AND started_ms IS NOT NULL AND ended_ms IS NOT NULL
    GROUP BY 1, 2, 3;
