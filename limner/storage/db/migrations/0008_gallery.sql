-- 1: a person wants to keep it, so its request is not deleted for its age or size.
ALTER TABLE pictures ADD COLUMN starred BIGINT NOT NULL DEFAULT 0;
CREATE INDEX pictures_by_sha256 ON pictures (sha256);
CREATE INDEX pictures_by_parent ON pictures (parent);
CREATE INDEX pictures_starred ON pictures (request_id) WHERE starred = 1;
-- Visits of people in a browser: who typed a key once and has a cookie since then.
CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,   -- SHA-256 of the cookie's value, in hexadecimal
    key_hash TEXT NOT NULL,        -- of the key that was typed, as in keys
    ends_s DOUBLE PRECISION NOT NULL
);
CREATE INDEX sessions_by_time ON sessions (ends_s);
