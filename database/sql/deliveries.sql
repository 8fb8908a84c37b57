-- name: add_deliveries
-- The writer's insert: many deliveries in one statement, each once whatever happens. The same bytes within 25 seconds of
-- an earlier delivery of the stream are marked as its duplicate. Rows come as one JSON array, bytes in it as hex digits.
INSERT INTO telemetry_automated_signals_log
    (receipt_id, received_at, stream, source, delivery_key, raw_body, content_type, source_ip, processing_time_ms,
     status, duplicate_of, dialect, raw_payload, fused_event, validation_error, handler_result, repair)
SELECT d.receipt_id, d.received_at, d.stream, d.source, d.delivery_key, d.raw_body, d.content_type, d.source_ip,
       d.processing_time_ms,
       CASE WHEN d.status = 'accepted' AND first.receipt_id IS NOT NULL THEN 'duplicate' ELSE d.status END,
       first.receipt_id, d.dialect, d.raw_payload, d.fused_event, d.validation_error, d.handler_result, d.repair
FROM (
    SELECT *, decode(delivery_key_hex, 'hex') AS delivery_key, decode(raw_body_hex, 'hex') AS raw_body
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS given (
        receipt_id uuid, received_at timestamptz, stream text, source text, delivery_key_hex text, raw_body_hex text,
        content_type text, source_ip text, processing_time_ms numeric, status text, duplicate_of uuid, dialect text,
        raw_payload jsonb, fused_event jsonb, validation_error text, handler_result jsonb, repair jsonb)
) AS d
LEFT JOIN LATERAL (
    SELECT coalesce(d.duplicate_of, earlier.receipt_id) AS receipt_id
    FROM (SELECT 1) AS always
    LEFT JOIN LATERAL (
        SELECT e.receipt_id FROM telemetry_automated_signals_log e
        WHERE e.delivery_key = d.delivery_key AND e.receipt_id <> d.receipt_id
          AND e.received_at BETWEEN d.received_at - interval '25 seconds' AND d.received_at + interval '25 seconds'
        ORDER BY e.id LIMIT 1
    ) AS earlier ON true
) AS first ON true
ON CONFLICT (receipt_id) DO NOTHING
RETURNING receipt_id, status, duplicate_of;

-- name: set_statuses
-- What became of deliveries whose facts were known already.
UPDATE telemetry_automated_signals_log AS held SET status = given.status
FROM unnest(%(receipt_ids)s::uuid[], %(statuses)s::text[]) AS given (receipt_id, status)
WHERE held.receipt_id = given.receipt_id;

-- name: find_stored
-- Which of these receipts are stored: the journal asks before it lets a segment go.
SELECT receipt_id FROM telemetry_automated_signals_log WHERE receipt_id = ANY(%(receipt_ids)s::uuid[]);

-- name: probe
-- Whether the delivery log can be written now, without writing.
INSERT INTO telemetry_automated_signals_log (stream) SELECT 'probe' WHERE false;

-- name: list_deliveries
-- A page of the log, newest first, without the bodies.
SELECT id, received_at, stream, source, status, dialect, content_type, source_ip, processing_time_ms, validation_error,
       receipt_id, length(raw_body) AS body_bytes, handler_result,
       coalesce(fused_event ->> 'event_type', raw_payload ->> 'event_type', raw_payload ->> 'type') AS event_type,
       coalesce(fused_event ->> 'trade_id', raw_payload ->> 'trade_id', raw_payload ->> 'signal_id') AS trade_id
FROM telemetry_automated_signals_log
WHERE (%(before_id)s::bigint IS NULL OR id < %(before_id)s)
  AND (%(after_id)s::bigint IS NULL OR id > %(after_id)s)
  AND (%(status)s::text IS NULL OR status = %(status)s)
  AND (%(dialect)s::text IS NULL OR dialect = %(dialect)s)
ORDER BY id DESC
LIMIT %(limit)s;

-- name: newer_edge
-- The page of the log that comes just before the one that begins with an id: how many rows it has, and its newest id.
SELECT count(*) AS total, max(id) AS newest
FROM (SELECT id FROM telemetry_automated_signals_log
      WHERE id > %(after_id)s::bigint
        AND (%(status)s::text IS NULL OR status = %(status)s)
        AND (%(dialect)s::text IS NULL OR dialect = %(dialect)s)
      ORDER BY id
      LIMIT %(limit)s) AS newer;

