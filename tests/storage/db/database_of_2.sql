-- A database of version 2, as a server left it that was killed while it drew.
CREATE TABLE limner_version (version BIGINT PRIMARY KEY, run_s DOUBLE PRECISION NOT NULL);
INSERT INTO "limner_version" VALUES(1,1.79552077092966341971e+09);
INSERT INTO "limner_version" VALUES(2,1.79552077092973613736e+09);
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
INSERT INTO "requests" VALUES('req_b2fe63474ff8db2a39188053ea225372','b2843380979493ac','phone',1.79552077142401695251e+09,1.63943767547607421875e-02,'generation','testcard','an owl; it''s asleep
-- 猫头鹰','{"n": 2, "size": "256x256", "quality": "medium", "background": "auto", "seed": 7, "output_format": "png"}','done');
INSERT INTO "requests" VALUES('req_284502ca0090a7f8e2c0274593686242','b2843380979493ac','phone',1.79552079135297966002e+09,NULL,'generation','testcard','a blue boat','{"n": 10, "size": "1024x1024", "quality": "medium", "background": "auto", "seed": 9, "output_format": "png"}','running');
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
INSERT INTO "pictures" VALUES('req_b2fe63474ff8db2a39188053ea225372',0,'img-VmgCiVvxEs23uGFx3XuHh0Xd.png','86c3bcda92fd2c134d254e8e0b0f8c33571a9aefea96a064cf11cf9da391fbab',9732,7,NULL,256,256,'png',NULL);
INSERT INTO "pictures" VALUES('req_b2fe63474ff8db2a39188053ea225372',1,'img-Oh9Gxvgdey8DFOSRWQZX9NqO.png','9f74dff7db4a072aace35c7bf68ed6b81fe90bdc40d84fa1088818f47159dedb',9810,7,NULL,256,256,'png',NULL);
INSERT INTO "pictures" VALUES('req_284502ca0090a7f8e2c0274593686242',0,'img-AYTSBbcZpB212UyQOqBt5tmp.png','d62e464a569e401c30eeb3171d086af3dab6a7c1d9c3ec67054ce6aa0ec6c4ca',57087,9,NULL,1024,1024,'png',NULL);
INSERT INTO "pictures" VALUES('req_284502ca0090a7f8e2c0274593686242',1,'img-pDAQF86R5TkytKxyCnO6oydl.png','429e30554495149cc74b5ce41f5f2e7caed0d29878bbac4bbea92ef9ae652bcb',57222,9,NULL,1024,1024,'png',NULL);
INSERT INTO "pictures" VALUES('req_284502ca0090a7f8e2c0274593686242',2,'img-Lw2PqmU6OQmAffPXWnXRptaq.png','682aac7c3b16d729359f65e4427aecf67d61e86b94b49fba871dd1cb65ccefe2',57744,9,NULL,1024,1024,'png',NULL);
INSERT INTO "pictures" VALUES('req_284502ca0090a7f8e2c0274593686242',3,'img-lHY14yZDqhAQ8wnM3EniBSpw.png','b7df56d91c31ed561874a2be20c22f23db3a933469eafe960bc1f9e42f9b04a3',57343,9,NULL,1024,1024,'png',NULL);
INSERT INTO "pictures" VALUES('req_284502ca0090a7f8e2c0274593686242',4,'img-BlogjfxfKTC4MPsrn9RdmWoe.png','f4dadad323fc6c912ee3ac97c2c20dcf98f13ec5440bae4005b58a9fc13a83d4',57622,9,NULL,1024,1024,'png',NULL);
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
INSERT INTO "keys" VALUES('phone','d16e0eeccaa5f8db65a6e055d8e2d9b9364a546252be066af616b32f084b0b1a','draw admin',NULL,NULL,100,NULL,1.795520770930151701e+09,NULL);
CREATE TABLE pictures_by_day (
    key_name TEXT NOT NULL,
    day TEXT NOT NULL,             -- YYYY-MM-DD in UTC
    n_pictures BIGINT NOT NULL,
    PRIMARY KEY (key_name, day)
);
INSERT INTO "pictures_by_day" VALUES('phone','2026-11-24',22);
CREATE INDEX requests_by_time ON requests (created_s);
CREATE INDEX requests_by_key ON requests (key_name, created_s);
