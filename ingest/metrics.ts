/** What ingest counts: readings by verdict, what was set aside by reason, how long commits take, and what is on disk. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { verdictLetters } from '../core/contract/reading.ts'
import type { Decision } from './decide.ts'
import type { Disk } from './disk.ts'

export interface IngestMetrics {
  committed(decision: Decision, tookMs: number): void
}

export function createIngestMetrics(registry: Registry, disk: Disk): IngestMetrics {
  const registers = [registry]
  const readings = new Counter({
    name: 'lotwatch_ingest_readings_total',
    help: 'Readings settled since the start, by verdict; what was known already is redelivered or duplicate.',
    labelNames: ['verdict'],
    registers,
  })
  const quarantined = new Counter({
    name: 'lotwatch_ingest_quarantined_total',
    help: 'Readings and messages set aside since the start, by reason.',
    labelNames: ['reason'],
    registers,
  })
  const commits = new Histogram({
    name: 'lotwatch_ingest_commit_seconds',
    help: 'From the decision on a batch to its commit.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    registers,
  })
  new Gauge({
    name: 'lotwatch_ingest_disk_bytes',
    help: 'Bytes on disk, by what they are for.',
    labelNames: ['use'],
    registers,
    async collect() {
      for (const [use, bytes] of await disk.used()) this.set({ use }, bytes)
    },
  })
  new Gauge({
    name: 'lotwatch_ingest_disk_free_bytes',
    help: 'Bytes that may still be written to the disk of the database.',
    registers,
    async collect() {
      this.set((await disk.free()) ?? Number.NaN)
    },
  })
  const byLetter = new Map(
    Object.entries(verdictLetters).map(([verdict, letter]) => [letter.charCodeAt(0), { verdict, count: 0 }]),
  )

  return {
    committed(decision, tookMs) {
      commits.observe(tookMs / 1000)
      // Once per reading: counted in plain numbers first.
      for (const letters of decision.verdicts) {
        for (let i = 0; i < letters.length; i++) {
          const tally = byLetter.get(letters.charCodeAt(i))
          if (tally !== undefined) tally.count++
        }
      }
      for (const tally of byLetter.values()) {
        readings.inc({ verdict: tally.verdict }, tally.count)
        tally.count = 0
      }
      for (const { reason } of decision.quarantine) quarantined.inc({ reason })
    },
  }
}
