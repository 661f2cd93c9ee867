-- Versions whose name, and with it tags or metadata, were changed at once went on to be found by what they had before.

CREATE TEMP TABLE renamed AS
SELECT versions.project, versions.model, versions.number, events.image FROM versions
JOIN events ON events.project = versions.project AND events.revision = versions.revision
WHERE versions.deleted < 2 AND (versions.project, versions.model, versions.number) IN (
    SELECT project, model, number FROM events WHERE kind = 'version_renamed'
);
DELETE FROM facts WHERE (project, model, number) IN (SELECT project, model, number FROM temp.renamed);
INSERT OR IGNORE INTO facts
SELECT project, model, 'tags', substr(tag.value, 1, 255), number
FROM temp.renamed JOIN json_each(renamed.image, '$.tags') AS tag;
INSERT INTO facts
SELECT project, model, 'metadata.' || fact.key, value_of_fact(renamed.image, fact.key), number
FROM temp.renamed JOIN json_each(renamed.image, '$.metadata') AS fact;
DROP TABLE temp.renamed;
