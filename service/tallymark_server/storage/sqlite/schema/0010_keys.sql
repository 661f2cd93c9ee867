-- Keys of facts and artifacts that every engine can index, and sorts alike: see ../../index_keys.py. The functions are
-- those of migrate.py.
CREATE TABLE new_facts (
    project INTEGER NOT NULL,
    model   INTEGER NOT NULL,
    key     TEXT    NOT NULL,
    value   TEXT    NOT NULL, -- n and a number, or t and the beginning of a text; t alone cannot be compared
    number  INTEGER NOT NULL,
    PRIMARY KEY (project, model, key, value, number)
) STRICT, WITHOUT ROWID;
INSERT INTO new_facts SELECT project, model, key, fact_key(value), number FROM facts;
DROP TABLE facts;
ALTER TABLE new_facts RENAME TO facts;
CREATE INDEX facts_of_versions ON facts (project, model, number);

UPDATE artifacts SET identity = identity_key(identity) WHERE length(CAST(identity AS BLOB)) > 255;
