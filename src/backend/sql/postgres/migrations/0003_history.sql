-- Which set of its batch a change was: nobody reads it.
ALTER TABLE stockroom_changes DROP COLUMN wset;

-- The ledger is read by level: one index does for that and for the numbers' uniqueness.
DROP INDEX stockroom_movements_level;
ALTER TABLE stockroom_movements DROP CONSTRAINT stockroom_movements_pkey;
ALTER TABLE stockroom_movements ADD PRIMARY KEY (sku, location, seq);

-- What changes all the time finds room on its page, and its indexes stay as they are.
ALTER TABLE stockroom_levels SET (fillfactor = 50);
ALTER TABLE stockroom_carts SET (fillfactor = 80);
ALTER TABLE stockroom_orders SET (fillfactor = 80);
