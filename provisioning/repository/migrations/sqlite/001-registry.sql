-- Records are kept whole, as JSON, beside the columns they are found by.

CREATE TABLE apis (
  audience TEXT PRIMARY KEY,
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Clients of every kind share one space of identifiers: a device's OAuth client id is its device id.
CREATE TABLE clients (
  oauth_client_id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('device', 'service', 'command-line')),
  issuer_client_id TEXT,
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX clients_by_kind ON clients (kind, oauth_client_id);

CREATE TABLE client_audiences (
  audience TEXT NOT NULL,
  oauth_client_id TEXT NOT NULL REFERENCES clients (oauth_client_id) ON DELETE CASCADE,
  PRIMARY KEY (audience, oauth_client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX client_audiences_of_client ON client_audiences (oauth_client_id);

CREATE TABLE devices (
  device_id TEXT PRIMARY KEY REFERENCES clients (oauth_client_id),
  state TEXT NOT NULL CHECK (state IN ('registered', 'enrolled', 'active', 'suspended', 'retired')),
  search TEXT NOT NULL, -- the name, lower case
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_by_state ON devices (state, device_id);

CREATE TABLE device_tags (
  tag TEXT NOT NULL,
  device_id TEXT NOT NULL REFERENCES devices (device_id),
  PRIMARY KEY (tag, device_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_tags_of_device ON device_tags (device_id);

CREATE TABLE credentials (
  credential_id TEXT PRIMARY KEY,
  oauth_client_id TEXT NOT NULL REFERENCES clients (oauth_client_id) ON DELETE CASCADE,
  digest BLOB, -- keyed hash of a secret; the secret itself is nowhere
  public_key TEXT, -- JSON: the public JWK of a key
  thumbprint TEXT, -- RFC 7638, of a key
  created_at_ms INTEGER NOT NULL,
  last_used_at_ms INTEGER,
  expires_at_ms INTEGER,
  revoked_at_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX credentials_of_client ON credentials (oauth_client_id);
CREATE UNIQUE INDEX credentials_by_key ON credentials (thumbprint) WHERE thumbprint IS NOT NULL AND revoked_at_ms IS NULL;

CREATE TABLE lots (
  lot_id TEXT PRIMARY KEY,
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE assignments (
  device_id TEXT NOT NULL REFERENCES devices (device_id),
  from_ms INTEGER NOT NULL,
  to_ms INTEGER,
  lot_id TEXT NOT NULL REFERENCES lots (lot_id),
  PRIMARY KEY (device_id, from_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX assignments_of_lot ON assignments (lot_id, device_id);

CREATE TABLE enrol_keys (
  enrol_key_id TEXT PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE, -- keyed hash of the key; the key itself is nowhere
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolments (
  enrolment_id TEXT PRIMARY KEY,
  thumbprint TEXT NOT NULL,
  state TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX enrolments_by_key ON enrolments (thumbprint, created_at_ms);
CREATE INDEX enrolments_by_state ON enrolments (state, enrolment_id);

CREATE TABLE configs (
  device_id TEXT PRIMARY KEY REFERENCES devices (device_id),
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE commands (
  command_id TEXT PRIMARY KEY,
  device_id TEXT NOT NULL REFERENCES devices (device_id),
  state TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX commands_of_device ON commands (device_id, created_at_ms);
CREATE INDEX commands_open ON commands (state) WHERE state IN ('pending', 'delivered');

CREATE TABLE presence (
  device_id TEXT PRIMARY KEY,
  connected INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX presence_connected ON presence (connected, device_id);

CREATE TABLE alarms (
  alarm_id INTEGER PRIMARY KEY,
  record TEXT NOT NULL
) STRICT;

CREATE TABLE signing_keys (
  kid TEXT PRIMARY KEY,
  created_at_ms INTEGER NOT NULL,
  record TEXT NOT NULL -- JSON: StoredSigningKey; the private half is sealed
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE replays (
  actor TEXT NOT NULL,
  request_key TEXT NOT NULL, -- a hash: the key itself opens the answer
  request_hash TEXT NOT NULL,
  sealed_answer TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (actor, request_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX replays_by_age ON replays (at_ms);

CREATE TABLE used_ids (
  id TEXT PRIMARY KEY,
  expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_ids_by_expiry ON used_ids (expires_at_ms);

CREATE TABLE token_counts (
  counter TEXT NOT NULL,
  window_start_ms INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  PRIMARY KEY (counter, window_start_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX token_counts_by_window ON token_counts (window_start_ms);

CREATE TABLE decisions (
  decision_number INTEGER PRIMARY KEY AUTOINCREMENT,
  decision_id TEXT NOT NULL UNIQUE,
  at_ms INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  oauth_client_id TEXT,
  record TEXT NOT NULL
) STRICT;
CREATE INDEX decisions_by_time ON decisions (at_ms);

-- Only the latest moment counts for each subject; pruned once no living token can be met by it.
CREATE TABLE revocations (
  kind TEXT NOT NULL CHECK (kind IN ('credential', 'client', 'token')),
  subject TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: a position is never given out again, also after pruning.
CREATE TABLE feed (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  type TEXT NOT NULL,
  data TEXT NOT NULL -- JSON, as followers get it
) STRICT;

CREATE TABLE audit (
  audit_id INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL, -- the OAuth client that asked for the change
  verb TEXT NOT NULL,
  subject TEXT NOT NULL,
  before TEXT, -- JSON
  after TEXT -- JSON
) STRICT;
CREATE INDEX audit_of_subject ON audit (subject, audit_id);
CREATE INDEX audit_of_actor ON audit (actor, audit_id);
