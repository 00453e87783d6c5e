/** Fifty devices, and everything between them and the store failing at random: what they have kept is stored, once. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../kit/program.ts'
import { anyMoment, randomFrom } from '../kit/random.ts'
import { nothingAmiss, outcome, record } from '../kit/replayed-fleet.ts'
import { startWiredSystem, type WiredSystem } from '../kit/wired-system.ts'

const isLong = process.env.LOTWATCH_TEST_LONG === 'true'
const faultsMs = isLong ? 600_000 : 20_000
const seed = Number(process.env.LOTWATCH_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))

let wired: WiredSystem

beforeEach(async () => {
  wired = await startWiredSystem()
}, 60_000)
afterEach(() => wired.stop(), 60_000)

describe('a fleet of fifty under random faults', () => {
  it(
    `has every reading stored once that it kept (seed ${seed})`,
    async () => {
      const random = randomFrom(seed)
      const { system, wire } = wired
      const recording = record(system.data, faultsMs, 50)
      const playing = await wired.prepareFleet(recording)
      await playing.start()
      await eventually(() => (playing.progress?.settled ?? 0) > 0, 60_000)
      const restart = async (name: 'broker' | 'ingest' | 'provisioning') => {
        await system.kill(name)
        await anyMoment(random, 500)
        await system.restart(name)
      }
      const faults = {
        cut: async () => wire.cut(random(), random),
        'cut at PUBACK': async () => {
          wire.cutsAtPuback = 1 + Math.floor(random() * 20)
        },
        'PUBACKs swallowed': async () => {
          wire.swallows = true
          await anyMoment(random, 5000, 500)
          wire.swallows = false
        },
        broker: () => restart('broker'),
        ingest: () => restart('ingest'),
        provisioning: () => restart('provisioning'),
        agent: async () => {
          await playing.program?.kill()
          await playing.start()
        },
      }
      const names = Object.keys(faults) as (keyof typeof faults)[]
      const endMs = performance.now() + faultsMs
      let waiting: typeof names = []
      const had = new Set<string>()
      while (performance.now() < endMs || had.size < names.length) {
        // In rounds, so that each has its turn.
        if (waiting.length === 0) waiting = [...names]
        const [name = 'cut'] = waiting.splice(Math.floor(random() * waiting.length), 1)
        await faults[name]()
        had.add(name)
        await anyMoment(random, 1000)
      }
      wire.cutsAtPuback = 0
      expect(wire.swallowed).toBeGreaterThan(0)
      expect(await outcome(system, playing, recording)).toEqual(nothingAmiss)
    },
    faultsMs * 4 + 180_000,
  )
})
