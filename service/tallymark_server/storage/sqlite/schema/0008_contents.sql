-- The chain of hashes covers digests of contents instead of the contents, so that these can be erased: see ../../log/chain.py.
ALTER TABLE events ADD COLUMN salt BLOB NOT NULL DEFAULT x'';
ALTER TABLE events ADD COLUMN digest BLOB NOT NULL DEFAULT x''; -- of the salt and the content as they are now
ALTER TABLE events ADD COLUMN erased INTEGER NOT NULL DEFAULT 0; -- the last event that erased content here; 0 for none

-- Which events erased content of which others, and the digest of the content before. The oldest one is in the chain.
CREATE TABLE erasures (
    project         INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    erased_at       INTEGER NOT NULL,
    previous_digest BLOB    NOT NULL,
    PRIMARY KEY (project, revision, erased_at)
) STRICT, WITHOUT ROWID;

-- The contents that an event erased. Whether its bytes are gone from the file too, `unscrubbed` says: it has a row from
-- the commit of an erasure until the file is written anew.
CREATE INDEX erasures_by_event ON erasures (project, erased_at, revision);
CREATE TABLE unscrubbed (erased_at INTEGER NOT NULL) STRICT;
