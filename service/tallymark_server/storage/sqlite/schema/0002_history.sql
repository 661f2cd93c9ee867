-- Histories, reads as of the past, artifacts, metrics, steps, and which run made and used what.

-- No condition has IN: to prove one, SQLite makes a table of its list for every event, at twice an index's price.
CREATE INDEX events_of_versions ON events (project, model, number, revision);
CREATE INDEX events_of_models ON events (project, model, revision);
CREATE INDEX rare_events ON events (project, model, revision)
    WHERE kind <> 'metadata_logged' AND kind <> 'metrics_logged' AND kind <> 'version_created';
CREATE INDEX changes_of_models ON events (project, model, revision) WHERE (
    kind = 'model_created' OR kind = 'model_updated' OR kind = 'model_renamed' OR kind = 'model_deleted'
    OR kind = 'model_undeleted' OR kind = 'model_purged'
);
CREATE INDEX changes_of_runs ON events (project, json_extract(image, '$.id'), revision)
    WHERE (kind = 'run_started' OR kind = 'run_finished');
CREATE INDEX stage_changes ON events (project, model, json_extract(image, '$.stage'), revision)
    WHERE kind = 'stage_changed';
CREATE INDEX alias_changes ON events (project, model, alias, revision) WHERE kind = 'alias_set';
CREATE INDEX model_renames ON events (project, previous_name, revision) WHERE kind = 'model_renamed';
CREATE INDEX last_model_renames ON events (project, revision) WHERE kind = 'model_renamed';
CREATE INDEX version_renames ON events (project, model, previous_name, revision) WHERE kind = 'version_renamed';

-- What versions are made of and made from.
CREATE TABLE artifacts (
    project        INTEGER NOT NULL,
    model          INTEGER NOT NULL,
    number         INTEGER NOT NULL,
    artifact       TEXT    NOT NULL,
    ordinal        INTEGER NOT NULL,
    identity       TEXT    NOT NULL, -- the digest, otherwise the uri: by it the same thing is known at two versions
    role           TEXT    NOT NULL,
    unlinked       INTEGER NOT NULL, -- 0 there, 1 taken away
    start_revision INTEGER NOT NULL,
    revision       INTEGER NOT NULL,
    PRIMARY KEY (project, model, number, artifact, ordinal)
) STRICT, WITHOUT ROWID;

CREATE INDEX artifacts_by_start ON artifacts (project, model, number, start_revision);
CREATE INDEX artifacts_by_identity ON artifacts (project, identity, role) WHERE unlinked = 0;

-- The points of metrics. A value of null is not a number.
CREATE TABLE points (
    project INTEGER NOT NULL,
    model   INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    metric  TEXT    NOT NULL,
    step    INTEGER NOT NULL,
    value   REAL,
    time    INTEGER NOT NULL,
    PRIMARY KEY (project, model, number, metric, step)
) STRICT, WITHOUT ROWID;

-- Which runs made and used which versions.
CREATE TABLE run_versions (
    project INTEGER NOT NULL,
    run     TEXT    NOT NULL,
    model   INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    role    TEXT    NOT NULL, -- made or used
    PRIMARY KEY (project, run, model, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_of_versions ON run_versions (project, model, number);

INSERT INTO run_versions
SELECT events.project, json_extract(events.image, '$.run'), events.model, events.number, 'made' FROM events
JOIN versions ON versions.project = events.project AND versions.model = events.model AND versions.number = events.number
WHERE events.kind = 'version_created' AND json_extract(events.image, '$.run') IS NOT NULL;

CREATE TABLE run_steps (
    project        INTEGER NOT NULL,
    run            TEXT    NOT NULL,
    id             TEXT    NOT NULL,
    start_revision INTEGER NOT NULL,
    revision       INTEGER NOT NULL,
    PRIMARY KEY (project, run, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX steps_by_start ON run_steps (project, run, start_revision);

-- By what versions are found: their tags, and their facts by `metadata.KEY`. Of a text its beginning, of a flag 0 or 1,
-- and of what cannot be compared only that it is there.
CREATE TABLE facts (
    project INTEGER NOT NULL,
    model   INTEGER NOT NULL,
    key     TEXT    NOT NULL,
    value   ANY     NOT NULL,
    number  INTEGER NOT NULL,
    PRIMARY KEY (project, model, key, value, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX facts_of_versions ON facts (project, model, number);
CREATE UNIQUE INDEX live_versions ON versions (project, model, number) WHERE deleted = 0;

INSERT OR IGNORE INTO facts
SELECT versions.project, versions.model, 'tags', substr(tag.value, 1, 255), versions.number
FROM versions JOIN events ON events.project = versions.project AND events.revision = versions.revision
JOIN json_each(events.image, '$.tags') AS tag;

INSERT INTO facts
SELECT versions.project, versions.model, 'metadata.' || fact.key,
    CASE
        WHEN fact.type IN ('integer', 'real', 'true', 'false') THEN CAST(fact.value AS REAL)
        WHEN fact.type = 'text' THEN substr(fact.value, 1, 255)
        WHEN fact.type = 'object' THEN coalesce(substr(json_extract(fact.value, '$.uri'), 1, 255), '')
        ELSE ''
    END,
    versions.number
FROM versions JOIN events ON events.project = versions.project AND events.revision = versions.revision
JOIN json_each(events.image, '$.metadata') AS fact;
