/** What the broker counts: connections, refusals by reason, handovers, how soon it acknowledges and cuts, what it holds. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { KeysState } from '../core/auth/verifier.ts'

export interface BrokerMetrics {
  refused(code: string): void
  /** Milliseconds from the first message of a batch to its PUBACK. */
  acknowledged(waitedMs: number): void
  /** Milliseconds from the moment of a revocation until its connections were cut. */
  revoked(tookMs: number): void
  /** A message went down to a device; one was forgotten because too many wait. */
  sentDown(kind: 'config' | 'commands'): void
  droppedDown(): void
  /** A device said what became of a command. */
  replied(outcome: 'taken' | 'unreadable' | 'foreign' | 'failed'): void
  handedOver(batch: { messages: number; bytes: number; tookMs: number }): void
}

export function createBrokerMetrics(
  registry: Registry,
  now: {
    connections: () => number
    pendingSockets: () => number
    bufferedBytes: () => number
    bufferBytesHard: number
    isIngestAvailable: () => boolean
    waitingCommands: () => number
    waitingOutcomes: () => number
    keys: () => readonly KeysState[]
  },
): BrokerMetrics {
  const registers = [registry]
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value())
      },
    })
  gauge('lotwatch_broker_connections', 'Devices connected now.', now.connections)
  gauge('lotwatch_broker_pending_sockets', 'Sockets from which no CONNECT has come yet.', now.pendingSockets)
  gauge(
    'lotwatch_broker_buffer_fill',
    'Share of the hard limit that is held, 0 to 1.',
    () => now.bufferedBytes() / now.bufferBytesHard,
  )
  gauge(
    'lotwatch_broker_buffered_bytes',
    'Bytes of messages that ingest has not answered for.',
    now.bufferedBytes,
  )
  gauge('lotwatch_broker_ingest_available', '1 while readings can be handed over.', () =>
    Number(now.isIngestAvailable()),
  )
  gauge('lotwatch_broker_commands_waiting', 'Commands that wait for their devices.', now.waitingCommands)
  gauge(
    'lotwatch_broker_outcomes_waiting',
    'Commands delivered of which provisioning does not know yet.',
    now.waitingOutcomes,
  )
  new Gauge({
    name: 'lotwatch_broker_keys_kept',
    help: '1 while an issuer does not answer and keys it gave before are believed.',
    labelNames: ['issuer'],
    registers,
    collect() {
      for (const { issuer, isKept } of now.keys()) this.set({ issuer }, Number(isKept))
    },
  })
  new Gauge({
    name: 'lotwatch_broker_keys_age_seconds',
    help: 'Age of the keys of an issuer; absent while there are none.',
    labelNames: ['issuer'],
    registers,
    collect() {
      for (const { issuer, ageMs } of now.keys()) if (ageMs !== undefined) this.set({ issuer }, ageMs / 1000)
    },
  })
  const refusals = new Counter({
    name: 'lotwatch_broker_refusals_total',
    help: 'Connections refused since the start, by error code.',
    labelNames: ['code'],
    registers,
  })
  const down = new Counter({
    name: 'lotwatch_broker_downlink_total',
    help: 'Messages sent to devices since the start, by topic; again counts again.',
    labelNames: ['topic'],
    registers,
  })
  const dropped = new Counter({
    name: 'lotwatch_broker_downlink_dropped_total',
    help: 'Commands, or news of them, forgotten because too many wait.',
    registers,
  })
  const replies = new Counter({
    name: 'lotwatch_broker_replies_total',
    help: 'Answers to commands since the start, by what became of them.',
    labelNames: ['outcome'],
    registers,
  })
  const messages = new Counter({
    name: 'lotwatch_broker_messages_total',
    help: 'Messages settled by ingest since the start.',
    registers,
  })
  const handovers = new Histogram({
    name: 'lotwatch_broker_handover_seconds',
    help: 'From a batch leaving to its verdicts.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    registers,
  })

  const acknowledgements = new Histogram({
    name: 'lotwatch_broker_puback_seconds',
    help: 'From the first message of a batch to its PUBACK.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  })
  const cuts = new Histogram({
    name: 'lotwatch_broker_revocation_seconds',
    help: 'From a revocation, by the clock of provisioning, until its connections were cut.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 60],
    registers,
  })

  return {
    acknowledged: (waitedMs) => acknowledgements.observe(waitedMs / 1000),
    // Clocks differ: what was over before it began took no time.
    revoked: (tookMs) => cuts.observe(Math.max(0, tookMs) / 1000),
    refused: (code) => refusals.inc({ code }),
    sentDown: (topic) => down.inc({ topic }),
    droppedDown: () => dropped.inc(),
    replied: (outcome) => replies.inc({ outcome }),
    handedOver(batch) {
      messages.inc(batch.messages)
      handovers.observe(batch.tookMs / 1000)
    },
  }
}
