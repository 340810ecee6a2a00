-- For the deletion of old broadcasts.
CREATE INDEX broadcast_by_end ON broadcast (ended_at_ms);
