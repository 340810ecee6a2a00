-- The one-time token of the first-run setup; at most one row.
CREATE TABLE setup_token (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    digest BLOB NOT NULL,
    expires_at_ms INTEGER NOT NULL
) STRICT;
