-- People who may sign in. Every other table of a user refers to this one.
CREATE TABLE user (
    id TEXT PRIMARY KEY NOT NULL,
    -- Trimmed and lower-cased.
    email TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('owner', 'operator', 'viewer', 'streamer')),
    -- Argon2id in PHC form.
    password_hash TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;
