-- What runs, artifacts and metrics were at a revision: since when, and until when, each of them is as it is.

-- A run and a step are changed once, when they are finished: before, they were as they were started.
DROP INDEX changes_of_runs;

-- Artifacts that were unlinked were there before.
DROP INDEX artifacts_by_identity;
CREATE INDEX artifacts_by_identity ON artifacts (project, identity, role);

ALTER TABLE run_versions ADD COLUMN revision INTEGER NOT NULL DEFAULT 0; -- at which the run made or used it
UPDATE run_versions SET revision = (
    SELECT min(events.revision) FROM events
    WHERE events.project = run_versions.project AND events.model = run_versions.model
        AND events.number = run_versions.number AND CASE run_versions.role
            WHEN 'made' THEN events.kind = 'version_created'
            ELSE events.kind = 'version_used' AND json_extract(events.image, '$.run') = run_versions.run
        END
);

ALTER TABLE points ADD COLUMN revision INTEGER NOT NULL DEFAULT 0; -- at which it was logged
DELETE FROM points;

-- Points that were measured again, and those of series that ended.
CREATE TABLE past_points (
    project      INTEGER NOT NULL,
    model        INTEGER NOT NULL,
    number       INTEGER NOT NULL,
    metric       TEXT    NOT NULL,
    step         INTEGER NOT NULL,
    end_revision INTEGER NOT NULL, -- from which on it is not there
    value        REAL,
    time         INTEGER NOT NULL,
    revision     INTEGER NOT NULL, -- at which it was logged
    PRIMARY KEY (project, model, number, metric, step, end_revision)
) STRICT, WITHOUT ROWID;

-- A change takes series away before it logs points. What has no end is moved to where it belongs afterwards.
INSERT INTO past_points
WITH changes AS (
    SELECT events.* FROM events JOIN versions ON versions.project = events.project AND versions.model = events.model
        AND versions.number = events.number AND versions.deleted < 2
    WHERE events.kind = 'metrics_logged'
), told AS (
    SELECT project, model, number, revision, json_extract(point.value, '$[0]') AS metric,
        json_extract(point.value, '$[1]') AS step, point.value AS point
    FROM changes, json_each(changes.image, '$.points') AS point
    UNION ALL
    SELECT project, model, number, revision, series.value, NULL, NULL
    FROM changes, json_each(changes.image, '$.deleted_keys') AS series
), ended AS (
    SELECT *, min(CASE WHEN step IS NULL THEN revision END) OVER (
        PARTITION BY project, model, number, metric ORDER BY revision
        RANGE BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
    ) AS end_revision
    FROM told
), measured AS (
    SELECT *, lead(revision) OVER (
        PARTITION BY project, model, number, metric, step ORDER BY revision
    ) AS next_revision
    FROM ended WHERE step IS NOT NULL
)
SELECT project, model, number, metric, step,
    min(coalesce(end_revision, 9223372036854775807), coalesce(next_revision, 9223372036854775807)),
    value_of_point(point), json_extract(point, '$[3]'), revision
FROM measured;

INSERT INTO points SELECT project, model, number, metric, step, value, time, revision FROM past_points
WHERE end_revision = 9223372036854775807;
DELETE FROM past_points WHERE end_revision = 9223372036854775807;
