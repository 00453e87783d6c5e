-- Clients of every kind share one space of identifiers: a device's OAuth client id is its device id.
CREATE TABLE clients (
  oauth_client_id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('device', 'service', 'command-line')),
  name TEXT NOT NULL,
  grants TEXT NOT NULL, -- JSON: ClientGrant[]
  lots TEXT -- JSON: an analyst's limit; NULL is no limit
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
  device_id TEXT PRIMARY KEY REFERENCES clients (oauth_client_id),
  name TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'retired')),
  registered_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE credentials (
  credential_id TEXT PRIMARY KEY,
  oauth_client_id TEXT NOT NULL REFERENCES clients (oauth_client_id),
  digest BLOB NOT NULL, -- keyed hash of the secret; the secret itself is nowhere
  created_at_ms INTEGER NOT NULL,
  last_used_at_ms INTEGER,
  revoked_at_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX credentials_of_client ON credentials (oauth_client_id);

CREATE TABLE lots (
  lot_id TEXT PRIMARY KEY,
  lot TEXT NOT NULL -- JSON: Lot
) STRICT, WITHOUT ROWID;

CREATE TABLE assignments (
  device_id TEXT NOT NULL REFERENCES devices (device_id),
  from_ms INTEGER NOT NULL,
  to_ms INTEGER,
  lot_id TEXT NOT NULL REFERENCES lots (lot_id),
  PRIMARY KEY (device_id, from_ms)
) STRICT, WITHOUT ROWID;

-- Only the latest moment counts for each subject; pruned once no living token can be met by it.
CREATE TABLE revocations (
  kind TEXT NOT NULL CHECK (kind IN ('credential', 'client')),
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
