-- When the address was last proved, and whether nobody signs in before it is.
ALTER TABLE user ADD COLUMN email_verified_at_ms INTEGER;
ALTER TABLE user ADD COLUMN must_verify_email INTEGER NOT NULL DEFAULT 0 CHECK (must_verify_email IN (0, 1));
-- Deletion began: the user signs in no more, and a job carries it through.
ALTER TABLE user ADD COLUMN deletion_started_at_ms INTEGER;
CREATE INDEX user_in_deletion ON user (deletion_started_at_ms) WHERE deletion_started_at_ms IS NOT NULL;

-- The right to join once.
CREATE TABLE invite (
    id TEXT PRIMARY KEY NOT NULL,
    -- SHA-256 of the token in the link.
    token_digest BLOB NOT NULL UNIQUE,
    -- Whom it is for; NULL: whoever holds it.
    email TEXT,
    role TEXT NOT NULL CHECK (role IN ('owner', 'operator', 'viewer', 'streamer')),
    -- The link went by mail and was shown to nobody else, so that it proves the address.
    is_mailed INTEGER NOT NULL CHECK (is_mailed IN (0, 1)),
    created_by_user_id TEXT REFERENCES user (id) ON DELETE SET NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    used_at_ms INTEGER,
    -- No reference: who joined may leave.
    used_by_user_id TEXT
) STRICT;
CREATE INDEX invite_by_expiry ON invite (expires_at_ms);
CREATE INDEX invite_by_creator ON invite (created_by_user_id);

-- Single-use links that prove who reads an address.
CREATE TABLE email_token (
    -- SHA-256 of the token.
    digest BLOB PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    purpose TEXT NOT NULL CHECK (purpose IN ('verify_address', 'reset_password')),
    -- The address that it proves; another one than the user's when they change it.
    email TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX email_token_by_user ON email_token (user_id);
CREATE INDEX email_token_by_expiry ON email_token (expires_at_ms);

-- Mails to be sent, written with the change that they tell of. The text is made when a mail is sent: no link lies here.
CREATE TABLE mail (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('verify_address', 'reset_password', 'invitation', 'account_exists',
        'password_changed', 'address_changed')),
    recipient TEXT NOT NULL,
    -- NULL: whoever has the address, if anybody.
    user_id TEXT REFERENCES user (id) ON DELETE CASCADE,
    -- The token of an invitation, sealed.
    token_sealed BLOB,
    created_at_ms INTEGER NOT NULL,
    -- When it is of no use any more.
    expires_at_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- NULL once it is sent or given up.
    next_attempt_at_ms INTEGER,
    sent_at_ms INTEGER,
    last_error TEXT
) STRICT;
CREATE INDEX mail_due ON mail (next_attempt_at_ms) WHERE next_attempt_at_ms IS NOT NULL;
CREATE INDEX mail_by_recipient ON mail (recipient, kind, created_at_ms);
CREATE INDEX mail_by_age ON mail (created_at_ms);
CREATE INDEX mail_by_user ON mail (user_id);

-- Keys of a user's own programs.
CREATE TABLE api_key (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    -- The first characters, by which a person knows it again.
    prefix TEXT NOT NULL,
    -- SHA-256 of the key.
    digest BLOB NOT NULL UNIQUE,
    -- Words with a space between them.
    scopes TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    last_used_at_ms INTEGER,
    revoked_at_ms INTEGER
) STRICT;
CREATE INDEX api_key_by_user ON api_key (user_id);

-- The audit log is filtered by each of these, newest first.
CREATE INDEX audit_event_by_time ON audit_event (at_ms, id);
CREATE INDEX audit_event_by_actor ON audit_event (actor_user_id, at_ms, id);
CREATE INDEX audit_event_by_action ON audit_event (action, at_ms, id);
CREATE INDEX audit_event_by_subject ON audit_event (subject, at_ms, id);
CREATE TRIGGER audit_event_is_never_changed BEFORE UPDATE ON audit_event
BEGIN
    SELECT RAISE(ABORT, 'audit events are never changed');
END;
-- Retention may forget what is 90 days older than the newest event, and nothing else.
CREATE TRIGGER audit_event_is_kept BEFORE DELETE ON audit_event
WHEN OLD.at_ms > (SELECT max(at_ms) FROM audit_event) - 7776000000
BEGIN
    SELECT RAISE(ABORT, 'audit events are kept for 90 days at least');
END;

-- For clean-up without reading whole tables.
CREATE INDEX browser_session_by_last_seen ON browser_session (last_seen_at_ms);
CREATE INDEX auth_session_by_revocation ON auth_session (revoked_at_ms) WHERE revoked_at_ms IS NOT NULL;
CREATE INDEX refresh_token_to_wipe ON refresh_token (successor_used_at_ms) WHERE successor_sealed IS NOT NULL;
CREATE INDEX login_throttle_by_age ON login_throttle (updated_at_ms);
-- A user's slots go with them, and each slot's sessions with it.
CREATE INDEX relay_session_by_slot ON relay_session (slot_id);
