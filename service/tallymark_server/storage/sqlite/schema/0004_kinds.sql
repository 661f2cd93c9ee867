-- Events of some kinds, each kind by itself in its order: of a project, of a model, and of a version. Those of which
-- there are as many as there are changes are in none of them: they would make every change dearer.
DROP INDEX rare_events;
DROP INDEX seldom_events;
CREATE INDEX kinds_of_projects ON events (project, kind, revision)
    WHERE kind <> 'metadata_logged' AND kind <> 'metrics_logged' AND kind <> 'version_created';
CREATE INDEX kinds_of_models ON events (project, model, kind, revision)
    WHERE kind <> 'metadata_logged' AND kind <> 'metrics_logged' AND kind <> 'version_created';
CREATE INDEX kinds_of_versions ON events (project, model, number, kind, revision)
    WHERE kind <> 'metadata_logged' AND kind <> 'metrics_logged' AND kind <> 'version_created';
