import { once } from 'node:events'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { enoughRoom, Outbox, type OutboxLimits } from '../../../agent/outbox.ts'
import { type OutboxStore, openOutboxStore } from '../../../agent/outbox-store.ts'
import { type Epoch, parseEpoch } from '../../../core/contract/device.ts'
import { buildOptions, root } from '../../../scripts/build.mjs'
import { eventually, makeDataDir, startProgram } from '../../kit/program.ts'
import type { Said } from './append-forever.ts'
import { placeOf, takenOf } from './taken.ts'

const roomy: OutboxLimits = { windowMessages: 50, bytesMax: 2 ** 30, whenFull: 'drop_oldest' }
const everything = { fromSeq: 0, toSeq: 2 ** 40, limit: 1_000_000 }
const observations = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ timestampMs: 1_763_906_700_000 + i, occupied: i }))

let data: ReturnType<typeof makeDataDir>
let dir: string
let stores: OutboxStore[]
let epochs: number

beforeEach(() => {
  data = makeDataDir()
  dir = join(data.path, 'outbox')
  stores = []
  epochs = 0
})
afterEach(async () => {
  for (const store of stores) await store.close()
  data.remove()
})

async function open(): Promise<OutboxStore> {
  const store = await openOutboxStore(dir, {
    newEpoch: () => parseEpoch(String(++epochs).padStart(16, '0')) as Epoch,
    previous: undefined,
  })
  stores.push(store)
  return store
}

async function close(store: OutboxStore): Promise<void> {
  stores = stores.filter((other) => other !== store)
  await store.close()
}

/** An outbox on disk with `count` readings, closed. */
async function filled(count: number): Promise<void> {
  const store = await open()
  const append = new Outbox(store.contents, roomy).keep(
    takenOf(observations(count)),
    placeOf(`${count} rows`),
  )
  await store.append(append, enoughRoom, undefined)
  await close(store)
}

