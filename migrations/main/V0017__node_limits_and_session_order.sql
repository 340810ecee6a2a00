-- How many calls a minute the node's SLS takes: its own defaults unless somebody raised them there.
ALTER TABLE node ADD COLUMN api_calls_per_minute INTEGER NOT NULL DEFAULT 30
    CHECK (api_calls_per_minute > 0);
ALTER TABLE node ADD COLUMN stats_calls_per_minute INTEGER NOT NULL DEFAULT 300
    CHECK (stats_calls_per_minute > 0);

-- Which of a user's sessions began later: a clock that was set back tells it wrongly.
ALTER TABLE relay_session ADD COLUMN ordinal INTEGER NOT NULL DEFAULT 0;
UPDATE relay_session SET ordinal = numbered.ordinal FROM (
    SELECT id, row_number() OVER (PARTITION BY user_id ORDER BY started_at_ms, id) AS ordinal
    FROM relay_session
) AS numbered WHERE numbered.id = relay_session.id;
CREATE INDEX relay_session_ordinal ON relay_session (user_id, ordinal);
DROP INDEX relay_session_connection;
CREATE INDEX relay_session_connection ON relay_session (user_id, connection_id, ordinal);
