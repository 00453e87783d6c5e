/** What the tests of ingest's rules have in common. */
import type { StatusMessage } from '../../../core/contract/status.ts'

export function statusOf(more: Partial<StatusMessage> = {}): StatusMessage {
  return {
    v: 1,
    version: '1.0.0',
    uptimeSec: 0,
    schedule: { cron: '* * * * *', sinceMs: Date.UTC(2026, 0, 1) },
    epoch: '9f0c3a77d1e2b465',
    nextSeq: 0,
    queue: { readings: 0, bytes: 0, bytesMax: 1_000_000, lossWindowMs: 5000 },
    dropped: 0,
    clock: { state: 'synced' },
    sensors: [{ name: 'main', type: 'simulated', state: 'ok' }],
    credential: {},
    ...more,
  }
}
