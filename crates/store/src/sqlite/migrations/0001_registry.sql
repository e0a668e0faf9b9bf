-- The first form of the registry. Ids that ignore case stand here in their folded form; the form as written is in the
-- document. Every document is {"v":version,"d":content}.

-- Counters and facts of the whole store; one row.
CREATE TABLE meta (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    subscription  TEXT    NOT NULL,
    incarnation   INTEGER NOT NULL,
    etag          INTEGER NOT NULL,
    generation    INTEGER NOT NULL,
    trust         INTEGER NOT NULL,
    hub_key       INTEGER NOT NULL,
    dps_key       INTEGER NOT NULL,
    fence         INTEGER NOT NULL,
    reap_fence    INTEGER NOT NULL,
    latest_wall   INTEGER,
    operator      BLOB,
    request_first INTEGER NOT NULL,
    request_next  INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    seal_check    TEXT    NOT NULL
) STRICT;

-- The outcome of writes whose repeat must answer the same; the oldest go first.
CREATE TABLE request (
    seq     INTEGER PRIMARY KEY,
    id      BLOB NOT NULL UNIQUE,
    verb    TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;

-- The newest change of trust of each thing of the control plane. Kinds: 1 group, 2 hub, 3 provisioning service,
-- 4 certificate of a hub, 5 certificate of a provisioning service, 6 operator.
CREATE TABLE trust_change (
    kind    INTEGER NOT NULL,
    owner   INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (kind, owner, name)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX trust_change_version ON trust_change (version);

-- Hubs (kind 2) and provisioning services (kind 3) that are gone and have left rows behind.
CREATE TABLE tombstone (
    kind INTEGER NOT NULL,
    key  INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
    work   TEXT PRIMARY KEY,
    holder TEXT    NOT NULL,
    fence  INTEGER NOT NULL,
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE resource_group (
    name     TEXT PRIMARY KEY,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE hub (
    key      INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    grp      TEXT NOT NULL REFERENCES resource_group (name),
    document TEXT NOT NULL
) STRICT;
CREATE INDEX hub_grp ON hub (grp);

CREATE TABLE service (
    key      INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    id_scope TEXT NOT NULL UNIQUE,
    grp      TEXT NOT NULL REFERENCES resource_group (name),
    document TEXT NOT NULL
) STRICT;
CREATE INDEX service_grp ON service (grp);

-- Which provisioning services link a hub; the links themselves stand in the service's document.
CREATE TABLE service_link (
    hub     INTEGER NOT NULL REFERENCES hub (key),
    service INTEGER NOT NULL REFERENCES service (key),
    PRIMARY KEY (hub, service)
) STRICT, WITHOUT ROWID;
CREATE INDEX service_link_service ON service_link (service);

-- Kind of owner: 2 hub, 3 provisioning service. No foreign key here and below: rows outlive their owner until reaped.
CREATE TABLE certificate (
    kind     INTEGER NOT NULL,
    owner    INTEGER NOT NULL,
    name     TEXT    NOT NULL,
    document TEXT    NOT NULL,
    PRIMARY KEY (kind, owner, name)
) STRICT;

CREATE TABLE device (
    hub      INTEGER NOT NULL,
    id       TEXT    NOT NULL,
    activity INTEGER,
    document TEXT    NOT NULL,
    PRIMARY KEY (hub, id)
) STRICT, WITHOUT ROWID;

-- Kept with each change of a device, so that nobody counts rows.
CREATE TABLE device_count (
    hub      INTEGER PRIMARY KEY,
    enabled  INTEGER NOT NULL,
    disabled INTEGER NOT NULL
) STRICT;

-- A device without a row here has the empty twin.
CREATE TABLE twin (
    hub      INTEGER NOT NULL,
    id       TEXT    NOT NULL,
    document TEXT    NOT NULL,
    PRIMARY KEY (hub, id)
) STRICT;

CREATE TABLE individual (
    service  INTEGER NOT NULL,
    id       TEXT    NOT NULL,
    document TEXT    NOT NULL,
    PRIMARY KEY (service, id)
) STRICT;

-- Client certificates of disabled individual enrollments.
CREATE TABLE disabled_certificate (
    service INTEGER NOT NULL,
    sha256  BLOB    NOT NULL,
    id      TEXT    NOT NULL,
    PRIMARY KEY (service, sha256, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX disabled_certificate_id ON disabled_certificate (service, id);

CREATE TABLE enrollment_group (
    service   INTEGER NOT NULL,
    id        TEXT    NOT NULL,
    symmetric INTEGER NOT NULL,
    document  TEXT    NOT NULL,
    PRIMARY KEY (service, id)
) STRICT;
CREATE INDEX enrollment_group_symmetric ON enrollment_group (service, id) WHERE symmetric = 1;

-- Signing certificates of enrollment groups, by SHA-256 of the subject's DER and of their own.
CREATE TABLE signing_certificate (
    service INTEGER NOT NULL,
    subject BLOB    NOT NULL,
    sha256  BLOB    NOT NULL,
    grp     TEXT    NOT NULL,
    der     BLOB    NOT NULL,
    PRIMARY KEY (service, sha256, grp)
) STRICT;
CREATE INDEX signing_certificate_subject ON signing_certificate (service, subject, sha256);
CREATE INDEX signing_certificate_grp ON signing_certificate (service, grp);

-- Names of CA certificates that enrollment groups refer to.
CREATE TABLE ca_reference (
    service INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    grp     TEXT    NOT NULL,
    PRIMARY KEY (service, name, grp)
) STRICT, WITHOUT ROWID;
CREATE INDEX ca_reference_grp ON ca_reference (service, grp);

-- `pending` is the attempt that goes on, `began` when it began; both are absent when nothing goes on.
CREATE TABLE registration (
    service   INTEGER NOT NULL,
    id        TEXT    NOT NULL,
    operation TEXT    NOT NULL,
    grp       TEXT,
    began     INTEGER,
    pending   TEXT,
    document  TEXT    NOT NULL,
    PRIMARY KEY (service, id)
) STRICT;
CREATE INDEX registration_operation ON registration (operation);
CREATE INDEX registration_grp ON registration (service, grp, id) WHERE grp IS NOT NULL;
CREATE INDEX registration_began ON registration (began) WHERE began IS NOT NULL;
