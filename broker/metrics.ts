/** What the broker counts: connections, refusals by reason, handovers and what is held in memory. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { KeysState } from '../core/auth/verifier.ts'

export interface BrokerMetrics {
  refused(code: string): void
  handedOver(batch: { messages: number; bytes: number; tookMs: number }): void
}

export function createBrokerMetrics(
  registry: Registry,
  now: {
    connections: () => number
    bufferedBytes: () => number
    isIngestAvailable: () => boolean
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
  gauge(
    'lotwatch_broker_buffered_bytes',
    'Bytes of messages that ingest has not answered for.',
    now.bufferedBytes,
  )
  gauge('lotwatch_broker_ingest_available', '1 while readings can be handed over.', () =>
    Number(now.isIngestAvailable()),
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

  return {
    refused: (code) => refusals.inc({ code }),
    handedOver(batch) {
      messages.inc(batch.messages)
      handovers.observe(batch.tookMs / 1000)
    },
  }
}
