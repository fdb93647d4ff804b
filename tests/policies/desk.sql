-- The company's own database, as its programs made it.

CREATE TABLE customers(
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('firm', 'person')), name TEXT NOT NULL, email TEXT NOT NULL UNIQUE,
  address TEXT, closed_at TEXT);

CREATE TABLE logins(
  id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers(id), realm TEXT NOT NULL, email TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL);
CREATE INDEX logins_by_customer ON logins(customer_id);

CREATE TABLE invoices(
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers(id), kind TEXT NOT NULL, issued_on DATE NOT NULL,
  pence INTEGER NOT NULL);
CREATE INDEX invoices_by_customer ON invoices(customer_id);
CREATE INDEX invoices_by_date ON invoices(issued_on);

CREATE TABLE contracts(
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers(id), started_on DATE NOT NULL, ended_on DATE,
  CHECK (ended_on >= started_on));
CREATE INDEX contracts_by_customer ON contracts(customer_id);

CREATE TABLE orders(
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers(id), status TEXT NOT NULL, ordered_on DATE NOT NULL,
  address TEXT NOT NULL, goods TEXT NOT NULL);
CREATE INDEX orders_by_customer ON orders(customer_id);
CREATE INDEX orders_by_date ON orders(ordered_on);

CREATE TABLE licences(
  id INTEGER PRIMARY KEY, number TEXT NOT NULL UNIQUE, customer_id INTEGER NOT NULL REFERENCES customers(id), product TEXT NOT NULL,
  expires_on DATE);
CREATE INDEX licences_by_customer ON licences(customer_id);
CREATE INDEX licences_by_date ON licences(expires_on);

CREATE TABLE calls(
  id INTEGER PRIMARY KEY, direction TEXT NOT NULL, telephone TEXT NOT NULL, ended_at TEXT, seconds INTEGER);
CREATE INDEX calls_by_time ON calls(ended_at);

CREATE TABLE enquiries(
  id INTEGER PRIMARY KEY, source TEXT NOT NULL, status TEXT NOT NULL, name TEXT NOT NULL, email TEXT NOT NULL, telephone TEXT,
  message TEXT NOT NULL, answered_at TEXT);
CREATE TABLE enquiry_replies(
  id INTEGER PRIMARY KEY, enquiry_id INTEGER NOT NULL REFERENCES enquiries(id), draft INTEGER NOT NULL, message TEXT NOT NULL);
CREATE INDEX enquiry_replies_by_enquiry ON enquiry_replies(enquiry_id);

CREATE TABLE tickets(
  id INTEGER PRIMARY KEY, queue TEXT NOT NULL, status TEXT NOT NULL, sender_email TEXT NOT NULL, subject TEXT NOT NULL, resolved_at TEXT);
CREATE TABLE ticket_messages(
  id INTEGER PRIMARY KEY, ticket_id INTEGER NOT NULL REFERENCES tickets(id), channel TEXT NOT NULL, sender_email TEXT NOT NULL,
  message TEXT NOT NULL);
CREATE INDEX ticket_messages_by_ticket ON ticket_messages(ticket_id);
CREATE TABLE attachments(
  id INTEGER PRIMARY KEY, ticket_id INTEGER NOT NULL REFERENCES tickets(id), kind TEXT NOT NULL, name TEXT NOT NULL,
  sender_email TEXT NOT NULL);
CREATE INDEX attachments_by_ticket ON attachments(ticket_id);

CREATE TABLE remote_sessions(
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers(id), computer TEXT NOT NULL, ended_at TEXT);
CREATE INDEX remote_sessions_by_customer ON remote_sessions(customer_id);
CREATE INDEX remote_sessions_by_time ON remote_sessions(ended_at);
CREATE TABLE session_consents(
  id INTEGER PRIMARY KEY, session_id INTEGER NOT NULL REFERENCES remote_sessions(id), given_at TEXT NOT NULL, withdrawn_at TEXT);
CREATE INDEX session_consents_by_session ON session_consents(session_id);

CREATE TABLE form_entries(
  id INTEGER PRIMARY KEY, form TEXT NOT NULL, email TEXT NOT NULL, message TEXT NOT NULL, sent_at TEXT);
CREATE INDEX form_entries_by_time ON form_entries(sent_at);

CREATE TABLE readers(
  id INTEGER PRIMARY KEY, list TEXT NOT NULL, email TEXT NOT NULL UNIQUE, name TEXT, joined_at TEXT NOT NULL);
CREATE TABLE leavers(id INTEGER PRIMARY KEY, email TEXT NOT NULL, left_at TEXT NOT NULL);
CREATE INDEX leavers_by_email ON leavers(email);
CREATE INDEX leavers_by_time ON leavers(left_at);
