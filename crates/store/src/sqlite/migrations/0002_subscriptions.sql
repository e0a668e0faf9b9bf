-- Subscriptions that outlive the connections of a device, all of one device in one document. A row goes with its device,
-- and outlives its hub until reaped. A device without a row here is not remembered.
CREATE TABLE device_subscription (
    hub      INTEGER NOT NULL,
    id       TEXT    NOT NULL,
    document TEXT    NOT NULL,
    PRIMARY KEY (hub, id)
) STRICT, WITHOUT ROWID;
