CREATE TABLE keys (
    name TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,     -- SHA-256 of the key, in hexadecimal
    scopes TEXT NOT NULL,          -- draw, admin, or both with a space between
    requests_per_minute BIGINT,    -- null: no limit
    pictures_per_minute BIGINT,
    pictures_per_day BIGINT,
    concurrent BIGINT,
    created_s DOUBLE PRECISION NOT NULL,
    revoked_s DOUBLE PRECISION     -- null: it works
);
CREATE TABLE pictures_by_day (
    key_name TEXT NOT NULL,
    day TEXT NOT NULL,             -- YYYY-MM-DD in UTC
    n_pictures BIGINT NOT NULL,
    PRIMARY KEY (key_name, day)
);
