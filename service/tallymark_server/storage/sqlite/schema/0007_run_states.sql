-- A run may be lost, resumed and finished, and has problems reported: it is found as it was at a revision.
CREATE INDEX changes_of_runs ON events (project, json_extract(image, '$.id'), revision) WHERE (
    kind = 'run_finished' OR kind = 'run_lost' OR kind = 'run_resumed' OR kind = 'recording_problems_reported'
);

-- For how many microseconds a heartbeat is awaited; null when none is: the run has ended, or sends none.
ALTER TABLE runs ADD COLUMN awaited INTEGER;
CREATE INDEX awaited_runs ON runs (project, id) WHERE awaited IS NOT NULL;

-- After this step, versions of earlier releases are given the state of the run that made them: see run_states.py.
