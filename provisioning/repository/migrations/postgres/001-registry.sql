-- Records are kept whole, as JSON, beside the columns they are found by.

CREATE TABLE apis (
  audience TEXT COLLATE "C" PRIMARY KEY,
  record TEXT COLLATE "C" NOT NULL
);

-- Clients of every kind share one space of identifiers: a device's OAuth client id is its device id.
CREATE TABLE clients (
  oauth_client_id TEXT COLLATE "C" PRIMARY KEY,
  kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('device', 'service', 'command-line')),
  issuer_client_id TEXT COLLATE "C",
  record TEXT COLLATE "C" NOT NULL
);
CREATE INDEX clients_by_kind ON clients (kind, oauth_client_id);

CREATE TABLE client_audiences (
  audience TEXT COLLATE "C" NOT NULL,
  oauth_client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (oauth_client_id) ON DELETE CASCADE,
  PRIMARY KEY (audience, oauth_client_id)
);
CREATE INDEX client_audiences_of_client ON client_audiences (oauth_client_id);

CREATE TABLE devices (
  device_id TEXT COLLATE "C" PRIMARY KEY REFERENCES clients (oauth_client_id),
  state TEXT COLLATE "C" NOT NULL CHECK (state IN ('registered', 'enrolled', 'active', 'suspended', 'retired')),
  search TEXT COLLATE "C" NOT NULL, -- the name, lower case
  record TEXT COLLATE "C" NOT NULL
);
CREATE INDEX devices_by_state ON devices (state, device_id);

CREATE TABLE device_tags (
  tag TEXT COLLATE "C" NOT NULL,
  device_id TEXT COLLATE "C" NOT NULL REFERENCES devices (device_id),
  PRIMARY KEY (tag, device_id)
);
CREATE INDEX device_tags_of_device ON device_tags (device_id);

CREATE TABLE credentials (
  credential_id TEXT COLLATE "C" PRIMARY KEY,
  oauth_client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (oauth_client_id) ON DELETE CASCADE,
  digest BYTEA, -- keyed hash of a secret; the secret itself is nowhere
  public_key TEXT COLLATE "C", -- JSON: the public JWK of a key
  thumbprint TEXT COLLATE "C", -- RFC 7638, of a key
  created_at_ms BIGINT NOT NULL,
  last_used_at_ms BIGINT,
  expires_at_ms BIGINT,
  revoked_at_ms BIGINT
);
CREATE INDEX credentials_of_client ON credentials (oauth_client_id);
CREATE UNIQUE INDEX credentials_by_key ON credentials (thumbprint) WHERE thumbprint IS NOT NULL AND revoked_at_ms IS NULL;

CREATE TABLE lots (
  lot_id TEXT COLLATE "C" PRIMARY KEY,
  record TEXT COLLATE "C" NOT NULL
);

CREATE TABLE assignments (
  device_id TEXT COLLATE "C" NOT NULL REFERENCES devices (device_id),
  from_ms BIGINT NOT NULL,
  to_ms BIGINT,
  lot_id TEXT COLLATE "C" NOT NULL REFERENCES lots (lot_id),
  PRIMARY KEY (device_id, from_ms)
);
CREATE INDEX assignments_of_lot ON assignments (lot_id, device_id);

CREATE TABLE enrol_keys (
  enrol_key_id TEXT COLLATE "C" PRIMARY KEY,
  digest BYTEA NOT NULL UNIQUE, -- keyed hash of the key; the key itself is nowhere
  record TEXT COLLATE "C" NOT NULL
);

CREATE TABLE enrolments (
  enrolment_id TEXT COLLATE "C" PRIMARY KEY,
  thumbprint TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  created_at_ms BIGINT NOT NULL,
  record TEXT COLLATE "C" NOT NULL
);
CREATE INDEX enrolments_by_key ON enrolments (thumbprint, created_at_ms);
CREATE INDEX enrolments_by_state ON enrolments (state, enrolment_id);

