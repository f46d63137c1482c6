-- Tells this shop from every other one: a transaction that is joined must be on this database.
INSERT INTO stockroom_meta (name, value) VALUES ('shop', abs(random() / 1024));

-- How far each sink has come in each partition, and who works on it.
CREATE TABLE stockroom_checkpoints (
    name TEXT PRIMARY KEY,
    holder TEXT,
    fence INTEGER NOT NULL,
    leased_until INTEGER NOT NULL,
    position TEXT,
    done INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE stockroom_dead_letters (
    id TEXT PRIMARY KEY,
    sink TEXT NOT NULL,
    change TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX stockroom_dead_letters_sink ON stockroom_dead_letters (sink, id);

-- What sweeps expired holds looks for the oldest.
CREATE INDEX stockroom_holds_expiry ON stockroom_holds (expires_at);
