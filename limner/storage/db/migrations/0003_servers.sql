-- The id that the client gave it; null: none.
ALTER TABLE requests ADD COLUMN client_id TEXT;
-- JSON: what else it takes to draw on after the server has stopped; null: nobody asked for that.
ALTER TABLE requests ADD COLUMN resume TEXT;
-- How many servers have begun to draw on.
ALTER TABLE requests ADD COLUMN n_resumed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX requests_by_client_id ON requests (key_name, client_id);
-- What keys with limits per minute have taken of late, for all servers of this database.
CREATE TABLE recent (
    key_name TEXT PRIMARY KEY,
    taken TEXT NOT NULL            -- JSON: lists of [Unix time, how many] by kind
);
-- The first request of each Idempotency-Key, for all servers of this database.
CREATE TABLE idempotency_keys (
    key_name TEXT NOT NULL,        -- whose: of the API
    key TEXT NOT NULL,             -- the header
    fingerprint TEXT NOT NULL,     -- SHA-256 of what was asked
    request_id TEXT NOT NULL,
    created_s DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (key_name, key)
);
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (created_s);
