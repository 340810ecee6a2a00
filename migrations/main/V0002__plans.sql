-- What a user's plan says. Without a billing provider it is kept, but limits nobody.
CREATE TABLE plan (
    user_id TEXT PRIMARY KEY NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    -- 'starter' and 'pro' are names of old, read as 'standard'.
    tier TEXT NOT NULL CHECK (tier IN ('free', 'standard', 'internal', 'starter', 'pro')),
    status TEXT NOT NULL CHECK (status IN ('active', 'trial', 'past_due', 'canceled')),
    -- Bought on top of tier standard: each gives one connection and one slot.
    addon_relay_count INTEGER NOT NULL DEFAULT 0 CHECK (addon_relay_count >= 0),
    -- An operator set this user to internal; billing never changes that.
    is_operator_set INTEGER NOT NULL DEFAULT 0 CHECK (is_operator_set IN (0, 1)),
    -- Until when a user whose payment failed keeps access.
    grace_deadline_at_ms INTEGER,
    -- Billing cycles are the months counted from here, so nothing has to roll them forward.
    cycle_anchor_at_ms INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;

-- Seconds in which ingest bytes flowed, per billing cycle and relay session.
CREATE TABLE usage_record (
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    cycle_start_at_ms INTEGER NOT NULL,
    -- Empty: ingest without a session.
    session_id TEXT NOT NULL,
    seconds INTEGER NOT NULL CHECK (seconds >= 0),
    PRIMARY KEY (user_id, cycle_start_at_ms, session_id)
) STRICT, WITHOUT ROWID;
