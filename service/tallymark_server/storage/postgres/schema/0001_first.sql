-- readable from 1
-- The log is the truth. The other tables say where in the log to look: `revision` is that of the newest image.
-- Text is compared by code point. Times are microseconds since 1970, UTC. Every key begins with the project.

-- The end of each log. Whoever changes a project holds its row; every batch writes it anew, in the page where it is.
CREATE TABLE projects (
    id            bigint           NOT NULL PRIMARY KEY, -- a random number
    name          text COLLATE "C" NOT NULL UNIQUE,
    log_id        text COLLATE "C" NOT NULL,
    revision      bigint           NOT NULL,
    time          bigint           NOT NULL,
    last_model_id bigint           NOT NULL,
    hash          bytea            NOT NULL
) WITH (fillfactor = 20);

-- Each event's hash covers the event, the hash before it, and the digest of its content: see ../../log/chain.py.
CREATE TABLE events (
    project         bigint           NOT NULL,
    revision        bigint           NOT NULL,
    kind            text COLLATE "C" NOT NULL,
    time            bigint           NOT NULL,
    actor           text COLLATE "C" NOT NULL,
    reason          text COLLATE "C" NOT NULL,
    model           bigint           NOT NULL, -- 0 when the event is about no model
    number          bigint           NOT NULL, -- of the version; of a model's event, its last number then; else 0
    previous_stage  text COLLATE "C",
    alias           text COLLATE "C" NOT NULL,
    previous_number bigint           NOT NULL,
    previous_name   text COLLATE "C" NOT NULL,
    image           text COLLATE "C" NOT NULL, -- not jsonb, since the digest covers its bytes
    hash            bytea            NOT NULL,
    salt            bytea            NOT NULL,
    digest          bytea            NOT NULL, -- of the salt and the content as they are now
    erased          bigint           NOT NULL, -- the last event that erased content here; 0 for none
    PRIMARY KEY (project, revision)
);

CREATE INDEX events_of_versions ON events (project, model, number, revision);
CREATE INDEX events_of_models ON events (project, model, revision);
CREATE INDEX changes_of_models ON events (project, model, revision) WHERE (
    kind = 'model_created' OR kind = 'model_updated' OR kind = 'model_renamed' OR kind = 'model_deleted'
    OR kind = 'model_undeleted' OR kind = 'model_purged'
);
CREATE INDEX changes_of_runs ON events (project, ((image::json ->> 'id') COLLATE "C"), revision) WHERE (
    kind = 'run_finished' OR kind = 'run_lost' OR kind = 'run_resumed' OR kind = 'recording_problems_reported'
);
CREATE INDEX stage_changes ON events (project, model, ((image::json ->> 'stage') COLLATE "C"), revision)
    WHERE kind = 'stage_changed';
CREATE INDEX alias_changes ON events (project, model, alias, revision) WHERE kind = 'alias_set';
CREATE INDEX model_renames ON events (project, previous_name, revision) WHERE kind = 'model_renamed';
CREATE INDEX last_model_renames ON events (project, revision) WHERE kind = 'model_renamed';
CREATE INDEX version_renames ON events (project, model, previous_name, revision) WHERE kind = 'version_renamed';
-- Events of some kinds, each kind by itself in its order. Those of which there are as many as there are changes are in
-- none of them: they would make every change dearer.
CREATE INDEX kinds_of_projects ON events (project, kind, revision)
    WHERE kind <> 'metadata_logged' AND kind <> 'metrics_logged' AND kind <> 'version_created';
CREATE INDEX kinds_of_models ON events (project, model, kind, revision)
    WHERE kind <> 'metadata_logged' AND kind <> 'metrics_logged' AND kind <> 'version_created';
CREATE INDEX kinds_of_versions ON events (project, model, number, kind, revision)
    WHERE kind <> 'metadata_logged' AND kind <> 'metrics_logged' AND kind <> 'version_created';

-- Which events erased content of which others, and the digest of the content before. The oldest one is in the chain.
CREATE TABLE erasures (
    project         bigint NOT NULL,
    revision        bigint NOT NULL,
    erased_at       bigint NOT NULL,
    previous_digest bytea  NOT NULL,
    PRIMARY KEY (project, revision, erased_at)
);

CREATE INDEX erasures_by_event ON erasures (project, erased_at, revision);

