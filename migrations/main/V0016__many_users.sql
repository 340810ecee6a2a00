-- Users are looked for by what their name begins with.
CREATE INDEX user_by_name ON user (display_name COLLATE NOCASE);

-- Sealed tokens are wiped, and a user's attempts go with them, without a walk through all attempts.
CREATE INDEX plugin_login_attempt_sealed ON plugin_login_attempt (claimed_at_ms)
WHERE claimed_sealed IS NOT NULL;
CREATE INDEX plugin_login_attempt_by_user ON plugin_login_attempt (user_id) WHERE user_id IS NOT NULL;

-- Of events in every state, not of those alone that an operator should look at: a statement that is told the
-- state when it runs cannot use an index of some states.
DROP INDEX billing_event_by_state;
CREATE INDEX billing_event_by_state ON billing_event (state, id);
