-- The one-time token that lets its bearer claim an appliance without an owner; one row at most.
CREATE TABLE setup_token (
    singleton INTEGER PRIMARY KEY NOT NULL CHECK (singleton = 1),
    digest BLOB NOT NULL,
    expires_at_ms INTEGER NOT NULL
) STRICT;
