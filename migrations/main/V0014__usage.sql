-- Slots that an operator gave beyond the four of tier internal.
ALTER TABLE plan ADD COLUMN extra_slot_count INTEGER NOT NULL DEFAULT 0
    CHECK (extra_slot_count BETWEEN 0 AND 96);
-- When the cycle ends whose statement comes next; 0 before the first.
ALTER TABLE plan ADD COLUMN next_statement_at_ms INTEGER NOT NULL DEFAULT 0;
CREATE INDEX plan_next_statement ON plan (next_statement_at_ms);

-- What a plan was when a cycle ended. What was used in it stands in usage_record and billing_adjustment, so
-- that a late correction counts here too.
CREATE TABLE usage_statement (
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    cycle_start_at_ms INTEGER NOT NULL,
    cycle_end_at_ms INTEGER NOT NULL,
    tier TEXT NOT NULL CHECK (tier IN ('free', 'standard', 'internal')),
    status TEXT NOT NULL CHECK (status IN ('active', 'trial', 'past_due', 'canceled')),
    included_seconds INTEGER NOT NULL CHECK (included_seconds >= 0),
    PRIMARY KEY (user_id, cycle_start_at_ms)
) STRICT, WITHOUT ROWID;

-- Seconds added to or taken from what was measured, and why. Rows are only ever added.
CREATE TABLE billing_adjustment (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    -- The session it is about; NULL for the cycle as a whole.
    session_id TEXT,
    cycle_start_at_ms INTEGER NOT NULL,
    adjustment_seconds INTEGER NOT NULL CHECK (adjustment_seconds <> 0),
    reason TEXT NOT NULL CHECK (
        reason IN ('outage_reconciliation', 'manual_correction', 'dispute_resolution')
    ),
    source TEXT NOT NULL CHECK (source IN ('relay_health', 'admin_tool', 'automated_job')),
    note TEXT NOT NULL,
    -- Who did it; NULL for the appliance itself. No reference: the row outlives them.
    actor_user_id TEXT,
    created_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX billing_adjustment_cycle ON billing_adjustment (user_id, cycle_start_at_ms);

-- Up to when seconds of a session are written.
ALTER TABLE relay_session ADD COLUMN metered_until_ms INTEGER;

-- What heartbeats told of a session: one row a minute at most.
CREATE TABLE relay_health_event (
    session_id TEXT NOT NULL REFERENCES relay_session (id) ON DELETE CASCADE,
    received_at_ms INTEGER NOT NULL,
    -- When the sender says it looked.
    observed_at_ms INTEGER NOT NULL,
    ingest_active INTEGER NOT NULL CHECK (ingest_active IN (0, 1)),
    egress_active INTEGER NOT NULL CHECK (egress_active IN (0, 1)),
    session_uptime_seconds INTEGER NOT NULL CHECK (session_uptime_seconds >= 0),
    PRIMARY KEY (session_id, received_at_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX relay_health_event_age ON relay_health_event (received_at_ms);
