-- Which LIMNER_HOME draws the request; place says since then which store has its pictures.
ALTER TABLE requests ADD COLUMN server TEXT NOT NULL DEFAULT '';
CREATE TABLE servers (
    id TEXT PRIMARY KEY,
    seen_s DOUBLE PRECISION NOT NULL  -- Unix time at which one was last alive
);
CREATE TABLE places (
    id TEXT PRIMARY KEY,           -- what the file place of the store says
    name TEXT NOT NULL             -- its path or address when it was first used
);
INSERT INTO places SELECT DISTINCT place, '' FROM requests;
CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL            -- hexadecimal
);
