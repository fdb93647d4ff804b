-- The telephone system of Pellow & Wren Ltd.
CREATE TABLE agents (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL
);

CREATE TABLE extensions (
    number INTEGER PRIMARY KEY,
    label TEXT NOT NULL,
    agent_id INTEGER NOT NULL REFERENCES agents (id)
);

CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    started_at TEXT NOT NULL,        -- UTC
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    caller TEXT NOT NULL,
    callee TEXT NOT NULL,
    extension INTEGER NOT NULL REFERENCES extensions (number),
    duration INTEGER NOT NULL,       -- seconds
    recording TEXT                   -- path below recordings/
);

CREATE INDEX extensions_by_agent ON extensions (agent_id);
CREATE INDEX calls_by_start ON calls (started_at);
CREATE INDEX calls_by_extension ON calls (extension);
CREATE INDEX calls_by_caller ON calls (caller);