-- The last number of a model changes with every version that is created.
CREATE TABLE models (
    project     bigint           NOT NULL,
    id          bigint           NOT NULL,
    name        text COLLATE "C" NOT NULL,
    last_number bigint           NOT NULL,
    deleted     bigint           NOT NULL, -- 0 there, 1 deleted, 2 purged
    revision    bigint           NOT NULL,
    PRIMARY KEY (project, id)
) WITH (fillfactor = 50);

CREATE UNIQUE INDEX models_by_name ON models (project, name);

-- What models were called before.
CREATE TABLE renames (
    project  bigint           NOT NULL,
    old_name text COLLATE "C" NOT NULL,
    model    bigint           NOT NULL,
    PRIMARY KEY (project, old_name)
);

CREATE TABLE versions (
    project       bigint           NOT NULL,
    model         bigint           NOT NULL,
    number        bigint           NOT NULL,
    name          text COLLATE "C",          -- null when called by its number
    stage         text COLLATE "C",          -- null for none
    automatic_run text COLLATE "C",          -- the run whose one automatic version of this model it is
    deleted       bigint           NOT NULL, -- 0 there, 1 deleted, 2 purged
    revision      bigint           NOT NULL,
    PRIMARY KEY (project, model, number)
);

CREATE UNIQUE INDEX versions_by_name ON versions (project, model, name) WHERE name IS NOT NULL;
CREATE UNIQUE INDEX versions_by_run ON versions (project, automatic_run, model) WHERE automatic_run IS NOT NULL;
CREATE UNIQUE INDEX stage_holders ON versions (project, model, stage) WHERE stage IN ('staging', 'production');
CREATE UNIQUE INDEX live_versions ON versions (project, model, number) WHERE deleted = 0;

CREATE TABLE aliases (
    project bigint           NOT NULL,
    model   bigint           NOT NULL,
    alias   text COLLATE "C" NOT NULL,
    number  bigint           NOT NULL,
    PRIMARY KEY (project, model, alias)
);

CREATE TABLE runs (
    project        bigint           NOT NULL,
    id             text COLLATE "C" NOT NULL,
    start_revision bigint           NOT NULL,
    revision       bigint           NOT NULL,
    awaited        bigint,          -- for how many microseconds a heartbeat is awaited; null when none is
    PRIMARY KEY (project, id)
);

CREATE UNIQUE INDEX runs_by_start ON runs (project, start_revision);
CREATE INDEX awaited_runs ON runs (project, id) WHERE awaited IS NOT NULL;

-- Which runs made and used which versions.
CREATE TABLE run_versions (
    project  bigint           NOT NULL,
    run      text COLLATE "C" NOT NULL,
    model    bigint           NOT NULL,
    number   bigint           NOT NULL,
    role     text COLLATE "C" NOT NULL, -- made or used
    revision bigint           NOT NULL, -- at which the run made or used it
    PRIMARY KEY (project, run, model, number)
);

CREATE INDEX runs_of_versions ON run_versions (project, model, number);

CREATE TABLE run_steps (
    project        bigint           NOT NULL,
    run            text COLLATE "C" NOT NULL,
    id             text COLLATE "C" NOT NULL,
    start_revision bigint           NOT NULL,
    revision       bigint           NOT NULL,
    PRIMARY KEY (project, run, id)
);

CREATE INDEX steps_by_start ON run_steps (project, run, start_revision);

-- What versions are made of and made from.
CREATE TABLE artifacts (
    project        bigint           NOT NULL,
    model          bigint           NOT NULL,
    number         bigint           NOT NULL,
    artifact       text COLLATE "C" NOT NULL,
    ordinal        bigint           NOT NULL,
    identity       text COLLATE "C" NOT NULL, -- by it the same thing is known at two versions: see ../../index_keys.py
    role           text COLLATE "C" NOT NULL,
    unlinked       bigint           NOT NULL, -- 0 there, 1 taken away
    start_revision bigint           NOT NULL,
    revision       bigint           NOT NULL,
    PRIMARY KEY (project, model, number, artifact, ordinal)
);

CREATE INDEX artifacts_by_start ON artifacts (project, model, number, start_revision);
CREATE INDEX artifacts_by_identity ON artifacts (project, identity, role);

