-- Files whose rows are gone and that are still to be deleted from their store.
CREATE TABLE deletions (
    file TEXT PRIMARY KEY,         -- its name in the folder of the history
    place TEXT NOT NULL            -- the store that has it
);
-- What the servers' clocks said, in one row; all but the last are Unix times.
CREATE TABLE clock (
    id BIGINT PRIMARY KEY,                  -- always 1
    seen_s DOUBLE PRECISION NOT NULL,       -- at the last look
    believed_s DOUBLE PRECISION NOT NULL,   -- what ages are counted to; 0: nothing yet
    candidate_s DOUBLE PRECISION NOT NULL,  -- believed next
    running_s DOUBLE PRECISION NOT NULL     -- seconds that servers have run since the candidate
);
