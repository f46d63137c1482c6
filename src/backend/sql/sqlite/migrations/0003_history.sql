-- Which set of its batch a change was: nobody reads it.
ALTER TABLE stockroom_changes DROP COLUMN wset;
