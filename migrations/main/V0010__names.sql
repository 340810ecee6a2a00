-- A session that was moved off a node which failed or was taken out: when, and out of which region.
ALTER TABLE relay_session ADD COLUMN moved_at_ms INTEGER;
ALTER TABLE relay_session ADD COLUMN moved_from TEXT;

-- Relays that users run at home.
CREATE TABLE self_hosted_relay (
    user_id TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    connection_id TEXT NOT NULL,
    -- Address and port, sealed: it is where somebody lives.
    address_sealed BLOB NOT NULL,
    dns_slug TEXT NOT NULL UNIQUE,
    -- Whether the address is the one from which it was registered.
    is_own_address INTEGER NOT NULL CHECK (is_own_address IN (0, 1)),
    registered_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (user_id, connection_id)
) STRICT, WITHOUT ROWID;

-- DNS names: what each belongs to, and which record the provider is known to have for it.
CREATE TABLE dns_name (
    slug TEXT PRIMARY KEY NOT NULL,
    -- NULL for the name of a self-hosted relay. No reference: the row outlives its owner until the record is gone.
    slot_id TEXT UNIQUE,
    -- The record, once it is known to be there. Its address is of a relay, or sealed for one at somebody's home.
    name TEXT,
    address_sealed BLOB,
    record_id TEXT,
    created_at_ms INTEGER NOT NULL,
    CHECK ((name IS NULL) = (address_sealed IS NULL))
) STRICT, WITHOUT ROWID;
