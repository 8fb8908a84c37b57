-- name: add_deletions
-- Note the deletion of signals whose states the caller has locked.
INSERT INTO deleted_signals (stream, trade_id, was, reason, deleted_by, deleted_at)
SELECT stream, trade_id,
       jsonb_build_object('status', status, 'direction', direction, 'symbol', symbol, 'signal_time', signal_time),
       %(reason)s, %(deleted_by)s, %(deleted_at)s
FROM trade_states
WHERE (stream, trade_id) IN (SELECT * FROM unnest(%(streams)s::text[], %(trade_ids)s::text[]))
ORDER BY stream, trade_id
RETURNING stream, trade_id;

-- name: remove_states
-- The states of deleted signals go; their events stay.
DELETE FROM trade_states
WHERE (stream, trade_id) IN (SELECT * FROM unnest(%(streams)s::text[], %(trade_ids)s::text[]));

-- name: lock_deletions
-- Deletions that are in force, in the order of the keys.
SELECT id, stream, trade_id FROM deleted_signals
WHERE id = ANY(%(ids)s::bigint[]) AND restored_at IS NULL
ORDER BY stream, trade_id
FOR UPDATE;

-- name: end_deletions
-- Note that deletions have been undone, and by whom.
UPDATE deleted_signals SET restored_by = %(restored_by)s, restored_at = %(restored_at)s WHERE id = ANY(%(ids)s::bigint[]);

-- name: list_deletions
-- The newest deletions, undone ones too, and how many events each signal got since.
SELECT d.id, d.stream, d.trade_id, d.was, d.reason, d.deleted_by, d.deleted_at, d.restored_by, d.restored_at,
       (SELECT count(*) FROM automated_signals a
        WHERE a.stream = d.stream AND a.trade_id = d.trade_id AND a.received_at > d.deleted_at
          AND d.restored_at IS NULL) AS events_since
FROM deleted_signals d
WHERE (%(trade_id)s::text IS NULL OR (d.trade_id = %(trade_id)s AND d.restored_at IS NULL))
  AND (%(stream)s::text IS NULL OR d.stream = %(stream)s)
ORDER BY d.id DESC
LIMIT %(limit)s;

-- name: list_deleted_keys
-- The signals that are deleted now, for a rebuild.
SELECT stream, trade_id FROM deleted_signals WHERE restored_at IS NULL;
