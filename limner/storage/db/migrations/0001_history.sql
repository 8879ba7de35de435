CREATE TABLE requests (
    id TEXT PRIMARY KEY,           -- the x-request-id
    place TEXT NOT NULL,           -- which LIMNER_HOME holds its pictures
    key_name TEXT NOT NULL,        -- empty: drawn without a key
    created_s DOUBLE PRECISION NOT NULL,  -- Unix time
    seconds DOUBLE PRECISION,      -- from then to its end
    kind TEXT NOT NULL,            -- generation, edit or variation
    model TEXT NOT NULL,           -- the model that drew
    prompt TEXT NOT NULL,
    parameters TEXT NOT NULL,      -- JSON
    state TEXT NOT NULL            -- running, done, failed, cancelled or interrupted
);
CREATE INDEX requests_by_time ON requests (created_s);
CREATE INDEX requests_by_key ON requests (key_name, created_s);
CREATE TABLE pictures (
    request_id TEXT NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,        -- 0 to n - 1
    file TEXT NOT NULL UNIQUE,     -- its name in the folder of pictures
    sha256 TEXT NOT NULL,          -- of the file
    n_bytes BIGINT NOT NULL,
    seed BIGINT NOT NULL,
    score DOUBLE PRECISION,        -- null: not judged
    width BIGINT NOT NULL,
    height BIGINT NOT NULL,
    format TEXT NOT NULL,
    parent TEXT,                   -- SHA-256 of the picture it began with; null: drawn from text
    PRIMARY KEY (request_id, number)
);
