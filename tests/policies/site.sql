-- The database of the web site and the mail gateway.

CREATE TABLE cookie_records(id INTEGER PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL, set_at TEXT NOT NULL);
CREATE INDEX cookie_records_by_time ON cookie_records(set_at);

CREATE TABLE browsers(client_id TEXT PRIMARY KEY NOT NULL, last_seen INTEGER NOT NULL, visits INTEGER NOT NULL);
CREATE INDEX browsers_by_time ON browsers(last_seen);

CREATE TABLE connections(id INTEGER PRIMARY KEY, server TEXT NOT NULL, ip TEXT NOT NULL, host TEXT, at TEXT NOT NULL);
CREATE INDEX connections_by_time ON connections(at);
CREATE INDEX connections_by_ip ON connections(ip);

CREATE TABLE visits(
  id INTEGER PRIMARY KEY, session TEXT UNIQUE, email TEXT, name TEXT NOT NULL, ip TEXT NOT NULL, postcode VARCHAR(8), born DATE,
  page TEXT NOT NULL, at TEXT NOT NULL, CHECK (length(name) > 0));
CREATE INDEX visits_by_time ON visits(at);
CREATE VIEW countable AS SELECT page, postcode, born FROM visits WHERE email IS NULL AND name = 'removed';

CREATE TABLE licence_checks(id INTEGER PRIMARY KEY, licence TEXT NOT NULL, ip TEXT NOT NULL, answer TEXT NOT NULL, asked_at TEXT NOT NULL);
CREATE INDEX licence_checks_by_time ON licence_checks(asked_at);
