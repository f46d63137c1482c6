-- The feed: each change knows the transaction that wrote it, so that a reader can tell what was still under way when it
-- looked. What is there already was committed long ago, and belongs to the transaction of this migration.
ALTER TABLE stockroom_changes ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX stockroom_changes_xid ON stockroom_changes (xid);

-- Tells this shop from every other one: a transaction that is joined must be on this database.
INSERT INTO stockroom_meta (name, value) VALUES ('shop', (random() * 9000000000000000)::bigint);

-- How far each sink has come in each partition, and who works on it.
CREATE TABLE stockroom_checkpoints (
    name text COLLATE "C" PRIMARY KEY,
    holder uuid,
    fence bigint NOT NULL,
    leased_until bigint NOT NULL,
    position text,
    done bigint NOT NULL,
    updated_at bigint NOT NULL
);

CREATE TABLE stockroom_dead_letters (
    id uuid PRIMARY KEY,
    sink text COLLATE "C" NOT NULL,
    change text NOT NULL,
    reason text NOT NULL,
    attempts bigint NOT NULL,
    at bigint NOT NULL
);
CREATE INDEX stockroom_dead_letters_sink ON stockroom_dead_letters (sink, id);

-- What sweeps expired holds looks for the oldest.
CREATE INDEX stockroom_holds_expiry ON stockroom_holds (expires_at);
