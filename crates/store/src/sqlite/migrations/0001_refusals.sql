-- The first form of the record of refusals.

CREATE TABLE refusal (
    seq          INTEGER PRIMARY KEY,
    tracking     BLOB    NOT NULL UNIQUE,
    at           INTEGER NOT NULL,
    device       TEXT,
    -- Folded.
    registration TEXT,
    address      TEXT,
    -- Of document and chain.
    bytes        INTEGER NOT NULL,
    document     TEXT    NOT NULL,
    -- The presented certificates, each with its length (4 bytes, most significant first) before it.
    chain        BLOB
) STRICT;
CREATE INDEX refusal_at ON refusal (at);
CREATE INDEX refusal_device ON refusal (device, seq) WHERE device IS NOT NULL;
CREATE INDEX refusal_registration ON refusal (registration, seq) WHERE registration IS NOT NULL;
CREATE INDEX refusal_address ON refusal (address, seq) WHERE address IS NOT NULL;

-- What the table above holds; one row.
CREATE TABLE held (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    records INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
) STRICT;
INSERT INTO held (id, records, bytes) VALUES (1, 0, 0);