CREATE TABLE configs (
  device_id TEXT COLLATE "C" PRIMARY KEY REFERENCES devices (device_id),
  record TEXT COLLATE "C" NOT NULL
);

CREATE TABLE commands (
  command_id TEXT COLLATE "C" PRIMARY KEY,
  device_id TEXT COLLATE "C" NOT NULL REFERENCES devices (device_id),
  state TEXT COLLATE "C" NOT NULL,
  created_at_ms BIGINT NOT NULL,
  record TEXT COLLATE "C" NOT NULL
);
CREATE INDEX commands_of_device ON commands (device_id, created_at_ms);
CREATE INDEX commands_open ON commands (state) WHERE state IN ('pending', 'delivered');

CREATE TABLE presence (
  device_id TEXT COLLATE "C" PRIMARY KEY,
  connected BIGINT NOT NULL,
  record TEXT COLLATE "C" NOT NULL
);
CREATE INDEX presence_connected ON presence (connected, device_id);

CREATE TABLE alarms (
  alarm_id BIGINT PRIMARY KEY,
  record TEXT COLLATE "C" NOT NULL
);

CREATE TABLE signing_keys (
  kid TEXT COLLATE "C" PRIMARY KEY,
  created_at_ms BIGINT NOT NULL,
  record TEXT COLLATE "C" NOT NULL -- JSON: StoredSigningKey; the private half is sealed
);

CREATE TABLE marks (
  name TEXT COLLATE "C" PRIMARY KEY,
  value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE replays (
  actor TEXT COLLATE "C" NOT NULL,
  request_key TEXT COLLATE "C" NOT NULL, -- a hash: the key itself opens the answer
  request_hash TEXT COLLATE "C" NOT NULL,
  sealed_answer TEXT COLLATE "C" NOT NULL,
  at_ms BIGINT NOT NULL,
  PRIMARY KEY (actor, request_key)
);
CREATE INDEX replays_by_age ON replays (at_ms);

CREATE TABLE used_ids (
  id TEXT COLLATE "C" PRIMARY KEY,
  expires_at_ms BIGINT NOT NULL
);
CREATE INDEX used_ids_by_expiry ON used_ids (expires_at_ms);

CREATE TABLE token_counts (
  counter TEXT COLLATE "C" NOT NULL,
  window_start_ms BIGINT NOT NULL,
  tokens BIGINT NOT NULL,
  PRIMARY KEY (counter, window_start_ms)
);
CREATE INDEX token_counts_by_window ON token_counts (window_start_ms);

CREATE TABLE decisions (
  decision_number BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  decision_id TEXT COLLATE "C" NOT NULL UNIQUE,
  at_ms BIGINT NOT NULL,
  outcome TEXT COLLATE "C" NOT NULL,
  oauth_client_id TEXT COLLATE "C",
  record TEXT COLLATE "C" NOT NULL
);
CREATE INDEX decisions_by_time ON decisions (at_ms);

-- Only the latest moment counts for each subject; pruned once no living token can be met by it.
CREATE TABLE revocations (
  kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('credential', 'client', 'token')),
  subject TEXT COLLATE "C" NOT NULL,
  at_ms BIGINT NOT NULL,
  PRIMARY KEY (kind, subject)
);

-- An identity column: a position is never given out again, also after pruning.
CREATE TABLE feed (
  position BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  type TEXT COLLATE "C" NOT NULL,
  data TEXT COLLATE "C" NOT NULL -- JSON, as followers get it
);

CREATE TABLE audit (
  audit_id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  at_ms BIGINT NOT NULL,
  actor TEXT COLLATE "C" NOT NULL, -- the OAuth client that asked for the change
  verb TEXT COLLATE "C" NOT NULL,
  subject TEXT COLLATE "C" NOT NULL,
  before TEXT COLLATE "C", -- JSON
  after TEXT COLLATE "C" -- JSON
);
CREATE INDEX audit_of_subject ON audit (subject, audit_id);
CREATE INDEX audit_of_actor ON audit (actor, audit_id);