describe('outbox store', () => {
  it('finds after reopening what was appended, with the position of the sensor', async () => {
    await filled(3)
    const store = await open()
    expect(store.contents).toMatchObject({ epoch: '0000000000000001', nextSeq: 3, firstSeq: 0, queued: 3 })
    expect(store.contents.place.position).toBe('3 rows')
    expect((await store.load(everything)).map(({ json }) => JSON.parse(json).occupied)).toEqual([0, 1, 2])
  })

  it('never gives a sequence twice, also when nothing is queued any more', async () => {
    await filled(3)
    const store = await open()
    await store.forget([0, 1, 2], undefined)
    await close(store)
    expect((await open()).contents).toMatchObject({ nextSeq: 3, firstSeq: 3, queued: 0, queuedBytes: 0 })
  })

  it('lets go of the tables of a long queue that is settled, which would stay in memory', async () => {
    await filled(33_000)
    const tableBytes = () => {
      const tables = readdirSync(dir).filter((name) => name.endsWith('.ldb'))
      return tables.reduce((sum, name) => sum + statSync(join(dir, name)).size, 0)
    }
    const store = await open()
    const before = tableBytes()
    for (const from of [0, 11_000, 22_000])
      await store.forget(
        Array.from({ length: 11_000 }, (_, i) => from + i),
        undefined,
      )
    expect(tableBytes()).toBeLessThan(before / 10)
  })

  it('counts what is left when PUBACKs came in any order', async () => {
    await filled(100)
    const store = await open()
    await store.forget([1, 2, 3, 50, 51, 98, 99], undefined)
    await close(store)
    expect((await open()).contents).toMatchObject({ firstSeq: 0, nextSeq: 100, queued: 93 })
  })

  it('deletes what is dropped in the same step as the append, and remembers that it must be told', async () => {
    await filled(10)
    const store = await open()
    const outbox = new Outbox(store.contents, { ...roomy, bytesMax: 1 })
    const append = outbox.keep(takenOf(observations(1)), placeOf())
    const oldest = await store.oldest(outbox.droppableFrom, 1)
    const room = outbox.drop(outbox.droppableFrom, oldest)
    await store.append(append, room, outbox.notes())
    await close(store)
    expect((await open()).contents).toMatchObject({
      firstSeq: room.deleted.length,
      nextSeq: 11,
      dropped: [{ fromSeq: 0, toSeq: room.deleted.length - 1, reason: 'outbox_full' }],
    })
  })

  it('reads only as far as was asked for', async () => {
    await filled(50)
    const store = await open()
    const some = await store.load({ fromSeq: 10, toSeq: 40, limit: 5 })
    expect(some.map(({ seq }) => seq)).toEqual([10, 11, 12, 13, 14])
    expect((await store.oldest(20, 1)).map(({ seq }) => seq)).toEqual([20])
  })

  it('counts what thinning has left, and goes on thinning where it stood', async () => {
    await filled(1000)
    const store = await open()
    const outbox = new Outbox(store.contents, { ...roomy, bytesMax: 1, whenFull: 'thin_oldest' })
    const append = outbox.keep(takenOf(observations(1)), placeOf())
    const want = outbox.thinnable(100)
    if (want === undefined) throw new Error('nothing to thin')
    const room = outbox.thin(want, await store.load(want), 1000)
    await store.append({ ...append, thinFrom: room.thinFrom }, room, undefined)
    await close(store)
    const { contents, load } = await open()
    expect(contents).toMatchObject({ queued: 1001 - room.deleted.length, thinFrom: room.thinFrom })
    expect(
      (await load({ ...everything, limit: 3 })).map(({ seq, thinnedBefore }) => [seq, thinnedBefore]),
    ).toEqual([
      [1, 1],
      [3, 1],
      [5, 1],
    ])
  })

  it('leaves an outbox alone that another agent has open', async () => {
    await open()
    await expect(open()).rejects.toMatchObject({ code: 'store.locked' })
  })

  it('says in words that the folder cannot be made', async () => {
    writeFileSync(join(data.path, 'outbox'), 'a file')
    await expect(open()).rejects.toMatchObject({ code: 'outbox.unavailable' })
  })
})

describe('kill -9 while appending', () => {
  const bundle = join(root, 'dist', 'test', 'append-forever.mjs')
  const runs = process.env.LOTWATCH_TEST_LONG === 'true' ? 50 : 5

  it('leaves every append whose commit returned, without gaps, and the position with it', async () => {
    await build({
      ...buildOptions,
      entryPoints: [join(import.meta.dirname, 'append-forever.ts')],
      outfile: bundle,
    })
    const settled = new Set<number>()
    let promised = 0
    for (let run = 0; run < runs; run++) {
      const device = await startProgram(bundle, { args: [dir] })
      const before = promised
      device.process.on('message', (said: Said) => {
        if ('durable' in said) promised = said.durable
        if ('settled' in said) for (const seq of said.settled) settled.add(seq)
      })
      device.process.send('begin')
      await eventually(() => promised > before + 200 + Math.random() * 2000)
      // What it said before it died may still lie in the pipe.
      const heard = once(device.process, 'disconnect')
      await device.kill()
      await heard

      const store = await open()
      const { nextSeq, place, queued } = store.contents
      expect(nextSeq).toBeGreaterThanOrEqual(promised)
      expect(place.position).toBe(String(nextSeq))
      const found = await store.load(everything)
      expect(queued).toBe(found.length)
      const there = new Map(found.map(({ seq, json }) => [seq, JSON.parse(json) as { timestampMs: number }]))
      for (let seq = 0; seq < nextSeq; seq++) {
        if (!settled.has(seq)) expect(there.has(seq), `sequence ${seq}`).toBe(true)
        expect(there.get(seq)?.timestampMs ?? seq).toBe(seq)
      }
      await close(store)
    }
  }, 300_000)
})
