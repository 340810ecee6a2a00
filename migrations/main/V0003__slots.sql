-- A place to stream to: three independent keys. Keys are sealed with AES-256-GCM and found by a keyed hash.
CREATE TABLE stream_slot (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    slot_number INTEGER NOT NULL CHECK (slot_number >= 1),
    label TEXT NOT NULL CHECK (length(label) BETWEEN 1 AND 64),
    publish_key_sealed BLOB NOT NULL,
    publish_key_digest BLOB NOT NULL UNIQUE,
    play_key_sealed BLOB NOT NULL,
    play_key_digest BLOB NOT NULL UNIQUE,
    stats_key_sealed BLOB NOT NULL,
    stats_key_digest BLOB NOT NULL UNIQUE,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    UNIQUE (user_id, slot_number)
) STRICT;

-- Play keys that were rotated away: they admit nobody, but for a while they still name their slot,
-- because a plugin learns the new key only at its next refresh.
CREATE TABLE retired_play_key (
    digest BLOB PRIMARY KEY NOT NULL,
    slot_id TEXT NOT NULL REFERENCES stream_slot (id) ON DELETE CASCADE,
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX retired_play_key_slot ON retired_play_key (slot_id);
CREATE INDEX retired_play_key_expiry ON retired_play_key (expires_at_ms);
