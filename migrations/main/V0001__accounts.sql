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

CREATE INDEX user_by_role ON user (role);

-- A signed-in browser. The cookie holds a random token, this row its SHA-256.
CREATE TABLE browser_session (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    token_digest BLOB NOT NULL UNIQUE,
    -- What the browser calls itself, and where it signed in from: for the person's own list.
    user_agent TEXT NOT NULL,
    address TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    last_seen_at_ms INTEGER NOT NULL,
    -- Absolute; the idle limit counts from last_seen_at_ms.
    expires_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX browser_session_by_user ON browser_session (user_id);
CREATE INDEX browser_session_by_expiry ON browser_session (expires_at_ms);

-- A signed-in plugin. Its tokens live and die with it.
CREATE TABLE auth_session (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    device_name TEXT NOT NULL,
    platform TEXT NOT NULL,
    plugin_version TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    last_seen_at_ms INTEGER NOT NULL,
    -- Pushed forward by every refresh.
    expires_at_ms INTEGER NOT NULL,
    revoked_at_ms INTEGER
) STRICT;

CREATE INDEX auth_session_by_user ON auth_session (user_id);
CREATE INDEX auth_session_by_expiry ON auth_session (expires_at_ms);

-- The refresh tokens of an auth session: one is current, the others are kept to notice their reuse.
CREATE TABLE refresh_token (
    -- SHA-256 of the token.
    digest BLOB PRIMARY KEY NOT NULL,
    auth_session_id TEXT NOT NULL REFERENCES auth_session (id) ON DELETE CASCADE,
    -- The jti of the access token that was issued with it.
    access_id TEXT NOT NULL,
    issued_at_ms INTEGER NOT NULL,
    -- NULL for the current one.
    replaced_at_ms INTEGER,
    -- The pair that replaced it, sealed, for a client that lost the answer.
    successor_sealed BLOB,
    -- When either token of that pair was first used.
    successor_used_at_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX refresh_token_current
ON refresh_token (auth_session_id) WHERE replaced_at_ms IS NULL;
-- At most one pair of a session waits for its first use.
CREATE UNIQUE INDEX refresh_token_unused_successor
ON refresh_token (auth_session_id)
WHERE replaced_at_ms IS NOT NULL AND successor_used_at_ms IS NULL;
CREATE INDEX refresh_token_by_session ON refresh_token (auth_session_id);

-- Failed sign-ins per account name, whether or not such an account exists.
CREATE TABLE login_throttle (
    -- Keyed hash of the e-mail address, so that mistyped ones are not kept.
    account_digest BLOB PRIMARY KEY NOT NULL,
    failures INTEGER NOT NULL,
    blocked_until_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
