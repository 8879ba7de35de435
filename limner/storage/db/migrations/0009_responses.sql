-- What POST /v1/responses answered, beside the picture, which the history keeps.
CREATE TABLE responses (
    id TEXT PRIMARY KEY,           -- resp_…
    request_id TEXT NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
    body TEXT NOT NULL             -- JSON: all of the answer that is known before it is drawn
);
CREATE INDEX responses_by_request ON responses (request_id);
