-- The pool: relay nodes besides the appliance's own. Rebuilt, because the kind is checked.
CREATE TABLE node_of_pool (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('local', 'external')),
    region TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'draining', 'inactive', 'removed')),
    created_at_ms INTEGER NOT NULL,
    -- Of external nodes: what operators call it, and how many sessions it takes.
    name TEXT,
    capacity INTEGER CHECK (capacity > 0),
    -- Where it is managed, with its key, sealed; the key is gone once the node is removed.
    api_url TEXT,
    api_key_sealed BLOB,
    link_stats_url TEXT,
    -- Where phones and players reach it.
    public_host TEXT,
    srtla_port INTEGER,
    srt_publish_port INTEGER,
    srt_play_port INTEGER,
    stats_port INTEGER,
    CHECK (kind = 'local' OR (name IS NOT NULL AND capacity IS NOT NULL AND api_url IS NOT NULL
        AND public_host IS NOT NULL AND srtla_port IS NOT NULL AND srt_publish_port IS NOT NULL
        AND srt_play_port IS NOT NULL AND stats_port IS NOT NULL))
) STRICT;
INSERT INTO node_of_pool (id, kind, region, created_at_ms)
    SELECT id, kind, region, created_at_ms FROM node;
DROP TABLE node;
ALTER TABLE node_of_pool RENAME TO node;
CREATE UNIQUE INDEX node_local ON node (kind) WHERE kind = 'local';
CREATE UNIQUE INDEX node_name ON node (name) WHERE status <> 'removed';

-- A released place whose stream the node was not yet told to forget: 1 for one that was taken, 2 for one that was
-- only marked, before a migration took it.
ALTER TABLE assignment ADD COLUMN drop_pending INTEGER NOT NULL DEFAULT 0 CHECK (drop_pending IN (0, 1, 2));
CREATE INDEX assignment_drop_pending ON assignment (node_id) WHERE drop_pending > 0;

-- The old halves of migrations that go on.
CREATE INDEX relay_session_draining ON relay_session (slot_id) WHERE status = 'draining';
-- When its user last moved a slot to another region.
ALTER TABLE stream_slot ADD COLUMN region_changed_at_ms INTEGER;

-- What people call a region, and under which other names clients ask for it.
CREATE TABLE region (
    id TEXT PRIMARY KEY NOT NULL,
    label TEXT NOT NULL
) STRICT;
CREATE TABLE region_alias (
    alias TEXT PRIMARY KEY NOT NULL,
    region TEXT NOT NULL
) STRICT;

-- What was done behind a user's back, or with an operator's power. Rows are only ever added.
CREATE TABLE audit_event (
    id TEXT PRIMARY KEY NOT NULL,
    at_ms INTEGER NOT NULL,
    -- NULL when the appliance itself acted. No reference: the row outlives its user.
    actor_user_id TEXT,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