-- The points of metrics. A value of null is not a number.
CREATE TABLE points (
    project  bigint           NOT NULL,
    model    bigint           NOT NULL,
    number   bigint           NOT NULL,
    metric   text COLLATE "C" NOT NULL,
    step     bigint           NOT NULL,
    value    double precision,
    time     bigint           NOT NULL,
    revision bigint           NOT NULL, -- at which it was logged
    PRIMARY KEY (project, model, number, metric, step)
);

-- Points that were measured again, and those of series that ended.
CREATE TABLE past_points (
    project      bigint           NOT NULL,
    model        bigint           NOT NULL,
    number       bigint           NOT NULL,
    metric       text COLLATE "C" NOT NULL,
    step         bigint           NOT NULL,
    end_revision bigint           NOT NULL, -- from which on it is not there
    value        double precision,
    time         bigint           NOT NULL,
    revision     bigint           NOT NULL, -- at which it was logged
    PRIMARY KEY (project, model, number, metric, step, end_revision)
);

-- By what versions are found: their tags, and their facts by `metadata.KEY`. See ../../index_keys.py.
CREATE TABLE facts (
    project bigint           NOT NULL,
    model   bigint           NOT NULL,
    key     text COLLATE "C" NOT NULL,
    value   text COLLATE "C" NOT NULL,
    number  bigint           NOT NULL,
    PRIMARY KEY (project, model, key, value, number)
);

CREATE INDEX facts_of_versions ON facts (project, model, number);

-- What each request_id has done: the first and the last event of its effect.
CREATE TABLE receipts (
    project        bigint           NOT NULL,
    request_id     text COLLATE "C" NOT NULL,
    fingerprint    bytea            NOT NULL,
    first_revision bigint           NOT NULL,
    last_revision  bigint           NOT NULL,
    PRIMARY KEY (project, request_id)
);

CREATE INDEX receipts_by_effect ON receipts (project, last_revision);

-- Answers without effect by request_id: refusals, and what was as it should be already. Those of projects that are not
-- there belong to project 0, their request_id after the project's name and a slash. They are no part of the log.
CREATE TABLE answers (
    project     bigint           NOT NULL,
    ordinal     bigint           NOT NULL, -- from the oldest on; of what is forgotten, the oldest is forgotten first
    request_id  text COLLATE "C" NOT NULL,
    fingerprint bytea            NOT NULL,
    time        bigint           NOT NULL,
    revision    bigint           NOT NULL, -- where the log stood
    images      text COLLATE "C" NOT NULL, -- the revisions of the images that it was answered with, as JSON
    refusal     text COLLATE "C",          -- reason, message and metadata, as JSON
    PRIMARY KEY (project, ordinal)
);

CREATE UNIQUE INDEX answers_by_request ON answers (project, request_id);

-- When a server last heard of a run that must send heartbeats, by the clock of the database.
CREATE TABLE signs_of_life (
    project bigint           NOT NULL,
    run     text COLLATE "C" NOT NULL,
    seen    timestamptz      NOT NULL,
    PRIMARY KEY (project, run)
) WITH (fillfactor = 50);

-- Who may do what, if that was set up: a log of its own for all projects, which no export has. See ../../access.py.
CREATE TABLE access_log (
    place bigint           NOT NULL PRIMARY KEY CHECK (place = 1), -- there is one at most
    id    text COLLATE "C" NOT NULL
);

CREATE TABLE access_events (
    revision bigint           NOT NULL PRIMARY KEY,
    time     bigint           NOT NULL,
    actor    text COLLATE "C" NOT NULL,
    content  text COLLATE "C" NOT NULL, -- not jsonb, since the hash covers its bytes
    hash     bytea            NOT NULL
);

CREATE TABLE access_sessions (
    hash        bytea            NOT NULL PRIMARY KEY,
    caller      text COLLATE "C" NOT NULL,
    expire_time bigint           NOT NULL
);

CREATE INDEX access_sessions_by_caller ON access_sessions (caller);
CREATE INDEX access_sessions_by_end ON access_sessions (expire_time);

-- The last day on which each token was used, in days since 1970.
CREATE TABLE access_uses (
    token text COLLATE "C" NOT NULL PRIMARY KEY,
    day   bigint           NOT NULL
) WITH (fillfactor = 50);
