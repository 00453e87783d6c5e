/** What an agent has promised is there whatever point it dies at. */
import { once } from 'node:events'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ReadingsMessage } from '../../core/contract/payload.ts'
import { buildOptions, root } from '../../scripts/build.mjs'
import type { CrashOptions, CrashPoint, CrashSaid } from '../kit/crash-device.ts'
import { eventually, makeDataDir, startProgram } from '../kit/program.ts'
import { startTestBroker, type TestBroker } from '../unit/agent/peers.ts'

const isLong = process.env.LOTWATCH_TEST_LONG === 'true'
const crashDevice = join(root, 'dist', 'test', 'crash-device.mjs')

let data: ReturnType<typeof makeDataDir>

beforeAll(async () => {
  await build({
    ...buildOptions,
    entryPoints: [join(root, 'test/kit/crash-device.ts')],
    outfile: crashDevice,
  })
}, 120_000)
beforeEach(() => {
  data = makeDataDir()
})
afterEach(() => data.remove())

describe('an agent that dies', () => {
  let broker: TestBroker
  beforeEach(async () => {
    broker = await startTestBroker()
  })
  afterEach(() => broker.stop())

  /**
   * Kills at a point again and again, then lets it deliver.
   * @returns what it promised, what of that never arrived, and sequences that stood for more than one count
   */
  async function outcomeOf(point: CrashPoint, kills: number, lies = false) {
    const promised = new Map<string, number>()
    const dir = join(data.path, 'outbox')
    const run = async (life: number, options: Partial<CrashOptions> = {}) => {
      const after = 1 + Math.floor(Math.random() * 8)
      const all: CrashOptions = { dir, brokerUrl: broker.url, point, after, life, lies, ...options }
      const device = await startProgram(crashDevice, { args: [JSON.stringify(all)] })
      let isDrained = false
      device.process.on('message', ({ durable, drained }: CrashSaid) => {
        isDrained ||= drained === true
        for (const { seq, occupied } of durable ?? []) promised.set(`${seq} is ${occupied}`, seq)
      })
      return { device, isDrained: () => isDrained }
    }
    for (let life = 0; life < kills; life++) {
      const { device } = await run(life)
      const heard = once(device.process, 'disconnect')
      await eventually(() => device.process.signalCode !== null || device.process.exitCode !== null, 60_000)
      expect(device.process.signalCode, device.lines.join('\n')).toBe('SIGKILL')
      await heard
    }
    const last = await run(kills, { point: 'never' })
    await eventually(() => last.isDrained(), 300_000)
    await last.device.kill()

    const arrived = new Set<string>()
    const sequences = new Set<number>()
    for (const { payload } of broker.published)
      for (const { seq = -1, occupied } of (JSON.parse(payload) as ReadingsMessage).readings) {
        arrived.add(`${seq} is ${occupied}`)
        sequences.add(seq)
      }
    return {
      promised: promised.size,
      lost: [...promised.keys()].filter((reading) => !arrived.has(reading)),
      ambiguous: arrived.size - sequences.size,
    }
  }

  const points = {
    append: 'after an append was handed to the disk and before that returned',
    forget: 'after a PUBACK and before the deletion',
    compaction: 'while its outbox is compacted',
  } as const
  for (const [point, when] of Object.entries(points) as [keyof typeof points, string][]) {
    it(`${when} has lost nothing that it promised`, async () => {
      const { promised, ...amiss } = await outcomeOf(point, isLong ? 200 : 5)
      expect(promised).toBeGreaterThan(0)
      expect(amiss).toEqual({ lost: [], ambiguous: 0 })
    }, 1_200_000)
  }

  it('and promises before it is true is caught losing', async () => {
    const { lost } = await outcomeOf('append', 5, true)
    expect(lost.length).toBeGreaterThan(0)
  }, 120_000)
})
