import { describe, expect, test } from 'vitest'
import type { DeviceId, Epoch } from '../../../core/contract/device.ts'
import { gapsOf } from '../../../ingest/completeness.ts'
import { Ledger } from '../../../ingest/ledger.ts'

const device = 'd1' as DeviceId
const epoch = '9f0c3a77d1e2b465' as Epoch

describe('gaps', () => {
  const ledger = () => new Ledger({ rangesPerEpochMax: 100, epochsPerDeviceMax: 10 })

  test('are holes, missing tails and what was dropped, in order', () => {
    const known = ledger()
    known.load({ deviceId: device, epoch, fromSeq: 2, toSeq: 4, outcome: 'stored' })
    known.load({ deviceId: device, epoch, fromSeq: 5, toSeq: 6, outcome: 'dropped', reason: 'outbox_full' })
    known.loadEnd({ deviceId: device, epoch, lastSeq: 8 })

    expect(gapsOf(known, [device, device], 10)).toMatchObject([
      { deviceId: device, epoch, fromSeq: 0, toSeq: 1, readings: 2, reason: 'unexplained' },
      { deviceId: device, epoch, fromSeq: 5, toSeq: 6, reason: 'outbox_limit', detail: 'outbox_full' },
      { deviceId: device, epoch, fromSeq: 7, toSeq: 8, reason: 'unexplained' },
    ])
  })

  test('are none where every sequence has an outcome, whichever', () => {
    const known = ledger()
    known.load({ deviceId: device, epoch, fromSeq: 0, toSeq: 4, outcome: 'stored' })
    known.load({ deviceId: device, epoch, fromSeq: 5, toSeq: 5, outcome: 'quarantined' })
    known.loadEnd({ deviceId: device, epoch, lastSeq: 5 })

    expect(gapsOf(known, [device, 'never-seen' as DeviceId], 10)).toEqual([])
  })

  test('are cut to the most that is listed', () => {
    const known = ledger()
    for (let seq = 1; seq < 20; seq += 2)
      known.load({ deviceId: device, epoch, fromSeq: seq, toSeq: seq, outcome: 'stored' })

    expect(gapsOf(known, [device], 3)).toHaveLength(3)
  })
})
