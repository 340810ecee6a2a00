-- What a billing provider told: webhooks, and what asking its API found. Rows are the log from which plans
-- follow, so they stay; only the raw bodies are forgotten.
CREATE TABLE billing_event (
    id TEXT PRIMARY KEY NOT NULL,
    provider TEXT NOT NULL CHECK (provider IN ('lemonsqueezy', 'stripe')),
    -- The provider's event id, or the SHA-256 of the body: what makes a delivery known again.
    identity TEXT NOT NULL,
    -- The provider's word for the event; empty until it was read.
    kind TEXT NOT NULL DEFAULT '',
    -- As received and verified; NULL when it was forgotten.
    body BLOB,
    received_at_ms INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'done', 'ignored', 'flagged', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at_ms INTEGER NOT NULL,
    acted_at_ms INTEGER,
    -- What acting on it came to, in words; the failure of the last attempt.
    result TEXT NOT NULL DEFAULT '',
    error TEXT,
    -- What the event says, in our words (JSON), and what it is about.
    fact TEXT,
    occurred_at_ms INTEGER,
    subscription TEXT,
    customer TEXT,
    user_id TEXT REFERENCES user (id) ON DELETE SET NULL,
    UNIQUE (provider, identity)
) STRICT;

CREATE INDEX billing_event_waiting ON billing_event (next_attempt_at_ms) WHERE state = 'waiting';
CREATE INDEX billing_event_with_body ON billing_event (received_at_ms) WHERE body IS NOT NULL;
CREATE INDEX billing_event_by_user ON billing_event (user_id);
CREATE INDEX billing_event_by_subscription
ON billing_event (provider, subscription, occurred_at_ms) WHERE subscription IS NOT NULL;
CREATE INDEX billing_event_by_customer
ON billing_event (provider, customer) WHERE customer IS NOT NULL;
-- What an operator should look at.
CREATE INDEX billing_event_by_state ON billing_event (state, id) WHERE state IN ('flagged', 'failed');

-- What follows from a subscription's events; computed anew at each of them.
CREATE TABLE billing_subscription (
    provider TEXT NOT NULL CHECK (provider IN ('lemonsqueezy', 'stripe')),
    subscription TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    status TEXT NOT NULL,
    ends_at_ms INTEGER,
    renews_at_ms INTEGER,
    is_over INTEGER NOT NULL CHECK (is_over IN (0, 1)),
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (provider, subscription)
) STRICT, WITHOUT ROWID;

CREATE INDEX billing_subscription_by_user ON billing_subscription (user_id);
CREATE INDEX billing_subscription_open ON billing_subscription (provider, subscription) WHERE is_over = 0;

-- What a user's plan has from billing beside its tier and status.
CREATE TABLE billing_account (
    user_id TEXT PRIMARY KEY NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    -- When a cancelled subscription runs out.
    ends_at_ms INTEGER,
    renews_at_ms INTEGER,
    -- When time alone changes the plan: a grace or a cancelled subscription runs out.
    next_change_at_ms INTEGER,
    updated_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX billing_account_due ON billing_account (next_change_at_ms) WHERE next_change_at_ms IS NOT NULL;
