-- Relay nodes. The appliance's own relay is the one of kind 'local'.
CREATE TABLE node (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('local')),
    region TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX node_local ON node (kind) WHERE kind = 'local';

-- What the wire calls a session: a connection's claim on a slot.
CREATE TABLE relay_session (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    slot_id TEXT NOT NULL REFERENCES stream_slot (id) ON DELETE CASCADE,
    -- The plugin's name of its connection; empty when it gave none.
    connection_id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (
        status IN ('provisioning', 'active', 'grace', 'stopped', 'draining', 'superseded')
    ),
    region TEXT NOT NULL,
    region_preference TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    -- Pair token and relay token, sealed.
    credentials_sealed BLOB NOT NULL,
    started_at_ms INTEGER NOT NULL,
    stopped_at_ms INTEGER,
    -- Why it stopped; also why it failed, when it never became active.
    stop_reason TEXT,
    lease_expires_at_ms INTEGER NOT NULL,
    grace_window_seconds INTEGER NOT NULL CHECK (grace_window_seconds > 0),
    max_session_seconds INTEGER NOT NULL CHECK (max_session_seconds > 0),
    -- Seconds in which ingest bytes flowed: in all, and in the broadcast that goes on.
    ingest_seconds INTEGER NOT NULL DEFAULT 0 CHECK (ingest_seconds >= 0),
    broadcast_seconds INTEGER NOT NULL DEFAULT 0 CHECK (broadcast_seconds >= 0),
    supersedes_session_id TEXT REFERENCES relay_session (id) ON DELETE SET NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Open means provisioning, active or grace: one per slot, and one per connection of a user.
CREATE UNIQUE INDEX relay_session_open_slot ON relay_session (slot_id)
    WHERE status IN ('provisioning', 'active', 'grace');
CREATE UNIQUE INDEX relay_session_open_connection ON relay_session (user_id, connection_id)
    WHERE status IN ('provisioning', 'active', 'grace');
CREATE INDEX relay_session_connection ON relay_session (user_id, connection_id, started_at_ms);
CREATE INDEX relay_session_failed ON relay_session (user_id, stopped_at_ms)
    WHERE stop_reason IN ('relay_rejected', 'relay_unavailable');
CREATE INDEX relay_session_supersedes ON relay_session (supersedes_session_id)
    WHERE supersedes_session_id IS NOT NULL;

-- The node that serves a session. Load is counted from open rows, never kept in a counter.
CREATE TABLE assignment (
    id TEXT PRIMARY KEY NOT NULL,
    session_id TEXT NOT NULL REFERENCES relay_session (id) ON DELETE CASCADE,
    node_id TEXT NOT NULL REFERENCES node (id),
    assigned_at_ms INTEGER NOT NULL,
    released_at_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX assignment_open_session ON assignment (session_id) WHERE released_at_ms IS NULL;
CREATE INDEX assignment_open_node ON assignment (node_id) WHERE released_at_ms IS NULL;
CREATE INDEX assignment_session ON assignment (session_id);

-- What a repeated request with the same key answers.
CREATE TABLE idempotency_record (
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    endpoint TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    -- SHA-256 of the parsed request.
    request_hash BLOB NOT NULL,
    session_id TEXT NOT NULL REFERENCES relay_session (id) ON DELETE CASCADE,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    PRIMARY KEY (user_id, endpoint, idempotency_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_record_expiry ON idempotency_record (expires_at_ms);
CREATE INDEX idempotency_record_session ON idempotency_record (session_id);
