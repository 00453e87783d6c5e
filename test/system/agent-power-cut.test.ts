/** What an agent has promised is there whenever its power goes. */
import { once } from 'node:events'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { openOutboxStore } from '../../agent/outbox-store.ts'
import { buildOptions, root } from '../../scripts/build.mjs'
import { describeWithMount } from '../kit/needs.ts'
import { eventually, makeDataDir, startProgram } from '../kit/program.ts'
import { mountCopy, mountDisk } from '../kit/small-disk.ts'
import type { Said } from '../unit/agent/append-forever.ts'

const isLong = process.env.LOTWATCH_TEST_LONG === 'true'
const appendForever = join(root, 'dist', 'test', 'append-forever-on-disk.mjs')

let data: ReturnType<typeof makeDataDir>

beforeAll(async () => {
  const entryPoints = [join(root, 'test/unit/agent/append-forever.ts')]
  await build({ ...buildOptions, entryPoints, outfile: appendForever })
})
beforeEach(() => {
  data = makeDataDir()
})
afterEach(() => data.remove())

describeWithMount()('an agent whose power is cut', () => {
  /**
   * Stops the device as it writes and copies its disk as it is: what the kernel has not written yet is not in the copy.
   * @returns what was promised and is not there
   */
  async function cut(run: number, mode: 'synced' | 'unsynced'): Promise<number> {
    const image = join(data.path, `disk-${run}`)
    const copy = join(data.path, `copy-${run}`)
    const disk = mountDisk(join(data.path, `mounted-${run}`), { bytes: 32 * 1024 * 1024, image })
    const dir = join(disk.path, 'outbox')
    const device = await startProgram(appendForever, { args: [dir, mode] })
    let promised = 0
    const settled = new Set<number>()
    try {
      device.process.on('message', (said: Said) => {
        if ('durable' in said) promised = said.durable
        if ('settled' in said) for (const seq of said.settled) settled.add(seq)
      })
      device.process.send('begin')
      await eventually(() => promised > 300 + Math.random() * 1500, 60_000)
      device.process.kill('SIGSTOP')
      copyFileSync(image, copy)
      // What it said before it was stopped may still lie in the pipe, and was true before the copy was made.
      const heard = once(device.process, 'disconnect')
      await device.kill()
      await heard
    } finally {
      await device.kill()
      disk.unmount()
    }
    const mounted = mountCopy(copy, join(data.path, `mounted-copy-${run}`))
    try {
      const store = await openOutboxStore(join(data.path, `mounted-copy-${run}`, 'outbox'), {
        newEpoch: () => {
          throw new Error('there is no outbox')
        },
        previous: undefined,
      })
      const there = new Set(
        (await store.load({ fromSeq: 0, toSeq: 2 ** 40, limit: 1e6 })).map(({ seq }) => seq),
      )
      await store.close()
      let lost = 0
      for (let seq = 0; seq < promised; seq++) if (!there.has(seq) && !settled.has(seq)) lost++
      return lost
    } catch {
      return promised
    } finally {
      mounted.unmount()
    }
  }

  it('has lost nothing that it promised', async () => {
    for (let run = 0; run < (isLong ? 50 : 3); run++) expect(await cut(run, 'synced')).toBe(0)
  }, 1_200_000)

  it('and does not sync its appends is caught losing', async () => {
    expect(await cut(0, 'unsynced')).toBeGreaterThan(0)
  }, 120_000)
})
