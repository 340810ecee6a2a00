-- Whether the user has a password. Who came through a sign-in provider has none until they set one; their hash is
-- then that of a random text which nobody knows.
ALTER TABLE user ADD COLUMN has_password INTEGER NOT NULL DEFAULT 1 CHECK (has_password IN (0, 1));

-- A second factor by RFC 6238. Not confirmed: it is being enrolled and asked of nobody yet.
CREATE TABLE second_factor (
    user_id TEXT PRIMARY KEY NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    -- In base 32, sealed.
    secret_sealed BLOB NOT NULL,
    confirmed_at_ms INTEGER,
    -- The last time step whose code was taken: a code is good once.
    last_step INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What serves once instead of a code. Used ones are deleted.
CREATE TABLE recovery_code (
    -- Keyed hash of user and code.
    digest BLOB PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_code_by_user ON recovery_code (user_id);

-- A browser that proved the first factor and still owes the second.
CREATE TABLE pending_sign_in (
    -- SHA-256 of the cookie's token.
    token_digest BLOB PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_sign_in_by_user ON pending_sign_in (user_id);
CREATE INDEX pending_sign_in_by_expiry ON pending_sign_in (expires_at_ms);

-- Accounts at sign-in providers: one of each provider for a user, one user for each.
CREATE TABLE linked_account (
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    provider TEXT NOT NULL CHECK (provider IN ('twitch', 'google', 'discord')),
    -- The provider's own id of the account, which never changes.
    provider_id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    -- Access and refresh token, sealed; NULL when the provider withdrew them.
    tokens_sealed BLOB,
    -- When the access token ends; NULL when the provider does not say.
    access_expires_at_ms INTEGER,
    linked_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (user_id, provider),
    UNIQUE (provider, provider_id)
) STRICT, WITHOUT ROWID;

-- A browser that is at a provider: what it comes back with must match.
CREATE TABLE oauth_state (
    -- SHA-256 of the state, which is good once.
    state_digest BLOB PRIMARY KEY NOT NULL,
    -- SHA-256 of the cookie of the browser that may come back with it.
    browser_digest BLOB NOT NULL,
    provider TEXT NOT NULL CHECK (provider IN ('twitch', 'google', 'discord')),
    -- To whom the account shall be linked; NULL for a sign-in.
    link_user_id TEXT REFERENCES user (id) ON DELETE CASCADE,
    verifier_sealed BLOB NOT NULL,
    next_path TEXT NOT NULL,
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_state_by_expiry ON oauth_state (expires_at_ms);
CREATE INDEX oauth_state_by_user ON oauth_state (link_user_id) WHERE link_user_id IS NOT NULL;

-- Two accounts of one person, the second of which was just proved at a provider; the first one's owner decides.
CREATE TABLE merge_request (
    -- SHA-256 of the token on the page.
    token_digest BLOB PRIMARY KEY NOT NULL,
    kept_user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    merged_user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    expires_at_ms INTEGER NOT NULL,
    CHECK (kept_user_id <> merged_user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX merge_request_by_kept ON merge_request (kept_user_id);
CREATE INDEX merge_request_by_merged ON merge_request (merged_user_id);
CREATE INDEX merge_request_by_expiry ON merge_request (expires_at_ms);
