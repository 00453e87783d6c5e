import { beforeEach, describe, expect, test } from 'vitest'
import type { DeviceId, Epoch } from '../../../core/contract/device.ts'
import { Ledger } from '../../../ingest/ledger.ts'

const deviceId = 'd1' as DeviceId
const epoch = '9f0c3a77d1e2b465' as Epoch
const other = 'aaaaaaaaaaaaaaaa' as Epoch
const stored = (fromSeq: number, toSeq = fromSeq) => ({ fromSeq, toSeq, outcome: 'stored' as const })

let ledger: Ledger
beforeEach(() => {
  ledger = new Ledger({ rangesPerEpochMax: 2, epochsPerDeviceMax: 1 })
})

describe('the ledger', () => {
  test('knows what is staged at once, and keeps it once it is settled', () => {
    ledger.stage(deviceId, epoch, stored(0))
    expect(ledger.find(deviceId, epoch)?.outcomeOf(0)).toBe('stored')

    ledger.settle()

    expect([...ledger.rows()]).toEqual([{ deviceId, epoch, ...stored(0) }])
    expect([...ledger.stagedRows()]).toEqual([])
  })

  test('is as it was when a commit fails', () => {
    const device = ledger.device(deviceId)
    ledger.stage(deviceId, epoch, stored(0, 4))
    ledger.stageInstant(device, 1000)
    ledger.settle()
    ledger.stage(deviceId, epoch, stored(5))
    ledger.stageEnd({ deviceId, epoch, lastSeq: 9 })
    ledger.stageInstant(device, 2000)

    ledger.discard()

    expect([...ledger.rows()]).toEqual([{ deviceId, epoch, ...stored(0, 4) }])
    expect(ledger.find(deviceId, epoch)?.outcomeOf(5)).toBeUndefined()
    expect([device.highMs, device.stagedHighMs]).toEqual([1000, 1000])
    expect(ledger.stageEnd({ deviceId, epoch, lastSeq: 9 })).toBe(true)
  })

  test('takes no instant for new that a failed commit has touched', () => {
    const device = ledger.device(deviceId)
    ledger.stageInstant(device, 2000)

    ledger.discard()

    expect(device.isNews(2000)).toBe(false)
    expect(device.isNews(2001)).toBe(true)
    ledger.stageInstant(device, 1000)
    ledger.settle()
    expect(device.highMs).toBe(1000)
    expect(device.isNews(2000)).toBe(false)
  })

  test('does not count an epoch whose only commit failed', () => {
    ledger.stage(deviceId, other, stored(0))

    ledger.discard()

    expect(ledger.stage(deviceId, epoch, stored(0))).toBe(true)
  })

  test('has no room for more epochs of a device than its limit', () => {
    ledger.stage(deviceId, epoch, stored(0))

    expect(ledger.stage(deviceId, other, stored(0))).toBe(false)
    expect(ledger.stage('d2' as DeviceId, other, stored(0))).toBe(true)
  })

  test('has no room for more ranges than its limit, but for what prolongs the last one', () => {
    ledger.stage(deviceId, epoch, stored(0))
    ledger.stage(deviceId, epoch, stored(2))
    ledger.settle()

    expect(ledger.stage(deviceId, epoch, stored(4))).toBe(false)
    expect(ledger.stage(deviceId, epoch, { ...stored(3), outcome: 'duplicate' })).toBe(false)
    expect(ledger.stage(deviceId, epoch, stored(3))).toBe(true)
  })

  test('takes the furthest end an epoch is said to have', () => {
    expect(ledger.stageEnd({ deviceId, epoch, lastSeq: 5 })).toBe(true)
    expect(ledger.stageEnd({ deviceId, epoch, lastSeq: 4 })).toBe(false)
    ledger.settle()

    expect(ledger.find(deviceId, epoch)?.endSeq).toBe(5)
    expect(ledger.stageEnd({ deviceId, epoch, lastSeq: 5 })).toBe(false)
  })
})
