-- Figures of a slot, one row a second while it is live.
CREATE TABLE sample (
    slot_id TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    bitrate_kbps INTEGER NOT NULL,
    rtt_us INTEGER NOT NULL,
    lost_packets INTEGER NOT NULL,
    dropped_packets INTEGER NOT NULL,
    links INTEGER NOT NULL,
    PRIMARY KEY (slot_id, at_ms)
) STRICT, WITHOUT ROWID;

CREATE INDEX sample_by_age ON sample (at_ms);

-- One broadcast: from the first media to OFFLINE. Reconnects inside the grace belong to it.
CREATE TABLE broadcast (
    id TEXT PRIMARY KEY NOT NULL,
    slot_id TEXT NOT NULL,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER
) STRICT;

CREATE INDEX broadcast_by_slot ON broadcast (slot_id, started_at_ms);
