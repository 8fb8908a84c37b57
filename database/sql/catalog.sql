-- name: server_facts
-- Version, the letters that can be stored, and the settings on which durability rests.
SELECT current_setting('server_version') AS version,
       current_setting('server_encoding') AS encoding,
       current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('server_version_num')::integer AS version_number,
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescaledb;

-- name: list_columns
-- Every column of our tables and views with its type.
SELECT c.table_schema || '.' || c.table_name AS relation, t.table_type, c.column_name, c.data_type,
       c.character_maximum_length, c.numeric_precision, c.numeric_scale, c.is_nullable, c.column_default
FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema IN ('public', 'monitoring')
ORDER BY 1, c.column_name;

-- name: list_indexes
-- Every index of our tables, and whether it is valid.
SELECT n.nspname || '.' || t.relname AS relation, i.relname AS name, pg_get_indexdef(i.oid) AS definition, x.indisvalid
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname IN ('public', 'monitoring')
ORDER BY 1, 2;

-- name: list_constraints
-- Every constraint of our tables.
SELECT n.nspname || '.' || t.relname AS relation, c.conname AS name, pg_get_constraintdef(c.oid) AS definition
FROM pg_constraint c
JOIN pg_class t ON t.oid = c.conrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname IN ('public', 'monitoring')
ORDER BY 1, 2;

-- name: list_functions
-- Our functions with their arguments; those of extensions left out.
SELECT n.nspname || '.' || p.proname AS name, pg_get_function_identity_arguments(p.oid) AS arguments,
       md5(pg_get_functiondef(p.oid)) AS body
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('public', 'monitoring') AND p.prokind = 'f'
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1, 2;

-- name: has_versions
-- Whether the database has ever been migrated.
SELECT to_regclass('alembic_version') IS NOT NULL;

-- name: get_version
-- The revision the database is at.
SELECT version_num FROM alembic_version;

-- name: server_time
-- The server's clock at this moment, not at the start of the transaction.
SELECT clock_timestamp() AS now;

-- name: list_tables
-- Every table of ours, for a fingerprint of the whole database.
SELECT schemaname AS schema, tablename AS name FROM pg_tables
WHERE schemaname IN ('public', 'monitoring') ORDER BY 1, 2;

-- name: export_snapshot
-- Let pg_dump see exactly what this transaction sees.
SELECT pg_export_snapshot() AS snapshot;

-- name: end_own_sessions
-- End every other session of one process, named by the end of its application name.
SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE %(process)s;
