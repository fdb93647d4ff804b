-- The helpdesk of Pellow & Wren Ltd. Times are UTC, dates are those of the calendar.
CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('firm', 'person')),
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    telephone TEXT NOT NULL,
    since DATE NOT NULL
);

CREATE TABLE invoices (
    number TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('invoice', 'credit note')),
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    issued_on DATE NOT NULL,
    pence INTEGER NOT NULL
);

CREATE TABLE tickets (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    subject TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('open', 'resolved', 'reopened')),
    opened_at TEXT NOT NULL,
    resolved_at TEXT                 -- of the last time; a ticket opened again keeps it
);

CREATE TABLE attachments (
    id INTEGER PRIMARY KEY,
    ticket_id INTEGER NOT NULL REFERENCES tickets (id),
    kind TEXT NOT NULL CHECK (kind IN ('upload', 'note')),
    path TEXT NOT NULL,              -- path below uploads/
    sender_email TEXT NOT NULL,
    size INTEGER NOT NULL,
    added_at TEXT NOT NULL
);

CREATE TABLE newsletter (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL,
    subscribed_at TEXT NOT NULL,
    unsubscribed_at TEXT
);

CREATE TABLE web_log (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    site TEXT NOT NULL,
    ip TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER NOT NULL
);

CREATE INDEX invoices_by_customer ON invoices (customer_id);
CREATE INDEX invoices_by_issue ON invoices (issued_on);
CREATE INDEX tickets_by_customer ON tickets (customer_id);
CREATE INDEX tickets_by_resolution ON tickets (status, resolved_at);
CREATE INDEX attachments_by_ticket ON attachments (ticket_id);
CREATE INDEX newsletter_by_end ON newsletter (unsubscribed_at);
CREATE INDEX web_log_by_time ON web_log (at);
