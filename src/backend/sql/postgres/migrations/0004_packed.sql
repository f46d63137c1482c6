-- One row holds the changes of many aggregates. Its number is that of its last change, those before it count down from there:
-- what was one change a row stays as it is numbered. A row has as many numbers as the sequence steps by.
--
-- The table is rewritten as a whole, and nobody reads or writes it meanwhile. That takes as long as it takes.
SET LOCAL statement_timeout = 0;
DROP INDEX stockroom_changes_row;
ALTER TABLE stockroom_changes RENAME COLUMN events TO entries;
ALTER TABLE stockroom_changes RENAME COLUMN version TO versions;
ALTER TABLE stockroom_changes RENAME COLUMN actor TO keys;
ALTER TABLE stockroom_changes
    -- Kind, key, action, actor and events of each change, as JSON.
    ALTER COLUMN entries TYPE text[] COLLATE "C" USING ARRAY['["' || aggregate || '",' || to_json(row_key)::text
        || ',"' || action || '",' || to_json(keys)::text || ',' || entries || ']'],
    ALTER COLUMN versions TYPE bigint[] USING ARRAY[versions],
    -- What the changes of an aggregate are found by: its key as a number, and past it its version by sixteens; one below it
    -- where it was deleted. Equal numbers mean nothing: the entries tell.
    ALTER COLUMN keys TYPE bigint[] USING ARRAY[
        CASE WHEN aggregate = 'level'
            THEN (('x' || left(encode(sha256(convert_to(row_key, 'UTF8')), 'hex'), 16))::bit(64) >> 2)::bigint
            ELSE (('x' || '0000' || left(replace(row_key, '-', ''), 12))::bit(64) << 14
                | (('x' || right(row_key, 4))::bit(16) & B'0011111111111111')::bit(16)::integer::bit(64))::bigint
        END + CASE WHEN action = 'delete' THEN -1 ELSE versions >> 4 END];
ALTER TABLE stockroom_changes
    DROP COLUMN aggregate,
    DROP COLUMN row_key,
    DROP COLUMN action;

-- Entries are appended to a list, which is sorted into the index when it is full: the shorter, the shorter that takes.
CREATE INDEX stockroom_changes_keys ON stockroom_changes USING gin (keys) WITH (fastupdate = on, gin_pending_list_limit = 64);

-- A row of a full batch is some 10 kB, a third of it compressed. It stays on its page.
ALTER TABLE stockroom_changes SET (toast_tuple_target = 4080);
DO $$
BEGIN
    ALTER TABLE stockroom_changes ALTER COLUMN entries SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR syntax_error OR invalid_parameter_value THEN
    -- A server without it has its own way to compress.
    NULL;
END $$;

ALTER TABLE stockroom_changes ALTER COLUMN seq SET INCREMENT BY 128;
-- The next row is a step past what was given last, also in an empty table.
SELECT setval('stockroom_changes_seq_seq', (SELECT last_value FROM stockroom_changes_seq_seq));

-- Orders of guests are not looked for by their customer.
DROP INDEX stockroom_orders_customer;
CREATE INDEX stockroom_orders_customer ON stockroom_orders (customer_id, id) WHERE customer_id IS NOT NULL;

-- Nobody looks for commits by their time.
DROP INDEX stockroom_commits_at;

SET LOCAL statement_timeout = 60000;
