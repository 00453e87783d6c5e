import { describe, expect, it } from 'vitest'
import { parseStatus, type StatusMessage } from '../../../../core/contract/status.ts'

const status: StatusMessage = {
  v: 1,
  version: '0.1.0',
  uptimeSec: 12,
  schedule: { cron: '* * * * *', sinceMs: 1_763_906_700_000 },
  epoch: '9f0c3a77d1e2b465',
  nextSeq: 3,
  queue: { readings: 2, bytes: 120, bytesMax: 1_048_576, lossWindowMs: 5000 },
  dropped: 0,
  clock: { state: 'synced', offsetMs: -3 },
  sensors: [{ name: 'gate', type: 'gpio', state: 'ok' }],
  credential: { credentialId: 'cred_1', ageSec: 60 },
}

describe('a status', () => {
  it('is read as it was written', () => {
    expect(parseStatus(JSON.stringify(status))).toEqual(status)
  })

  it('of another version, of another form or no JSON at all says nothing', () => {
    for (const body of [
      '',
      '{',
      'null',
      '[]',
      JSON.stringify({ ...status, v: 2 }),
      JSON.stringify({ ...status, epoch: 'x' }),
    ])
      expect(parseStatus(body)).toBeUndefined()
  })
})
