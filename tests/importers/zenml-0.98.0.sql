-- The tables of a ZenML 0.98.0 store that the import reads, as ZenML made and filled them.

CREATE TABLE artifact (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	name VARCHAR NOT NULL,
	has_custom_name BOOLEAN NOT NULL,
	project_id CHAR(32) NOT NULL,
	user_id CHAR(32),
	PRIMARY KEY (id),
	CONSTRAINT unique_artifact_name_in_project UNIQUE (name, project_id),
	CONSTRAINT fk_artifact_project_id_project FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
	CONSTRAINT fk_artifact_user_id_user FOREIGN KEY(user_id) REFERENCES user (id) ON DELETE SET NULL
);
INSERT INTO "artifact" ("id", "created", "updated", "name", "has_custom_name", "project_id", "user_id") VALUES ('3b9ca3d5529a49b9b0f1b5f6f112c8b7', '2026-11-23 12:25:31.028141', '2026-11-23 12:25:31.028172', 'weights', 1, 'da90cb9a51354274b95732a39b16d112', '0ad7c341b12e4fa5a19f9217c15e0e00');
CREATE TABLE artifact_version (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	version VARCHAR NOT NULL,
	version_number INTEGER,
	type VARCHAR NOT NULL,
	uri TEXT NOT NULL,
	materializer TEXT NOT NULL,
	data_type TEXT NOT NULL,
	save_type TEXT NOT NULL,
	content_hash TEXT,
	item_count INTEGER,
	artifact_id CHAR(32) NOT NULL,
	artifact_store_id CHAR(32),
	user_id CHAR(32),
	project_id CHAR(32) NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT unique_version_for_artifact_id UNIQUE (version, artifact_id),
	CONSTRAINT fk_artifact_version_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id) ON DELETE CASCADE,
	CONSTRAINT fk_artifact_version_artifact_store_id_stack_component FOREIGN KEY(artifact_store_id) REFERENCES stack_component (id) ON DELETE SET NULL,
	CONSTRAINT fk_artifact_version_user_id_user FOREIGN KEY(user_id) REFERENCES user (id) ON DELETE SET NULL,
	CONSTRAINT fk_artifact_version_project_id_project FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE
);
INSERT INTO "artifact_version" ("id", "created", "updated", "version", "version_number", "type", "uri", "materializer", "data_type", "save_type", "content_hash", "item_count", "artifact_id", "artifact_store_id", "user_id", "project_id") VALUES ('502fdabbaa7d4a908ff76b22446a1cb2', '2026-11-23 12:25:31.035834', '2026-11-23 12:25:31.035866', '1', 1, 'BaseArtifact', '/tmp/zenml/local_stores/0f140e9c-793e-4970-8662-d571f11ede9e/train/weights/579d9b57-88fa-4fd3-baeb-bca6c2c6c755/ede1deb6', '{"module":"zenml.materializers.built_in_materializer","attribute":"BuiltInContainerMaterializer","type":"internal"}', '{"module":"builtins","attribute":"dict","type":"builtin"}', 'step_output', '2ff9680b518affe6d0809a54e64eb450', NULL, '3b9ca3d5529a49b9b0f1b5f6f112c8b7', '0f140e9c793e49708662d571f11ede9e', '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112');
INSERT INTO "artifact_version" ("id", "created", "updated", "version", "version_number", "type", "uri", "materializer", "data_type", "save_type", "content_hash", "item_count", "artifact_id", "artifact_store_id", "user_id", "project_id") VALUES ('2072c4966a29444fadad4551463109ce', '2026-11-23 12:25:38.474758', '2026-11-23 12:25:38.474789', '2', 2, 'BaseArtifact', '/tmp/zenml/local_stores/0f140e9c-793e-4970-8662-d571f11ede9e/train/weights/68d3c0af-30c4-45d3-9c09-d254a634cbc6/8fb3d50c', '{"module":"zenml.materializers.built_in_materializer","attribute":"BuiltInContainerMaterializer","type":"internal"}', '{"module":"builtins","attribute":"dict","type":"builtin"}', 'step_output', '2ff9680b518affe6d0809a54e64eb450', NULL, '3b9ca3d5529a49b9b0f1b5f6f112c8b7', '0f140e9c793e49708662d571f11ede9e', '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112');
CREATE TABLE code_reference (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	project_id CHAR(32) NOT NULL,
	code_repository_id CHAR(32) NOT NULL,
	"commit" VARCHAR NOT NULL,
	subdirectory VARCHAR NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT fk_code_reference_project_id_project FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
	CONSTRAINT fk_code_reference_code_repository_id_code_repository FOREIGN KEY(code_repository_id) REFERENCES code_repository (id) ON DELETE CASCADE
);
CREATE TABLE model (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	name VARCHAR NOT NULL,
	project_id CHAR(32) NOT NULL,
	user_id CHAR(32),
	license TEXT,
	description TEXT,
	audience TEXT,
	use_cases TEXT,
	limitations TEXT,
	trade_offs TEXT,
	ethics TEXT,
	save_models_to_registry BOOLEAN NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT unique_model_name_in_project UNIQUE (name, project_id),
	CONSTRAINT fk_model_project_id_project FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
	CONSTRAINT fk_model_user_id_user FOREIGN KEY(user_id) REFERENCES user (id) ON DELETE SET NULL
);
INSERT INTO "model" ("id", "created", "updated", "name", "project_id", "user_id", "license", "description", "audience", "use_cases", "limitations", "trade_offs", "ethics", "save_models_to_registry") VALUES ('33fac4f5ee6e41a9881d7c889f930185', '2026-11-23 12:25:28.334692', '2026-11-23 12:25:28.334729', 'churn', 'da90cb9a51354274b95732a39b16d112', '0ad7c341b12e4fa5a19f9217c15e0e00', 'MIT', 'who leaves', 'team', 'u', 'l', 't', 'e', 1);
INSERT INTO "model" ("id", "created", "updated", "name", "project_id", "user_id", "license", "description", "audience", "use_cases", "limitations", "trade_offs", "ethics", "save_models_to_registry") VALUES ('6cc92e9e0ba1450898b6fb940cca93f6', '2026-11-23 12:25:38.686983', '2026-11-23 12:25:38.687008', 'empty', 'da90cb9a51354274b95732a39b16d112', '0ad7c341b12e4fa5a19f9217c15e0e00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1);
INSERT INTO "model" ("id", "created", "updated", "name", "project_id", "user_id", "license", "description", "audience", "use_cases", "limitations", "trade_offs", "ethics", "save_models_to_registry") VALUES ('937191c56a6245df860142d9aee32d01', '2026-11-23 12:25:38.694590', '2026-11-23 12:25:38.694618', 'a/b@c', 'da90cb9a51354274b95732a39b16d112', '0ad7c341b12e4fa5a19f9217c15e0e00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1);
CREATE TABLE model_version (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	name VARCHAR NOT NULL,
	project_id CHAR(32) NOT NULL,
	user_id CHAR(32),
	model_id CHAR(32) NOT NULL,
	number INTEGER NOT NULL,
	description TEXT,
	stage TEXT,
	producer_run_id_if_numeric CHAR(32) NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT unique_version_number_for_model_id UNIQUE (number, model_id),
	CONSTRAINT unique_version_for_model_id UNIQUE (name, model_id),
	CONSTRAINT unique_numeric_version_for_pipeline_run UNIQUE (model_id, producer_run_id_if_numeric),
	CONSTRAINT fk_model_version_project_id_project FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
	CONSTRAINT fk_model_version_user_id_user FOREIGN KEY(user_id) REFERENCES user (id) ON DELETE SET NULL,
	CONSTRAINT fk_model_version_model_id_model FOREIGN KEY(model_id) REFERENCES model (id) ON DELETE CASCADE
);
INSERT INTO "model_version" ("id", "created", "updated", "name", "project_id", "user_id", "model_id", "number", "description", "stage", "producer_run_id_if_numeric") VALUES ('af5b55c5ea4c4c2cbc5b07b3ec33a00c', '2026-11-23 12:25:28.624997', '2026-11-23 12:25:28.625029', '1', 'da90cb9a51354274b95732a39b16d112', '0ad7c341b12e4fa5a19f9217c15e0e00', '33fac4f5ee6e41a9881d7c889f930185', 1, 'who leaves', NULL, '57473d2f413b4ab386e20e6fdd5aefdb');
INSERT INTO "model_version" ("id", "created", "updated", "name", "project_id", "user_id", "model_id", "number", "description", "stage", "producer_run_id_if_numeric") VALUES ('e0290674d5ec40269b68abfc69ce704c', '2026-11-23 12:25:32.413369', '2026-11-23 12:25:32.413401', '2', 'da90cb9a51354274b95732a39b16d112', '0ad7c341b12e4fa5a19f9217c15e0e00', '33fac4f5ee6e41a9881d7c889f930185', 2, 'who leaves', NULL, 'df1ceecd85914b60a8eef14d254a9729');
INSERT INTO "model_version" ("id", "created", "updated", "name", "project_id", "user_id", "model_id", "number", "description", "stage", "producer_run_id_if_numeric") VALUES ('63762ca4bafd4c7aae8df2ab2c2a3d64', '2026-11-23 12:25:34.589511', '2026-11-23 12:25:35.112634', '1.0.5', 'da90cb9a51354274b95732a39b16d112', '0ad7c341b12e4fa5a19f9217c15e0e00', '33fac4f5ee6e41a9881d7c889f930185', 3, 'named', 'production', '63762ca4bafd4c7aae8df2ab2c2a3d64');
INSERT INTO "model_version" ("id", "created", "updated", "name", "project_id", "user_id", "model_id", "number", "description", "stage", "producer_run_id_if_numeric") VALUES ('64b113f411794a10ab0f24e97adcb706', '2026-11-23 12:25:34.833712', '2026-11-23 12:25:35.132212', 'a/b', 'da90cb9a51354274b95732a39b16d112', '0ad7c341b12e4fa5a19f9217c15e0e00', '33fac4f5ee6e41a9881d7c889f930185', 5, NULL, 'staging', '64b113f411794a10ab0f24e97adcb706');
INSERT INTO "model_version" ("id", "created", "updated", "name", "project_id", "user_id", "model_id", "number", "description", "stage", "producer_run_id_if_numeric") VALUES ('e7b8f5779ca34d739e9d4af5ae19b8cf', '2026-11-23 12:25:34.961604', '2026-11-23 12:25:35.209139', 'production', 'da90cb9a51354274b95732a39b16d112', '0ad7c341b12e4fa5a19f9217c15e0e00', '33fac4f5ee6e41a9881d7c889f930185', 6, NULL, 'latest', 'e7b8f5779ca34d739e9d4af5ae19b8cf');
CREATE TABLE model_versions_artifacts (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	model_version_id CHAR(32) NOT NULL,
	artifact_version_id CHAR(32) NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT fk_model_versions_artifacts_model_version_id_model_version FOREIGN KEY(model_version_id) REFERENCES model_version (id) ON DELETE CASCADE,
	CONSTRAINT fk_model_versions_artifacts_artifact_version_id_artifact_version FOREIGN KEY(artifact_version_id) REFERENCES artifact_version (id) ON DELETE CASCADE
);
INSERT INTO "model_versions_artifacts" ("id", "created", "updated", "model_version_id", "artifact_version_id") VALUES ('36386bd4407547d09cfe03d3dca562eb', '2026-11-23 12:25:31.093582', '2026-11-23 12:25:31.093618', 'af5b55c5ea4c4c2cbc5b07b3ec33a00c', '502fdabbaa7d4a908ff76b22446a1cb2');
INSERT INTO "model_versions_artifacts" ("id", "created", "updated", "model_version_id", "artifact_version_id") VALUES ('1d0844d83dcd497e9882e341dff10048', '2026-11-23 12:25:38.513103', '2026-11-23 12:25:38.513133', '63762ca4bafd4c7aae8df2ab2c2a3d64', '2072c4966a29444fadad4551463109ce');
CREATE TABLE model_versions_runs (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	model_version_id CHAR(32) NOT NULL,
	pipeline_run_id CHAR(32) NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT fk_model_versions_runs_model_version_id_model_version FOREIGN KEY(model_version_id) REFERENCES model_version (id) ON DELETE CASCADE,
	CONSTRAINT fk_model_versions_runs_pipeline_run_id_pipeline_run FOREIGN KEY(pipeline_run_id) REFERENCES pipeline_run (id) ON DELETE CASCADE
);
INSERT INTO "model_versions_runs" ("id", "created", "updated", "model_version_id", "pipeline_run_id") VALUES ('b0819f94da5246af95ac76fd87e79f6f', '2026-11-23 12:25:28.925374', '2026-11-23 12:25:28.925405', 'af5b55c5ea4c4c2cbc5b07b3ec33a00c', '57473d2f413b4ab386e20e6fdd5aefdb');
INSERT INTO "model_versions_runs" ("id", "created", "updated", "model_version_id", "pipeline_run_id") VALUES ('eb22af1749ed4c0e8f6bdc58eff1203c', '2026-11-23 12:25:32.461470', '2026-11-23 12:25:32.461500', 'e0290674d5ec40269b68abfc69ce704c', 'df1ceecd85914b60a8eef14d254a9729');
INSERT INTO "model_versions_runs" ("id", "created", "updated", "model_version_id", "pipeline_run_id") VALUES ('5e9311345281409881506fcb56a864c3', '2026-11-23 12:25:37.270699', '2026-11-23 12:25:37.270728', '63762ca4bafd4c7aae8df2ab2c2a3d64', 'b0aa48087e7c4e10860ccfbfc315cfdf');
CREATE TABLE pipeline (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	name VARCHAR NOT NULL,
	description TEXT,
	project_id CHAR(32) NOT NULL,
	user_id CHAR(32),
	run_count INTEGER NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT unique_pipeline_name_in_project UNIQUE (name, project_id),
	CONSTRAINT fk_pipeline_project_id_project FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
	CONSTRAINT fk_pipeline_user_id_user FOREIGN KEY(user_id) REFERENCES user (id) ON DELETE SET NULL
);
INSERT INTO "pipeline" ("id", "created", "updated", "name", "description", "project_id", "user_id", "run_count") VALUES ('2bedafd41cb0410faa86ccd907515a18', '2026-11-23 12:25:27.930176', '2026-11-23 12:25:27.930205', 'training', NULL, 'da90cb9a51354274b95732a39b16d112', '0ad7c341b12e4fa5a19f9217c15e0e00', 1);
INSERT INTO "pipeline" ("id", "created", "updated", "name", "description", "project_id", "user_id", "run_count") VALUES ('7cf2d552188f412182f811dc4bc5ed77', '2026-11-23 12:25:32.336187', '2026-11-23 12:25:32.336222', 'failing', NULL, 'da90cb9a51354274b95732a39b16d112', '0ad7c341b12e4fa5a19f9217c15e0e00', 1);
INSERT INTO "pipeline" ("id", "created", "updated", "name", "description", "project_id", "user_id", "run_count") VALUES ('f8e0dde7ccbf4eb782f5d307fe8f3bcc', '2026-11-23 12:25:37.135964', '2026-11-23 12:25:37.135994', 'scoring', NULL, 'da90cb9a51354274b95732a39b16d112', '0ad7c341b12e4fa5a19f9217c15e0e00', 1);
CREATE TABLE pipeline_run (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	name VARCHAR NOT NULL,
	orchestrator_run_id VARCHAR,
	start_time DATETIME,
	end_time DATETIME,
	in_progress BOOLEAN NOT NULL,
	status VARCHAR NOT NULL,
	status_reason VARCHAR,
	orchestrator_environment TEXT,
	"index" INTEGER NOT NULL,
	enable_heartbeat BOOLEAN NOT NULL,
	exception_info VARCHAR(16777215),
	child_key VARCHAR,
	snapshot_id CHAR(32),
	user_id CHAR(32),
	project_id CHAR(32) NOT NULL,
	pipeline_id CHAR(32),
	model_version_id CHAR(32),
	pipeline_configuration TEXT,
	client_environment TEXT,
	stack_id CHAR(32),
	build_id CHAR(32),
	schedule_id CHAR(32),
	original_run_id CHAR(32),
	parent_run_id CHAR(32),
	root_run_id CHAR(32),
	triggered_by CHAR(32),
	triggered_by_type VARCHAR,
	PRIMARY KEY (id),
	CONSTRAINT unique_orchestrator_run_id_for_snapshot_id UNIQUE (snapshot_id, orchestrator_run_id),
	CONSTRAINT unique_run_name_in_project UNIQUE (name, project_id),
	CONSTRAINT unique_child_key_for_parent_run_id UNIQUE (parent_run_id, child_key),
	CONSTRAINT fk_pipeline_run_snapshot_id_pipeline_snapshot FOREIGN KEY(snapshot_id) REFERENCES pipeline_snapshot (id) ON DELETE CASCADE,
	CONSTRAINT fk_pipeline_run_user_id_user FOREIGN KEY(user_id) REFERENCES user (id) ON DELETE SET NULL,
	CONSTRAINT fk_pipeline_run_project_id_project FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
	CONSTRAINT fk_pipeline_run_pipeline_id_pipeline FOREIGN KEY(pipeline_id) REFERENCES pipeline (id) ON DELETE SET NULL,
	CONSTRAINT fk_pipeline_run_model_version_id_model_version FOREIGN KEY(model_version_id) REFERENCES model_version (id) ON DELETE SET NULL,
	CONSTRAINT fk_pipeline_run_stack_id_stack FOREIGN KEY(stack_id) REFERENCES stack (id) ON DELETE SET NULL,
	CONSTRAINT fk_pipeline_run_build_id_pipeline_build FOREIGN KEY(build_id) REFERENCES pipeline_build (id) ON DELETE SET NULL,
	CONSTRAINT fk_pipeline_run_schedule_id_schedule FOREIGN KEY(schedule_id) REFERENCES schedule (id) ON DELETE SET NULL,
	CONSTRAINT fk_pipeline_run_original_run_id_pipeline_run FOREIGN KEY(original_run_id) REFERENCES pipeline_run (id) ON DELETE SET NULL,
	CONSTRAINT fk_pipeline_run_parent_run_id_pipeline_run FOREIGN KEY(parent_run_id) REFERENCES pipeline_run (id) ON DELETE SET NULL,
	CONSTRAINT fk_pipeline_run_root_run_id_pipeline_run FOREIGN KEY(root_run_id) REFERENCES pipeline_run (id) ON DELETE SET NULL
);
INSERT INTO "pipeline_run" ("id", "created", "updated", "name", "orchestrator_run_id", "start_time", "end_time", "in_progress", "status", "status_reason", "orchestrator_environment", "index", "enable_heartbeat", "exception_info", "child_key", "snapshot_id", "user_id", "project_id", "pipeline_id", "model_version_id", "pipeline_configuration", "client_environment", "stack_id", "build_id", "schedule_id", "original_run_id", "parent_run_id", "root_run_id", "triggered_by", "triggered_by_type") VALUES ('57473d2f413b4ab386e20e6fdd5aefdb', '2026-11-23 12:25:28.206247', '2026-11-23 12:25:31.562596', 'training-2026_11_23-12_25_28_156197', '4002b09b-01da-4578-b4e7-52dc5293b170', '2026-11-23 12:25:28.156197', '2026-11-23 12:25:31.541386', 0, 'completed', NULL, '{}', 1, 1, NULL, NULL, 'e8d522c342474c188445b55330dddc57', '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', '2bedafd41cb0410faa86ccd907515a18', 'af5b55c5ea4c4c2cbc5b07b3ec33a00c', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO "pipeline_run" ("id", "created", "updated", "name", "orchestrator_run_id", "start_time", "end_time", "in_progress", "status", "status_reason", "orchestrator_environment", "index", "enable_heartbeat", "exception_info", "child_key", "snapshot_id", "user_id", "project_id", "pipeline_id", "model_version_id", "pipeline_configuration", "client_environment", "stack_id", "build_id", "schedule_id", "original_run_id", "parent_run_id", "root_run_id", "triggered_by", "triggered_by_type") VALUES ('df1ceecd85914b60a8eef14d254a9729', '2026-11-23 12:25:32.396037', '2026-11-23 12:25:34.103305', 'failing-2026_11_23-12_25_32_389851', '922a6f35-4024-4f65-8b36-25be5f8442a8', '2026-11-23 12:25:32.389851', '2026-11-23 12:25:34.103305', 0, 'failed', NULL, '{}', 1, 1, NULL, NULL, 'e0d3fc15dc36440da7131a123eaf02f7', '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', '7cf2d552188f412182f811dc4bc5ed77', 'e0290674d5ec40269b68abfc69ce704c', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO "pipeline_run" ("id", "created", "updated", "name", "orchestrator_run_id", "start_time", "end_time", "in_progress", "status", "status_reason", "orchestrator_environment", "index", "enable_heartbeat", "exception_info", "child_key", "snapshot_id", "user_id", "project_id", "pipeline_id", "model_version_id", "pipeline_configuration", "client_environment", "stack_id", "build_id", "schedule_id", "original_run_id", "parent_run_id", "root_run_id", "triggered_by", "triggered_by_type") VALUES ('b0aa48087e7c4e10860ccfbfc315cfdf', '2026-11-23 12:25:37.213773', '2026-11-23 12:25:38.659422', 'scoring-2026_11_23-12_25_37_187022', '5c5f88dc-01af-495d-a1fd-b7f590ddb69c', '2026-11-23 12:25:37.187022', '2026-11-23 12:25:38.630430', 0, 'completed', NULL, '{}', 1, 1, NULL, NULL, '4a8ef9c14f004ddbb614a0b884623a45', '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'f8e0dde7ccbf4eb782f5d307fe8f3bcc', '63762ca4bafd4c7aae8df2ab2c2a3d64', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE pipeline_snapshot (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	name VARCHAR,
	description VARCHAR(16777215),
	is_dynamic BOOLEAN NOT NULL,
	pipeline_configuration VARCHAR(16777215) NOT NULL,
	client_environment TEXT NOT NULL,
	run_name_template VARCHAR NOT NULL,
	client_version VARCHAR,
	server_version VARCHAR,
	pipeline_version_hash VARCHAR,
	pipeline_spec VARCHAR(16777215),
	source_code TEXT,
	code_path VARCHAR,
	user_id CHAR(32),
	project_id CHAR(32) NOT NULL,
	stack_id CHAR(32),
	pipeline_id CHAR(32) NOT NULL,
	schedule_id CHAR(32),
	build_id CHAR(32),
	code_reference_id CHAR(32),
	source_snapshot_id CHAR(32),
	template_id CHAR(32),
	step_count INTEGER NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT unique_name_for_pipeline_id UNIQUE (pipeline_id, name),
	CONSTRAINT fk_pipeline_snapshot_user_id_user FOREIGN KEY(user_id) REFERENCES user (id) ON DELETE SET NULL,
	CONSTRAINT fk_pipeline_snapshot_project_id_project FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
	CONSTRAINT fk_pipeline_snapshot_stack_id_stack FOREIGN KEY(stack_id) REFERENCES stack (id) ON DELETE SET NULL,
	CONSTRAINT fk_pipeline_snapshot_pipeline_id_pipeline FOREIGN KEY(pipeline_id) REFERENCES pipeline (id) ON DELETE CASCADE,
	CONSTRAINT fk_pipeline_snapshot_schedule_id_schedule FOREIGN KEY(schedule_id) REFERENCES schedule (id) ON DELETE SET NULL,
	CONSTRAINT fk_pipeline_snapshot_build_id_pipeline_build FOREIGN KEY(build_id) REFERENCES pipeline_build (id) ON DELETE SET NULL,
	CONSTRAINT fk_pipeline_snapshot_code_reference_id_code_reference FOREIGN KEY(code_reference_id) REFERENCES code_reference (id) ON DELETE SET NULL
);
INSERT INTO "pipeline_snapshot" ("id", "created", "updated", "name", "description", "is_dynamic", "pipeline_configuration", "client_environment", "run_name_template", "client_version", "server_version", "pipeline_version_hash", "pipeline_spec", "source_code", "code_path", "user_id", "project_id", "stack_id", "pipeline_id", "schedule_id", "build_id", "code_reference_id", "source_snapshot_id", "template_id", "step_count") VALUES ('e8d522c342474c188445b55330dddc57', '2026-11-23 12:25:28.025041', '2026-11-23 12:25:28.025168', NULL, NULL, 0, '{"name": "training", "parameters": {"depth": 3}}', '{}', 'training-{date}-{time}', '0.98.0', '0.98.0', '8c2fb79d039d5610d21fa1d23425a873', '{}', NULL, NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', '3ba740719f12410290c8a1ab9c9653bd', '2bedafd41cb0410faa86ccd907515a18', NULL, NULL, NULL, NULL, NULL, 2);
INSERT INTO "pipeline_snapshot" ("id", "created", "updated", "name", "description", "is_dynamic", "pipeline_configuration", "client_environment", "run_name_template", "client_version", "server_version", "pipeline_version_hash", "pipeline_spec", "source_code", "code_path", "user_id", "project_id", "stack_id", "pipeline_id", "schedule_id", "build_id", "code_reference_id", "source_snapshot_id", "template_id", "step_count") VALUES ('e0d3fc15dc36440da7131a123eaf02f7', '2026-11-23 12:25:32.356686', '2026-11-23 12:25:32.356715', NULL, NULL, 0, '{"name": "failing", "parameters": {}}', '{}', 'failing-{date}-{time}', '0.98.0', '0.98.0', '00b5556f52a6d0bc3f20f68bb5dd4d49', '{}', NULL, NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', '3ba740719f12410290c8a1ab9c9653bd', '7cf2d552188f412182f811dc4bc5ed77', NULL, NULL, NULL, NULL, NULL, 1);
INSERT INTO "pipeline_snapshot" ("id", "created", "updated", "name", "description", "is_dynamic", "pipeline_configuration", "client_environment", "run_name_template", "client_version", "server_version", "pipeline_version_hash", "pipeline_spec", "source_code", "code_path", "user_id", "project_id", "stack_id", "pipeline_id", "schedule_id", "build_id", "code_reference_id", "source_snapshot_id", "template_id", "step_count") VALUES ('4a8ef9c14f004ddbb614a0b884623a45', '2026-11-23 12:25:37.162613', '2026-11-23 12:25:37.162650', NULL, NULL, 0, '{"name": "scoring", "parameters": {}}', '{}', 'scoring-{date}-{time}', '0.98.0', '0.98.0', '323c14359c94478f29af85ca8ffdf476', '{}', NULL, NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', '3ba740719f12410290c8a1ab9c9653bd', 'f8e0dde7ccbf4eb782f5d307fe8f3bcc', NULL, NULL, NULL, NULL, NULL, 2);
CREATE TABLE project (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	name VARCHAR NOT NULL,
	display_name VARCHAR NOT NULL,
	description VARCHAR NOT NULL,
	project_metadata VARCHAR(16777215),
	PRIMARY KEY (id),
	CONSTRAINT unique_project_name UNIQUE (name)
);
INSERT INTO "project" ("id", "created", "updated", "name", "display_name", "description", "project_metadata") VALUES ('da90cb9a51354274b95732a39b16d112', '2026-11-23 12:25:24.149644', '2026-11-23 12:25:24.149664', 'default', 'default', '', '{}');
CREATE TABLE run_metadata (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	stack_component_id CHAR(32),
	user_id CHAR(32),
	project_id CHAR(32) NOT NULL,
	"key" VARCHAR NOT NULL,
	value TEXT NOT NULL,
	type VARCHAR NOT NULL,
	publisher_step_id CHAR(32),
	PRIMARY KEY (id),
	CONSTRAINT fk_run_metadata_stack_component_id_stack_component FOREIGN KEY(stack_component_id) REFERENCES stack_component (id) ON DELETE SET NULL,
	CONSTRAINT fk_run_metadata_user_id_user FOREIGN KEY(user_id) REFERENCES user (id) ON DELETE SET NULL,
	CONSTRAINT fk_run_metadata_project_id_project FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
	CONSTRAINT fk_run_metadata_publisher_step_id_step_run FOREIGN KEY(publisher_step_id) REFERENCES step_run (id) ON DELETE SET NULL
);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('3b2734b6c13643f293c324c611eeae79', '2026-11-23 12:25:30.969863', '2026-11-23 12:25:30.969882', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'auc', '0.9', 'float', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('c30f333fe05e4f70a682c3e714aca7b6', '2026-11-23 12:25:30.980769', '2026-11-23 12:25:30.980803', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'rounds', '3', 'int', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('c24f9d8fb4824007ac9be027ae7992b1', '2026-11-23 12:25:30.987575', '2026-11-23 12:25:30.987613', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'ok', 'true', 'bool', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('f85afda7b862498c811dfa17507dedba', '2026-11-23 12:25:30.995979', '2026-11-23 12:25:30.996005', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'note', '"first"', 'str', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('06d6635b6e1b40eba629752625db29c9', '2026-11-23 12:25:31.002876', '2026-11-23 12:25:31.002915', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'at', '"s3://b/x"', 'Uri', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('49fcbb72152e44629f5905efb7da0881', '2026-11-23 12:25:31.009025', '2026-11-23 12:25:31.009058', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'list', '[1, "a"]', 'list', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('36125a6f78ec481fabfe4d6b025ec95e', '2026-11-23 12:25:31.015211', '2026-11-23 12:25:31.015243', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'map', '{"a": null, "b": 1}', 'dict', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('79e0149b421345f6a0aab33349dd213d', '2026-11-23 12:25:31.054220', '2026-11-23 12:25:31.054250', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'storage_size', '8', 'int', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('cca331d88fe34b4b9fb62725f4bc0453', '2026-11-23 12:25:31.060739', '2026-11-23 12:25:31.060771', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'length', '1', 'int', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('d5171607ef3a46648a386fde8c7ac4dd', '2026-11-23 12:25:35.273894', '2026-11-23 12:25:35.273941', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'auc', '0.95', 'float', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('4ff7ffae26cd4cfa897e5b04dc62b019', '2026-11-23 12:25:35.384031', '2026-11-23 12:25:35.384057', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'auc', '0.97', 'float', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('3a9c690560454df799e260d0b04e42e6', '2026-11-23 12:25:38.406954', '2026-11-23 12:25:38.406979', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'auc', '0.9', 'float', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('d2a064b5e2004f5f86492adf78c27a1d', '2026-11-23 12:25:38.417765', '2026-11-23 12:25:38.417795', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'rounds', '3', 'int', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('5b287822d2254ca587ef6cc5ba769657', '2026-11-23 12:25:38.427406', '2026-11-23 12:25:38.427430', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'ok', 'true', 'bool', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('f7a4b6cff2a04484887aee13b895d4ec', '2026-11-23 12:25:38.434350', '2026-11-23 12:25:38.434384', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'note', '"first"', 'str', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('f439956d328d4a12a3c763654ab84645', '2026-11-23 12:25:38.441844', '2026-11-23 12:25:38.441877', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'at', '"s3://b/x"', 'Uri', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('ba56734b5a5a40338b833c2ce2940052', '2026-11-23 12:25:38.451076', '2026-11-23 12:25:38.451202', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'list', '[1, "a"]', 'list', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('79fad677e1b549aa923c9ca118590472', '2026-11-23 12:25:38.460810', '2026-11-23 12:25:38.460845', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'map', '{"a": null, "b": 1}', 'dict', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('beb3eb32b99c47ba9dd6d3974bbfe942', '2026-11-23 12:25:38.487146', '2026-11-23 12:25:38.487175', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'storage_size', '8', 'int', NULL);
INSERT INTO "run_metadata" ("id", "created", "updated", "stack_component_id", "user_id", "project_id", "key", "value", "type", "publisher_step_id") VALUES ('5fbd82f1ba2e4db18ed9d138f25e888c', '2026-11-23 12:25:38.494161', '2026-11-23 12:25:38.494196', NULL, '0ad7c341b12e4fa5a19f9217c15e0e00', 'da90cb9a51354274b95732a39b16d112', 'length', '1', 'int', NULL);
CREATE TABLE run_metadata_resource (
	id CHAR(32) NOT NULL,
	resource_id CHAR(32) NOT NULL,
	resource_type VARCHAR(255) NOT NULL,
	run_metadata_id CHAR(32) NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT fk_run_metadata_resource_run_metadata_id_run_metadata FOREIGN KEY(run_metadata_id) REFERENCES run_metadata (id) ON DELETE CASCADE
);
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('48df60952ed0498f83dd4958d5990025', 'af5b55c5ea4c4c2cbc5b07b3ec33a00c', 'model_version', '3b2734b6c13643f293c324c611eeae79');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('2c7f5388d26c4ac383e5aac4f58c8139', 'af5b55c5ea4c4c2cbc5b07b3ec33a00c', 'model_version', 'c30f333fe05e4f70a682c3e714aca7b6');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('0f649293f81c43ceb2cfc0da35b042e9', 'af5b55c5ea4c4c2cbc5b07b3ec33a00c', 'model_version', 'c24f9d8fb4824007ac9be027ae7992b1');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('fe15f61945f74cf4a51a9b415573f7e1', 'af5b55c5ea4c4c2cbc5b07b3ec33a00c', 'model_version', 'f85afda7b862498c811dfa17507dedba');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('2c3a802d0d0349d9a8abc127c5104cae', 'af5b55c5ea4c4c2cbc5b07b3ec33a00c', 'model_version', '06d6635b6e1b40eba629752625db29c9');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('b11de3639fe547aaa01b67a6f49b9d38', 'af5b55c5ea4c4c2cbc5b07b3ec33a00c', 'model_version', '49fcbb72152e44629f5905efb7da0881');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('72404e4a0ba04f66b0c770fc39713a4c', 'af5b55c5ea4c4c2cbc5b07b3ec33a00c', 'model_version', '36125a6f78ec481fabfe4d6b025ec95e');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('c105687938d749f2b28103d117a1f7cc', '502fdabbaa7d4a908ff76b22446a1cb2', 'artifact_version', '79e0149b421345f6a0aab33349dd213d');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('ed6203644bf8409fa42ee216ce36d968', '502fdabbaa7d4a908ff76b22446a1cb2', 'artifact_version', 'cca331d88fe34b4b9fb62725f4bc0453');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('d2f21b7a1b52414e9b7ea338db2c7d58', '63762ca4bafd4c7aae8df2ab2c2a3d64', 'model_version', 'd5171607ef3a46648a386fde8c7ac4dd');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('b4aad8ce5249464caadf57849f15a451', '63762ca4bafd4c7aae8df2ab2c2a3d64', 'model_version', '4ff7ffae26cd4cfa897e5b04dc62b019');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('7e3524a259604affae10d58e0515b15f', '63762ca4bafd4c7aae8df2ab2c2a3d64', 'model_version', '3a9c690560454df799e260d0b04e42e6');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('11acbe536daf435b90565fb51378c80c', '63762ca4bafd4c7aae8df2ab2c2a3d64', 'model_version', 'd2a064b5e2004f5f86492adf78c27a1d');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('cbdff2482bf64034adfc46d1649dd997', '63762ca4bafd4c7aae8df2ab2c2a3d64', 'model_version', '5b287822d2254ca587ef6cc5ba769657');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('4a5b5a9dd5fd4a5580deaf3661fad548', '63762ca4bafd4c7aae8df2ab2c2a3d64', 'model_version', 'f7a4b6cff2a04484887aee13b895d4ec');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('db1496e2946249f99e7d914a5f4c7c15', '63762ca4bafd4c7aae8df2ab2c2a3d64', 'model_version', 'f439956d328d4a12a3c763654ab84645');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('f02fd37c245b440786fc840791558cd2', '63762ca4bafd4c7aae8df2ab2c2a3d64', 'model_version', 'ba56734b5a5a40338b833c2ce2940052');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('c803d625971f42ac9efacd73227bc01b', '63762ca4bafd4c7aae8df2ab2c2a3d64', 'model_version', '79fad677e1b549aa923c9ca118590472');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('62cfab6db1404f04876a0c2c087bcee2', '2072c4966a29444fadad4551463109ce', 'artifact_version', 'beb3eb32b99c47ba9dd6d3974bbfe942');
INSERT INTO "run_metadata_resource" ("id", "resource_id", "resource_type", "run_metadata_id") VALUES ('8d607a1e02544080b874678d9af24031', '2072c4966a29444fadad4551463109ce', 'artifact_version', '5fbd82f1ba2e4db18ed9d138f25e888c');
CREATE TABLE service (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	name VARCHAR NOT NULL,
	project_id CHAR(32) NOT NULL,
	user_id CHAR(32),
	service_source TEXT,
	service_type TEXT NOT NULL,
	type TEXT NOT NULL,
	flavor TEXT NOT NULL,
	admin_state TEXT,
	state TEXT,
	labels BLOB,
	config BLOB NOT NULL,
	status BLOB,
	endpoint BLOB,
	prediction_url TEXT,
	health_check_url TEXT,
	pipeline_name TEXT,
	pipeline_step_name TEXT,
	model_version_id CHAR(32),
	pipeline_run_id CHAR(32),
	PRIMARY KEY (id),
	CONSTRAINT fk_service_project_id_project FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
	CONSTRAINT fk_service_user_id_user FOREIGN KEY(user_id) REFERENCES user (id) ON DELETE SET NULL,
	CONSTRAINT fk_service_model_version_id_model_version FOREIGN KEY(model_version_id) REFERENCES model_version (id) ON DELETE SET NULL,
	CONSTRAINT fk_service_pipeline_run_id_pipeline_run FOREIGN KEY(pipeline_run_id) REFERENCES pipeline_run (id) ON DELETE SET NULL
);
CREATE TABLE tag (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	name VARCHAR NOT NULL,
	user_id CHAR(32),
	color VARCHAR(255) NOT NULL,
	"exclusive" BOOLEAN NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT unique_tag_name UNIQUE (name),
	CONSTRAINT fk_tag_user_id_user FOREIGN KEY(user_id) REFERENCES user (id) ON DELETE SET NULL
);
INSERT INTO "tag" ("id", "created", "updated", "name", "user_id", "color", "exclusive") VALUES ('69bad2fa3bfb4530a981284acc31179c', '2026-11-23 12:25:28.654650', '2026-11-23 12:25:28.654682', 'growth', '0ad7c341b12e4fa5a19f9217c15e0e00', 'lime', 0);
INSERT INTO "tag" ("id", "created", "updated", "name", "user_id", "color", "exclusive") VALUES ('569acb555cd244ecbd83238ea26c124c', '2026-11-23 12:25:28.664658', '2026-11-23 12:25:28.664693', 'v', '0ad7c341b12e4fa5a19f9217c15e0e00', 'purple', 0);
INSERT INTO "tag" ("id", "created", "updated", "name", "user_id", "color", "exclusive") VALUES ('93c76daad03745778a6304ab74206411', '2026-11-23 12:25:34.633686', '2026-11-23 12:25:34.633726', 'x', '0ad7c341b12e4fa5a19f9217c15e0e00', 'lime', 0);
CREATE TABLE tag_resource (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	tag_id CHAR(32) NOT NULL,
	resource_id CHAR(32) NOT NULL,
	resource_type VARCHAR(255) NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT fk_tag_resource_tag_id_tag FOREIGN KEY(tag_id) REFERENCES tag (id) ON DELETE CASCADE
);
INSERT INTO "tag_resource" ("id", "created", "updated", "tag_id", "resource_id", "resource_type") VALUES ('1b1aa7f0ad6446ada4ce7a24f1ebe34b', '2026-11-23 12:25:28.695026', '2026-11-23 12:25:28.695063', '69bad2fa3bfb4530a981284acc31179c', 'af5b55c5ea4c4c2cbc5b07b3ec33a00c', 'model_version');
INSERT INTO "tag_resource" ("id", "created", "updated", "tag_id", "resource_id", "resource_type") VALUES ('f6a33c4ba7614c4b8465c53665e3f536', '2026-11-23 12:25:28.721087', '2026-11-23 12:25:28.721119', '569acb555cd244ecbd83238ea26c124c', 'af5b55c5ea4c4c2cbc5b07b3ec33a00c', 'model_version');
INSERT INTO "tag_resource" ("id", "created", "updated", "tag_id", "resource_id", "resource_type") VALUES ('5f972b77cd2a489ab76c385b1a8620a5', '2026-11-23 12:25:32.422307', '2026-11-23 12:25:32.422334', '69bad2fa3bfb4530a981284acc31179c', 'e0290674d5ec40269b68abfc69ce704c', 'model_version');
INSERT INTO "tag_resource" ("id", "created", "updated", "tag_id", "resource_id", "resource_type") VALUES ('bd51a95c81db408f9d35f3cd08a2ea31', '2026-11-23 12:25:32.423995', '2026-11-23 12:25:32.424022', '569acb555cd244ecbd83238ea26c124c', 'e0290674d5ec40269b68abfc69ce704c', 'model_version');
INSERT INTO "tag_resource" ("id", "created", "updated", "tag_id", "resource_id", "resource_type") VALUES ('6092484885cd47f8b7c4755683475f3d', '2026-11-23 12:25:34.640962', '2026-11-23 12:25:34.641004', '93c76daad03745778a6304ab74206411', '63762ca4bafd4c7aae8df2ab2c2a3d64', 'model_version');
CREATE TABLE user (
	id CHAR(32) NOT NULL,
	created DATETIME NOT NULL,
	updated DATETIME NOT NULL,
	name VARCHAR NOT NULL,
	is_service_account BOOLEAN NOT NULL,
	full_name VARCHAR NOT NULL,
	description TEXT,
	email VARCHAR,
	avatar_url TEXT,
	active BOOLEAN NOT NULL,
	password VARCHAR,
	password_changed_at DATETIME,
	activation_token VARCHAR,
	email_opted_in BOOLEAN,
	external_user_id CHAR(32),
	is_admin BOOLEAN NOT NULL,
	user_metadata VARCHAR,
	oidc_claims JSON,
	default_project_id CHAR(32),
	PRIMARY KEY (id),
	UNIQUE (name, is_service_account),
	CONSTRAINT fk_user_default_project_id_project FOREIGN KEY(default_project_id) REFERENCES project (id) ON DELETE SET NULL
);
INSERT INTO "user" ("id", "created", "updated", "name", "is_service_account", "full_name", "description", "email", "avatar_url", "active", "password", "password_changed_at", "activation_token", "email_opted_in", "external_user_id", "is_admin", "user_metadata", "oidc_claims", "default_project_id") VALUES ('0ad7c341b12e4fa5a19f9217c15e0e00', '2026-11-23 12:25:26.249081', '2026-11-23 12:25:26.249121', 'default', 0, '', NULL, NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, 1, NULL, 'null', NULL);
