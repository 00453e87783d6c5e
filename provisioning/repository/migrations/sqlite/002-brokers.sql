-- Brokers that report presence: who falls silent has lost its connections.
CREATE TABLE brokers (
  broker_id TEXT PRIMARY KEY,
  record TEXT NOT NULL -- JSON: BrokerRecord
) STRICT, WITHOUT ROWID;
