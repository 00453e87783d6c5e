import { describe, expect, it } from 'vitest'
import { createLane } from '../../../agent/lane.ts'
import { Outbox, type ReadAhead } from '../../../agent/outbox.ts'
import type { OutboxRecord } from '../../../agent/outbox-record.ts'
import { type Epoch, parseEpoch } from '../../../core/contract/device.ts'
import { createLog } from '../../../core/runtime/log.ts'
import { placeOf, takenOf } from './taken.ts'

describe('a lane', () => {
  it('sends what it read, though readings were kept while it read', async () => {
    const outbox = new Outbox(
      {
        epoch: parseEpoch('9f0c3a77d1e2b465') as Epoch,
        nextSeq: 2,
        firstSeq: 0,
        queued: 2,
        queuedBytes: 100,
        place: placeOf(),
        undatedFrom: undefined,
        thinFrom: undefined,
        dropped: [],
        previous: undefined,
      },
      { windowMessages: 2, bytesMax: 2 ** 20, whenFull: 'drop_oldest' },
    )
    const asked: ReadAhead[] = []
    let answer: (records: OutboxRecord[]) => void = () => undefined
    const sent: string[] = []
    const lane = createLane({
      outbox,
      store: {
        load: (want) => {
          asked.push(want)
          return new Promise((resolve) => {
            answer = resolve
          })
        },
        forget: async () => undefined,
      },
      uplink: { isConnected: true, send: (_id, payload) => sent.push(payload) },
      log: createLog({ program: 'agent', level: 'error' }),
      onCorrupt: () => undefined,
      onBroken: (error) => {
        throw error
      },
    })
    lane.pump()
    outbox.committed(outbox.keep(takenOf([{ timestampMs: 3, occupied: 3 }]), placeOf()))
    lane.pump()
    answer([0, 1].map((seq) => ({ seq, json: `{"seq":${seq},"timestampMs":${seq},"occupied":1}` })))
    await Promise.resolve()
    await Promise.resolve()
    expect(sent).toHaveLength(1)
    expect(sent[0]).toContain('"seq":1')
    expect(asked).toMatchObject([
      { fromSeq: 0, toSeq: 2 },
      { fromSeq: 2, toSeq: 3 },
    ])
  })
})
