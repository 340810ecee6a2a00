-- Two accounts of one person: the first signed in, the second just proved at a provider, both in one browser
-- session. The request ends with that session. (Nothing was ever stored in the table before.)
DROP TABLE merge_request;
CREATE TABLE merge_request (
    id TEXT PRIMARY KEY NOT NULL,
    -- One for a browser: a newer one takes its place.
    browser_session_id TEXT NOT NULL UNIQUE REFERENCES browser_session (id) ON DELETE CASCADE,
    -- Whose session that is.
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    -- With whom the account at `provider` is linked.
    other_user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    provider TEXT NOT NULL CHECK (provider IN ('twitch', 'google', 'discord')),
    expires_at_ms INTEGER NOT NULL,
    CHECK (user_id <> other_user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX merge_request_by_user ON merge_request (user_id);
CREATE INDEX merge_request_by_other_user ON merge_request (other_user_id);
CREATE INDEX merge_request_by_expiry ON merge_request (expires_at_ms);

-- The token of the invitation with which a browser left for a provider, sealed.
ALTER TABLE oauth_state ADD COLUMN invite_sealed BLOB;
