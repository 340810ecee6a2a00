-- Values that can change at run time; one that the configuration sets wins over its row.
CREATE TABLE setting (
    key TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;

-- What the scheduler knows of each job. The list of jobs itself is code.
CREATE TABLE job (
    name TEXT PRIMARY KEY NOT NULL,
    is_enabled INTEGER NOT NULL DEFAULT 1 CHECK (is_enabled IN (0, 1)),
    next_run_at_ms INTEGER NOT NULL,
    last_started_at_ms INTEGER,
    last_duration_ms INTEGER,
    -- What the last run did, in words; NULL when it failed or never ran.
    last_result TEXT,
    -- NULL when the last run went well.
    last_error TEXT,
    runs INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0
) STRICT;
