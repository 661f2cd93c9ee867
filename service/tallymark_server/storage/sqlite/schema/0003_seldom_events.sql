-- A project's events of the kinds that are seldom: moves between stages, aliases, names, what is deleted.
CREATE INDEX seldom_events ON events (project, revision, kind)
    WHERE kind <> 'artifact_linked' AND kind <> 'metadata_logged' AND kind <> 'metrics_logged' AND kind <> 'run_finished'
    AND kind <> 'run_started' AND kind <> 'step_finished' AND kind <> 'step_started' AND kind <> 'version_created'
    AND kind <> 'version_used';