-- name: find_id
-- The row of a receipt, for links from an event to its delivery.
SELECT id FROM telemetry_automated_signals_log WHERE receipt_id = %(receipt_id)s::uuid;

-- name: get_delivery
-- One delivery, whole.
SELECT id, received_at, stored_at, stream, source, status, dialect, content_type, source_ip, processing_time_ms,
       validation_error, receipt_id, duplicate_of, delivery_key, raw_body, raw_payload, fused_event, handler_result, repair
FROM telemetry_automated_signals_log
WHERE id = %(id)s;

-- name: list_of_receipts
-- The deliveries of some receipts with their bytes, newest first.
SELECT id, receipt_id, received_at, source, raw_body
FROM telemetry_automated_signals_log
WHERE receipt_id = ANY(%(receipt_ids)s::uuid[])
ORDER BY received_at DESC, id DESC;

-- name: last_delivery
-- The newest delivery of a stream, for "last alert". What the test button of /connect sends proves nothing of TradingView.
SELECT id, received_at, stored_at, status, dialect
FROM telemetry_automated_signals_log
WHERE stream = %(stream)s AND source = 'webhook' AND content_type IS DISTINCT FROM %(test)s
ORDER BY received_at DESC, id DESC
LIMIT 1;

-- name: count_fires
-- How many alerts of each stream came since an instant; the same bytes sent again are one alert, a test is none.
SELECT stream, count(*) AS fires FROM telemetry_automated_signals_log
WHERE stream = ANY(%(streams)s) AND source = 'webhook' AND duplicate_of IS NULL AND received_at > %(since)s
  AND content_type IS DISTINCT FROM %(test)s
GROUP BY stream;

-- name: first_delivery_since
-- The first delivery of a stream after an instant, tests from /connect aside: has the new connection been heard?
SELECT id, received_at, stored_at, status, dialect
FROM telemetry_automated_signals_log
WHERE stream = %(stream)s AND source = 'webhook' AND received_at >= %(since)s
  AND content_type IS DISTINCT FROM %(test)s
ORDER BY received_at, id
LIMIT 1;

-- name: count_bodies
-- How many deliveries have bytes to be understood anew, counted no further than asked.
SELECT count(*) AS total
FROM (SELECT FROM telemetry_automated_signals_log
      WHERE source IN ('webhook', 'import') AND raw_body IS NOT NULL AND receipt_id IS NOT NULL
      LIMIT %(most)s) AS counted;

-- name: list_bodies
-- Deliveries with their bytes in the order of their storing, to understand them anew. Only what truly came.
SELECT id, receipt_id, received_at, stream, source, content_type, source_ip, raw_body,
       raw_payload IS NOT NULL AS is_json
FROM telemetry_automated_signals_log
WHERE id > %(after_id)s AND source IN ('webhook', 'import') AND raw_body IS NOT NULL AND receipt_id IS NOT NULL
  AND (%(status)s::text IS NULL OR status = %(status)s)
  AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s))
ORDER BY id
LIMIT %(limit)s;

-- name: find_same_bytes
-- Stored deliveries of a stream with one of these keys, to match an alert log against.
SELECT delivery_key, received_at
FROM telemetry_automated_signals_log
WHERE delivery_key = ANY(%(keys)s::bytea[]) AND stream = %(stream)s;

-- name: save_understanding
-- A delivery has been understood anew; its bytes stay as they are.
UPDATE telemetry_automated_signals_log
SET status = %(status)s, dialect = %(dialect)s, raw_payload = %(raw_payload)s::jsonb, fused_event = %(fused_event)s::jsonb,
    validation_error = %(validation_error)s, handler_result = %(handler_result)s::jsonb, repair = %(repair)s::jsonb
WHERE receipt_id = %(receipt_id)s;

-- name: has_earlier
-- Whether a webhook has stored anything before an instant: then a data directory made since has replaced one that is lost.
SELECT EXISTS (
    SELECT FROM telemetry_automated_signals_log
    WHERE receipt_id IS NOT NULL AND source = 'webhook' AND stored_at < %(before)s
) AS found;

-- name: save_log_span
-- Remember which stretch of time an imported alert log covers.
INSERT INTO alert_log_spans (stream, starts_at, ends_at) VALUES (%(stream)s, %(starts_at)s, %(ends_at)s)
ON CONFLICT DO NOTHING;
