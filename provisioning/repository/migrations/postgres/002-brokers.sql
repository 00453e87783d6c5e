-- Brokers that report presence: who falls silent has lost its connections.
CREATE TABLE brokers (
  broker_id TEXT COLLATE "C" PRIMARY KEY,
  record TEXT COLLATE "C" NOT NULL -- JSON: BrokerRecord
);
