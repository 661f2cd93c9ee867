-- The log is the truth. The other tables say where in the log to look: `revision` is that of the newest image.
-- Text is compared with the default collation BINARY, by code point. Times are microseconds since 1970, UTC.

CREATE TABLE projects (
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    log_id        TEXT    NOT NULL,
    revision      INTEGER NOT NULL DEFAULT 0,
    time          INTEGER NOT NULL DEFAULT 0,
    last_model_id INTEGER NOT NULL DEFAULT 0,
    hash          BLOB    NOT NULL DEFAULT x''
) STRICT;

-- Each event's hash covers the event and the hash before it.
CREATE TABLE events (
    project         INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    kind            TEXT    NOT NULL,
    time            INTEGER NOT NULL,
    actor           TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    model           INTEGER NOT NULL, -- 0 when the event is about no model
    number          INTEGER NOT NULL, -- of the version; of a model's event, its last number then; else 0
    previous_stage  TEXT,
    alias           TEXT    NOT NULL,
    previous_number INTEGER NOT NULL,
    previous_name   TEXT    NOT NULL,
    image           TEXT    NOT NULL,
    hash            BLOB    NOT NULL,
    PRIMARY KEY (project, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE models (
    project     INTEGER NOT NULL,
    id          INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    last_number INTEGER NOT NULL,
    deleted     INTEGER NOT NULL, -- 0 there, 1 deleted, 2 purged
    revision    INTEGER NOT NULL,
    PRIMARY KEY (project, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX models_by_name ON models (project, name);

-- What models were called before.
CREATE TABLE renames (
    project  INTEGER NOT NULL,
    old_name TEXT    NOT NULL,
    model    INTEGER NOT NULL,
    PRIMARY KEY (project, old_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE versions (
    project       INTEGER NOT NULL,
    model         INTEGER NOT NULL,
    number        INTEGER NOT NULL,
    name          TEXT,             -- null when called by its number
    stage         TEXT,             -- null for none
    automatic_run TEXT,             -- the run whose one automatic version of this model it is
    deleted       INTEGER NOT NULL, -- 0 there, 1 deleted
    revision      INTEGER NOT NULL,
    PRIMARY KEY (project, model, number)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX versions_by_name ON versions (project, model, name) WHERE name IS NOT NULL;
CREATE UNIQUE INDEX versions_by_run ON versions (project, automatic_run, model) WHERE automatic_run IS NOT NULL;
CREATE UNIQUE INDEX stage_holders ON versions (project, model, stage) WHERE stage IN ('staging', 'production');

CREATE TABLE aliases (
    project INTEGER NOT NULL,
    model   INTEGER NOT NULL,
    alias   TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    PRIMARY KEY (project, model, alias)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    project        INTEGER NOT NULL,
    id             TEXT    NOT NULL,
    start_revision INTEGER NOT NULL,
    revision       INTEGER NOT NULL,
    PRIMARY KEY (project, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX runs_by_start ON runs (project, start_revision);

-- What each request_id has done: the first and the last event of its effect.
CREATE TABLE receipts (
    project        INTEGER NOT NULL,
    request_id     TEXT    NOT NULL,
    fingerprint    BLOB    NOT NULL,
    first_revision INTEGER NOT NULL,
    last_revision  INTEGER NOT NULL,
    PRIMARY KEY (project, request_id)
) STRICT, WITHOUT ROWID;
