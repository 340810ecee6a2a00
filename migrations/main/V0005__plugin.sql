-- One try of a plugin to sign in through the browser.
CREATE TABLE plugin_login_attempt (
    id TEXT PRIMARY KEY NOT NULL,
    -- SHA-256 of the poll token, which the plugin alone knows.
    poll_digest BLOB NOT NULL,
    -- Shown to the person, to compare with what the device shows.
    short_code TEXT NOT NULL,
    platform TEXT NOT NULL,
    plugin_version TEXT NOT NULL,
    device_name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'denied')),
    -- Who approved it.
    user_id TEXT REFERENCES user (id) ON DELETE CASCADE,
    -- Why it was denied.
    reason_code TEXT,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    decided_at_ms INTEGER,
    claimed_at_ms INTEGER,
    auth_session_id TEXT,
    -- The pair that was handed out, for a plugin that lost the answer; wiped soon after.
    claimed_sealed BLOB,
    CHECK (status <> 'approved' OR user_id IS NOT NULL),
    CHECK (claimed_at_ms IS NULL OR status = 'approved')
) STRICT;

CREATE INDEX plugin_login_attempt_by_expiry ON plugin_login_attempt (expires_at_ms);
