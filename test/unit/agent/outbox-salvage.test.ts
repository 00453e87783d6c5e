/** Outboxes that are damaged on purpose: nothing of them is sent as what it is not, and no sequence is given twice. */
import {
  closeSync,
  copyFileSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { enoughRoom, Outbox } from '../../../agent/outbox.ts'
import type { OutboxRecord } from '../../../agent/outbox-record.ts'
import { createOutboxFolder, type OutboxFolder } from '../../../agent/outbox-salvage.ts'
import type { OutboxStore } from '../../../agent/outbox-store.ts'
import { type Epoch, parseEpoch } from '../../../core/contract/device.ts'
import { makeDataDir } from '../../kit/program.ts'
import { randomFrom } from '../../kit/random.ts'
import { placeOf, takenOf } from './taken.ts'

const limits = { windowMessages: 50, bytesMax: 2 ** 30, whenFull: 'drop_oldest' } as const
const readings = 3000
const firstEpoch = '0000000000000001'

let data: ReturnType<typeof makeDataDir>
let dir: string
let folder: OutboxFolder

beforeEach(() => {
  data = makeDataDir()
  dir = join(data.path, 'outbox')
  let epochs = 0
  folder = createOutboxFolder(dir, {
    newEpoch: () => parseEpoch(String(++epochs).padStart(16, '0')) as Epoch,
    nowMs: () => Date.UTC(2026, 10, 23),
  })
})
afterEach(() => data.remove())

const occupiedOf = (seq: number) => (seq * 7919) % 977

async function keep(store: OutboxStore, outbox: Outbox, count: number): Promise<void> {
  const observations = Array.from({ length: count }, (_, i) => ({
    timestampMs: 1_763_906_700_000 + (outbox.nextSeq + i) * 1000,
    occupied: occupiedOf(outbox.nextSeq + i),
  }))
  const next = outbox.keep(takenOf(observations), placeOf())
  await store.append(next, enoughRoom, undefined)
  outbox.committed(next)
}

/** An outbox with readings in tables and, the newest of them, in the log; closed. */
async function filled(): Promise<void> {
  for (const count of [readings - 500, 500]) {
    const { store } = await folder.open()
    const outbox = new Outbox(store.contents, limits)
    for (let kept = 0; kept < count; kept += 50) await keep(store, outbox, 50)
    await store.close()
  }
}

const filesLike = (shape: RegExp) =>
  readdirSync(dir)
    .filter((name) => shape.test(name))
    .map((name) => join(dir, name))
const only = (shape: RegExp) => filesLike(shape).at(-1) ?? 'none'

function flip(path: string, from: number, bytes = 64): void {
  const content = readFileSync(path)
  for (let i = from; i < Math.min(from + bytes, content.length); i++) content[i] = (content[i] ?? 0) ^ 0xff
  writeFileSync(path, content)
}

/** What is left, whichever outbox it is in now: by epoch and sequence. */
async function everything(): Promise<{ epoch: string; record: OutboxRecord }[]> {
  const opened = await folder.open()
  let { store } = opened
  const found: { epoch: string; record: OutboxRecord }[] = []
  const all = { fromSeq: 0, toSeq: readings * 2, limit: readings * 2 }
  try {
    for (const record of await store.load(all)) found.push({ epoch: store.contents.epoch, record })
  } catch {
    await store.close()
    store = (await folder.open(true)).store
  }
  for (let old = await folder.nextSalvage(); old !== undefined; old = await folder.nextSalvage()) {
    for (const record of await old.store.load(all)) found.push({ epoch: old.store.contents.epoch, record })
    await old.done()
  }
  await store.close()
  return found
}

/** Every reading that is found is what was kept under its identity. */
function expectTrue(found: Awaited<ReturnType<typeof everything>>): void {
  for (const { epoch, record } of found) {
    expect(epoch).toBe(firstEpoch)
    expect(JSON.parse(record.json)).toMatchObject({ seq: record.seq, occupied: occupiedOf(record.seq) })
  }
  expect(new Set(found.map(({ record }) => record.seq)).size).toBe(found.length)
}

describe('an outbox that cannot be read', () => {
  const half = (path: string) => truncateSync(path, Math.floor(readFileSync(path).length / 2))
  const damages: Record<string, { damage: () => void; leaves: number }> = {
    'has bytes flipped in its log': { damage: () => flip(only(/\.log$/), 9000), leaves: readings - 500 },
    'has bytes flipped at the end of its log': {
      damage: () => flip(only(/\.log$/), readFileSync(only(/\.log$/)).length - 64),
      leaves: readings - 50,
    },
    'has half a log': { damage: () => half(only(/\.log$/)), leaves: readings - 500 },
    'lost its log': { damage: () => rmSync(only(/\.log$/)), leaves: readings - 500 },
    'has bytes flipped in a table': { damage: () => flip(only(/\.ldb$/), 5000), leaves: readings - 400 },
    'has half a table': { damage: () => half(only(/\.ldb$/)), leaves: 0 },
    'has bytes flipped in its manifest': { damage: () => flip(only(/MANIFEST/), 20), leaves: readings },
    'has half a manifest': { damage: () => half(only(/MANIFEST/)), leaves: readings },
    'lost its CURRENT': { damage: () => rmSync(only(/CURRENT/)), leaves: readings },
    'names a manifest that is gone': {
      damage: () => writeFileSync(only(/CURRENT/), 'MANIFEST-009999\n'),
      leaves: readings,
    },
  }
  for (const [what, { damage, leaves }] of Object.entries(damages)) {
    it(`is set aside when it ${what}: a new epoch names it, and what can be read is sent as what it was`, async () => {
      await filled()
      damage()
      const found = await everything()
      expectTrue(found)
      expect(found.length).toBeGreaterThanOrEqual(leaves)

      const { store } = await folder.open()
      expect(store.contents).toMatchObject({ queued: 0, nextSeq: 0 })
      expect(store.contents.previous).toEqual({ epoch: firstEpoch, lastSeq: readings - 1 })
      expect(store.contents.epoch).not.toBe(firstEpoch)
      await store.close()
      expect(readdirSync(data.path).sort()).toEqual(['outbox', expect.stringMatching(/^outbox\.corrupt-/)])
    })
  }

  it('loses nothing and keeps its epoch when there is only garbage behind its log', async () => {
    await filled()
    const log = openSync(only(/\.log$/), 'a')
    writeSync(log, Buffer.from(Array.from({ length: 5 }, (_, i) => i * 31)))
    closeSync(log)
    const { store, setAside } = await folder.open()
    expect(setAside).toBeUndefined()
    expect(store.contents).toMatchObject({ epoch: firstEpoch, nextSeq: readings, queued: readings })
    await store.close()
    const found = await everything()
    expectTrue(found)
    expect(found).toHaveLength(readings)
  })

  it('is set aside when it was put back from a copy, since sequences would stand for two readings', async () => {
    await filled()
    const copy = join(data.path, 'copy.log')
    copyFileSync(only(/\.log$/), copy)
    const { store } = await folder.open()
    await keep(store, new Outbox(store.contents, limits), 10)
    await store.close()
    truncateSync(only(/\.log$/), 0)
    const found = await everything()
    expectTrue(found)
    const again = await folder.open()
    expect(again.store.contents.previous).toEqual({ epoch: firstEpoch, lastSeq: readings + 9 })
    await again.store.close()
  })

  it('never gives out a wrong reading, whatever byte of it is wrong', async () => {
    const random = randomFrom(20261125)
    for (let run = 0; run < 6; run++) {
      rmSync(data.path, { recursive: true })
      data = makeDataDir()
      dir = join(data.path, 'outbox')
      folder = createOutboxFolder(dir, {
        newEpoch: () => parseEpoch(firstEpoch) as Epoch,
        nowMs: () => Date.UTC(2026, 10, 23),
      })
      await filled()
      for (const path of filesLike(/\.(ldb|log)$/))
        flip(path, Math.floor(random() * readFileSync(path).length), 1 + Math.floor(random() * 3))
      expectTrue(await everything())
    }
  }, 60_000)
})
