-- Answers without effect by request_id: refusals, and what was as it should be already. Those of projects that are not
-- there belong to project 0, their request_id after the project's name and a slash. They are no part of the log.
CREATE TABLE answers (
    project     INTEGER NOT NULL,
    ordinal     INTEGER NOT NULL, -- from the oldest on; of what is forgotten, the oldest is forgotten first
    request_id  TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    time        INTEGER NOT NULL,
    revision    INTEGER NOT NULL, -- where the log stood
    images      TEXT    NOT NULL, -- the revisions of the images that it was answered with, as JSON
    refusal     TEXT,             -- reason, message and metadata, as JSON
    PRIMARY KEY (project, ordinal)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX answers_by_request ON answers (project, request_id);
