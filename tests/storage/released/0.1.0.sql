-- A file of Tallymark 0.1.0 (schema 1) in which everything that it knew has happened, as `.dump` writes it.
BEGIN TRANSACTION;
CREATE TABLE aliases (
    project INTEGER NOT NULL,
    model   INTEGER NOT NULL,
    alias   TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    PRIMARY KEY (project, model, alias)
) STRICT, WITHOUT ROWID;
INSERT INTO "aliases" VALUES(1,1,'champion',2);
CREATE TABLE events (
    project         INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    kind            TEXT    NOT NULL,
    time            INTEGER NOT NULL,
    actor           TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    model           INTEGER NOT NULL, -- 0 when the event is about no model
    number          INTEGER NOT NULL, -- of the version; of a model's event, its last number then; else 0
    previous_stage  TEXT,
    alias           TEXT    NOT NULL,
    previous_number INTEGER NOT NULL,
    previous_name   TEXT    NOT NULL,
    image           TEXT    NOT NULL,
    hash            BLOB    NOT NULL,
    PRIMARY KEY (project, revision)
) STRICT, WITHOUT ROWID;
INSERT INTO "events" VALUES(1,1,'model_created',1000000,'ana','',1,0,NULL,'',0,'','{"id":1,"name":"churn","creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":1,"mod_revision":1}',X'185B7FCEF340A0C7C3AE6CA774FE7DC453F20949671D5F827258995B5A9EBF9C');
INSERT INTO "events" VALUES(1,2,'version_created',1000000,'ana','',1,1,NULL,'',0,'','{"model_id":1,"number":1,"name":"a","creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":2,"mod_revision":2}',X'B73543585DDA278D3D966CEBF20D7968E3DED44E5E6439BFDA43C9211474D82C');
INSERT INTO "events" VALUES(1,3,'version_created',1000000,'ana','',1,2,NULL,'',0,'','{"model_id":1,"number":2,"creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":3,"mod_revision":3}',X'EAEE310AAA098C54CA08A78AB41898E14A0CD67DB4A2FC7C977D04B014644A4B');
INSERT INTO "events" VALUES(1,4,'version_created',1000000,'ana','',1,3,NULL,'',0,'','{"model_id":1,"number":3,"creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":4,"mod_revision":4}',X'1962FCFD833C51AF90B6DC735D9ED229985808E5B38AB36ACBAC9072512A4E59');
INSERT INTO "events" VALUES(1,5,'run_started',1000000,'ana','',0,0,NULL,'',0,'','{"id":"r1","pipeline":"training","creator":"ana","create_time":1000000,"create_revision":5,"mod_revision":5}',X'3677CC30D9179200BE0871E6D4C69952852A07DB18B0B419920746AFEEF078C6');
INSERT INTO "events" VALUES(1,6,'version_created',1000000,'ana','',1,4,NULL,'',0,'','{"model_id":1,"number":4,"run":"r1","automatic":true,"creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":6,"mod_revision":6}',X'53C4C886D6CEAD7432E8410AB5C57D613CDA43D919938C24F0ABF01026F4C1DB');
INSERT INTO "events" VALUES(1,7,'run_finished',1000000,'ana','',0,0,NULL,'',0,'','{"id":"r1","pipeline":"training","state":"failed","error":"lost","creator":"ana","create_time":1000000,"end_time":1000000,"create_revision":5,"mod_revision":7}',X'2C6E4FE017CCFD729FA0514B0909720AF7B92030F4AE66BA6392CC8DE183763E');
INSERT INTO "events" VALUES(1,8,'stage_changed',1000000,'ana','',1,1,'none','',0,'','{"model_id":1,"number":1,"name":"a","stage":"production","creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":2,"mod_revision":8}',X'34C4F7531D266DA785C8585B1B4F0CE2039CE7A54FAD4B41E3517BEB8F5C0E79');
INSERT INTO "events" VALUES(1,9,'stage_changed',1000000,'ana','better',1,1,'production','',0,'','{"model_id":1,"number":1,"name":"a","stage":"archived","creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":2,"mod_revision":9}',X'F0847E429034BFC5BF47BC22BD78DAC825C6672F1F75725E1907F4978EC636F9');
INSERT INTO "events" VALUES(1,10,'stage_changed',1000000,'ana','better',1,2,'none','',0,'','{"model_id":1,"number":2,"stage":"production","creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":3,"mod_revision":10}',X'B86776766A580C351F650C7141921E8194DCE47FAC8C6A9401B551150F39B2EE');
INSERT INTO "events" VALUES(1,11,'alias_set',1000000,'ana','',1,1,NULL,'champion',0,'','{"model_id":1,"number":1,"name":"a","stage":"archived","aliases":["champion"],"creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":2,"mod_revision":11}',X'168F374E5231809E4F6E0B21FAFFB82CBD1F7B4C8B58C543F852F11075D00002');
INSERT INTO "events" VALUES(1,12,'alias_deleted',1000000,'ana','',1,1,NULL,'champion',1,'','{"model_id":1,"number":1,"name":"a","stage":"archived","creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":2,"mod_revision":12}',X'D6BD476B78DBD19C61BA6ED61249484911C4D3030316E91D00325AFD9928E690');
INSERT INTO "events" VALUES(1,13,'alias_set',1000000,'ana','',1,2,NULL,'champion',1,'','{"model_id":1,"number":2,"stage":"production","aliases":["champion"],"creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":3,"mod_revision":13}',X'1F12940F63AB9872DD2B94973683BF0CC2E693D9FD2381A4BAEEACBF384A7C93');
INSERT INTO "events" VALUES(1,14,'metadata_logged',1000000,'ana','',1,1,NULL,'',0,'','{"model_id":1,"number":1,"name":"a","stage":"archived","metadata":{"auc":0.5},"creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":2,"mod_revision":14}',X'39752BD14D7E114A62989010B1CE063C02BF80A9D1E401747C7BC35879229C43');
INSERT INTO "events" VALUES(1,15,'version_renamed',1000000,'ana','',1,1,NULL,'',0,'a','{"model_id":1,"number":1,"name":"b","stage":"archived","metadata":{"auc":0.5},"creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":2,"mod_revision":15}',X'52D0622BF5BE8E1255BAB756F2591F12A86B8C5EE6576A504B9C0540349A577D');
INSERT INTO "events" VALUES(1,16,'version_deleted',1000000,'ana','',1,3,NULL,'',0,'','{"model_id":1,"number":3,"creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":4,"mod_revision":16,"delete_time":1000000}',X'7D0AD835C8646EEFDC87963888EF424961038763072C2186A791624CC32E9BF7');
INSERT INTO "events" VALUES(1,17,'model_renamed',1000000,'ana','',1,4,NULL,'',0,'churn','{"id":1,"name":"retention","creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":1,"mod_revision":17}',X'82E49AD1EE36ECAB204ED6B7787A203C9D8EFAD18EA9598F23D3AEE3165CADE1');
INSERT INTO "events" VALUES(1,18,'model_created',1000000,'ana','',2,0,NULL,'',0,'','{"id":2,"name":"gone","creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":18,"mod_revision":18}',X'FECA560563176B156E457E7BCDC9F75BDE0F60B60D3103A21B6FDCBE16D9A041');
INSERT INTO "events" VALUES(1,19,'model_deleted',1000000,'ana','',2,0,NULL,'',0,'','{"id":2,"name":"gone","creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":18,"mod_revision":19,"delete_time":1000000}',X'0AC41730F995DF3639C6FAB82CA02E85470E4DB96D77043FFCE5BD66BEAAF3B7');
INSERT INTO "events" VALUES(1,20,'model_purged',1000000,'ana','',2,0,NULL,'',0,'','{"id":2,"name":"gone","creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":18,"mod_revision":20,"delete_time":1000000,"purged":true}',X'AC7A94B627E161F670653EAB3419D30B4FD6FAAE2A2BA9890F35DF5518D43B94');
INSERT INTO "events" VALUES(1,21,'model_created',1000000,'ana','',2,0,NULL,'',0,'','{"id":2,"name":"gone","creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":21,"mod_revision":21}',X'8D9B6A7F9B86E2B4E9C3B5DC6C776453467279EBE17B5BF349E18229730F67A4');
INSERT INTO "events" VALUES(2,1,'model_created',1000000,'ana','',1,0,NULL,'',0,'','{"id":1,"name":"churn","creator":"ana","create_time":1000000,"update_time":1000000,"create_revision":1,"mod_revision":1}',X'C4D3FA330F915559B5F56F2ED188EBDA7C481C4C7FB52512F00C9F450A0C1D78');
CREATE TABLE models (
    project     INTEGER NOT NULL,
    id          INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    last_number INTEGER NOT NULL,
    deleted     INTEGER NOT NULL, -- 0 there, 1 deleted, 2 purged
    revision    INTEGER NOT NULL,
    PRIMARY KEY (project, id)
) STRICT, WITHOUT ROWID;
INSERT INTO "models" VALUES(1,1,'retention',4,0,17);
INSERT INTO "models" VALUES(1,2,'gone',0,0,21);
INSERT INTO "models" VALUES(2,1,'churn',0,0,1);
CREATE TABLE projects (
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    log_id        TEXT    NOT NULL,
    revision      INTEGER NOT NULL DEFAULT 0,
    time          INTEGER NOT NULL DEFAULT 0,
    last_model_id INTEGER NOT NULL DEFAULT 0,
    hash          BLOB    NOT NULL DEFAULT x''
) STRICT;
INSERT INTO "projects" VALUES(1,'default','cb44623f142ef0a9',21,1000000,2,X'8D9B6A7F9B86E2B4E9C3B5DC6C776453467279EBE17B5BF349E18229730F67A4');
INSERT INTO "projects" VALUES(2,'other','898f4b89e71fc561',1,1000000,1,X'C4D3FA330F915559B5F56F2ED188EBDA7C481C4C7FB52512F00C9F450A0C1D78');
CREATE TABLE receipts (
    project        INTEGER NOT NULL,
    request_id     TEXT    NOT NULL,
    fingerprint    BLOB    NOT NULL,
    first_revision INTEGER NOT NULL,
    last_revision  INTEGER NOT NULL,
    PRIMARY KEY (project, request_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "receipts" VALUES(1,'one',X'31',1,1);
INSERT INTO "receipts" VALUES(1,'two',X'32',2,4);
CREATE TABLE renames (
    project  INTEGER NOT NULL,
    old_name TEXT    NOT NULL,
    model    INTEGER NOT NULL,
    PRIMARY KEY (project, old_name)
) STRICT, WITHOUT ROWID;
INSERT INTO "renames" VALUES(1,'churn',1);
CREATE TABLE runs (
    project        INTEGER NOT NULL,
    id             TEXT    NOT NULL,
    start_revision INTEGER NOT NULL,
    revision       INTEGER NOT NULL,
    PRIMARY KEY (project, id)
) STRICT, WITHOUT ROWID;
INSERT INTO "runs" VALUES(1,'r1',5,7);
CREATE TABLE versions (
    project       INTEGER NOT NULL,
    model         INTEGER NOT NULL,
    number        INTEGER NOT NULL,
    name          TEXT,             -- null when called by its number
    stage         TEXT,             -- null for none
    automatic_run TEXT,             -- the run whose one automatic version of this model it is
    deleted       INTEGER NOT NULL, -- 0 there, 1 deleted
    revision      INTEGER NOT NULL,
    PRIMARY KEY (project, model, number)
) STRICT, WITHOUT ROWID;
INSERT INTO "versions" VALUES(1,1,1,'b','archived',NULL,0,15);
INSERT INTO "versions" VALUES(1,1,2,NULL,'production',NULL,0,13);
INSERT INTO "versions" VALUES(1,1,3,NULL,NULL,NULL,1,16);
INSERT INTO "versions" VALUES(1,1,4,NULL,NULL,'r1',0,6);
CREATE UNIQUE INDEX models_by_name ON models (project, name);
CREATE UNIQUE INDEX versions_by_name ON versions (project, model, name) WHERE name IS NOT NULL;
CREATE UNIQUE INDEX versions_by_run ON versions (project, automatic_run, model) WHERE automatic_run IS NOT NULL;
CREATE UNIQUE INDEX stage_holders ON versions (project, model, stage) WHERE stage IN ('staging', 'production');
CREATE UNIQUE INDEX runs_by_start ON runs (project, start_revision);
PRAGMA user_version=1;
PRAGMA application_id=1953329771;
COMMIT;
