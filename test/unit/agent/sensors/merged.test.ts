/** Several sensors as one, with a `gpiomon` on PATH that plays what the test writes. */
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Gauge } from '../../../../agent/sensors/gauge.ts'
import { type GpioOptions, openGpio } from '../../../../agent/sensors/gpio.ts'
import type { Sighting } from '../../../../agent/sensors/measurement.ts'
import { createMergedSensor, type MergedOptions, type Part } from '../../../../agent/sensors/merged.ts'
import type { Chunk } from '../../../../agent/sensors/sensor.ts'
import { runProgramOnce } from '../../../../agent/time-sync.ts'
import { createLog } from '../../../../core/runtime/log.ts'
import { type Gpiod, installGpiod } from '../../../kit/gpiod.ts'
import { eventually, makeDataDir } from '../../../kit/program.ts'
import { createTestClock } from './clocks.ts'

let data: ReturnType<typeof makeDataDir>
let gpiod: Gpiod
let lines: string[]
let stopAll: (() => Promise<void>)[]

beforeEach(() => {
  data = makeDataDir()
  lines = []
  stopAll = []
})
afterEach(async () => {
  for (const stop of stopAll) await stop()
  data.remove()
})

const log = createLog({ program: 'agent', write: (line) => lines.push(line) })
const said = (event: string) => lines.some((line) => line.includes(event))
const install = (version: '1.6.3' | '2.2.1') => {
  gpiod = installGpiod(data.path, version)
}

function gatePart(name: string, options: Partial<GpioOptions> = {}): Part {
  const bin = join(data.path, 'bin')
  const env = { PATH: `${bin}:${process.env.PATH}` }
  return {
    name,
    type: 'gpio',
    openGate: ({ clock }) =>
      openGpio(
        {
          name,
          chip: 'pinctrl-test',
          lines: { entry: 17, exit: 27 },
          active: 'high',
          bias: 'pull-up',
          debounceMs: 0,
          stuckAfterMs: 0,
          env,
          run: (file, args) => runProgramOnce(join(bin, file), args),
          restartMinMs: 10,
          restartMaxMs: 50,
          random: () => 0.5,
          log,
          ...options,
        },
        clock.monotonicMs,
      ),
  }
}

/** A sensor that says what the test has it say. */
function toldPart(name: string, told: { says: Sighting }): Part {
  const gauge: Gauge = { read: async () => told.says, close: async () => undefined }
  return { name, type: 'http', openGauge: () => gauge }
}

function observing(parts: readonly Part[], options: Partial<MergedOptions> & { position?: string } = {}) {
  const sensor = createMergedSensor({
    parts,
    silentAfterMs: 60_000,
    stuckAfterMs: 0,
    capacity: undefined,
    startCount: 0,
    log,
    ...options,
  })
  const clock = createTestClock(Date.UTC(2026, 10, 23))
  const stopping = new AbortController()
  const { signal } = stopping
  let tick: (() => void) | undefined
  let kept = 0
  signal.addEventListener('abort', () => tick?.())
  async function* ticks() {
    while (!signal.aborted) {
      await new Promise<void>((resolve) => {
        tick = resolve
      })
      if (!signal.aborted) yield clock.nowMs()
    }
  }
  const chunks: Chunk[] = []
  const done = (async () => {
    const start = { position: options.position, ticks: ticks(), clock, signal }
    for await (const chunk of sensor.observe({ ...start, kept: async () => void kept++ })) chunks.push(chunk)
  })()
  stopAll.push(() => {
    stopping.abort()
    return done
  })
  return {
    sensor,
    clock,
    chunks,
    kept: () => kept,
    async ask() {
      const before = chunks.length
      clock.set(clock.nowMs() + 1000)
      await eventually(() => tick !== undefined)
      tick?.()
      await eventually(() => chunks.length > before)
      return chunks.at(-1)?.observations[0]
    },
    /** Until the gates listen. */
    async listening() {
      await eventually(async () => (await this.ask())?.sensor === 'ok')
    },
  }
}

describe('a gate on a GPIO chip', () => {
  it.each(['1.6.3', '2.2.1'] as const)('counts what gpiomon %s prints', async (version) => {
    install(version)
    const falling = version === '1.6.3' ? 0 : 2
    const lot = observing([gatePart('gate')], { startCount: 10 })
    await lot.listening()
    gpiod.play(`1 17 5.000000000\n${falling} 17 6.000000000\n1 17 7.000000000\n1 27 8.000000000\n`)
    await eventually(async () => (await lot.ask())?.exitsTotal === 1)
    gpiod.play(`${falling} 17 9.000000000\n1 17 10.000000000\n`)
    await eventually(async () => (await lot.ask())?.entriesTotal === 3)
    expect(await lot.ask()).toMatchObject({ occupied: 12, entriesTotal: 3, exitsTotal: 1, sensor: 'ok' })
  })

  it('goes on from where the last durable reading stood', async () => {
    install('1.6.3')
    const position = JSON.stringify({ base: 5, entries: 100, exits: 60 })
    const lot = observing([gatePart('gate')], { position })
    await lot.listening()
    gpiod.play('1 17 5.0\n')
    await eventually(async () => (await lot.ask())?.entriesTotal === 101)
    expect(lot.chunks.at(-1)?.observations[0]).toMatchObject({ occupied: 46, exitsTotal: 60 })
    expect(JSON.parse(lot.chunks.at(-1)?.position ?? '')).toEqual({ base: 5, entries: 101, exits: 60 })
  })

  it('is silent, not zero, while gpiomon does not run, and starts it again by itself', async () => {
    install('1.6.3')
    gpiod.breakDown()
    const lot = observing([gatePart('gate')])
    await eventually(() => said('sensor.program_ended'))
    expect(await lot.ask()).toMatchObject({ occupied: null, sensor: 'silent' })
    gpiod.mend()
    await lot.listening()
    expect(await lot.ask()).toMatchObject({ occupied: 0 })
    expect(said('no such line')).toBe(true)
  })

  it('is known from the first edge on, however soon that comes', async () => {
    install('2.2.1')
    gpiod.play('1 17 5.0\n')
    const sightings: unknown[] = []
    const part = gatePart('gate-a', { onEdge: () => sightings.push(gate.read()) })
    if (!('openGate' in part)) throw new Error('not a gate')
    const gate = part.openGate({ clock: createTestClock(0), signal: new AbortController().signal })
    stopAll.push(() => gate.close())
    await eventually(() => sightings.length === 1)
    expect(sightings).toMatchObject([{ fault: undefined, counts: { entries: 1 } }])
  })

  it('says what is missing when there is no libgpiod', async () => {
    const lot = observing([gatePart('gate')])
    await eventually(() => said('apt install gpiod'))
    expect(await lot.ask()).toMatchObject({ occupied: null, sensor: 'silent' })
  })

  it('is stuck when a car stays in its beam for too long', async () => {
    install('1.6.3')
    const lot = observing([gatePart('gate', { stuckAfterMs: 60_000 })])
    await lot.listening()
    gpiod.play('1 17 5.0\n')
    await eventually(async () => (await lot.ask())?.entriesTotal === 1)
    lot.clock.set(lot.clock.nowMs() + 60_000)
    expect(await lot.ask()).toMatchObject({ occupied: 1, sensor: 'stuck' })
  })

  it('does not know how many are there until somebody says, and tells the totals all the same', async () => {
    install('1.6.3')
    const lot = observing([gatePart('gate')], { startCount: undefined })
    await lot.listening()
    expect(await lot.ask()).toMatchObject({ occupied: null, entriesTotal: 0, sensor: 'ok' })
    await lot.sensor.setCount?.(40)
    expect(lot.kept()).toBe(1)
    expect(lot.chunks.at(-1)?.observations[0]).toMatchObject({ occupied: 40 })
    expect(JSON.parse(lot.chunks.at(-1)?.position ?? '')).toMatchObject({ base: 40 })
  })

  it('is never below zero, and says when a count was missed', async () => {
    install('1.6.3')
    const lot = observing([gatePart('gate')], { startCount: 0 })
    await lot.listening()
    gpiod.play('1 27 5.0\n')
    await eventually(async () => (await lot.ask())?.exitsTotal === 1)
    expect(await lot.ask()).toMatchObject({ occupied: 0, exitsTotal: 1 })
    expect(lines.filter((line) => line.includes('sensor.below_zero'))).toHaveLength(1)
  })
})

describe('several sensors', () => {
  const taken = (occupied: number, capacity?: number): Sighting => ({
    measurement: { occupied, ...(capacity === undefined ? {} : { capacity }) },
    ageMs: 0,
  })

  it('are one reading with the sum of what they say', async () => {
    const [north, south] = [{ says: taken(3, 10) }, { says: taken(4, 20) }]
    const lot = observing([toldPart('north', north), toldPart('south', south)])
    expect(await lot.ask()).toMatchObject({ occupied: 7, capacity: 30, sensor: 'ok' })
    expect(lot.sensor.setCount).toBeUndefined()
    south.says = taken(5)
    expect((await lot.ask())?.capacity).toBeUndefined()
  })

  it('have no sum while one of them is silent, and say which', async () => {
    const [north, south] = [{ says: taken(3) }, { says: { fault: 'does not answer' } as Sighting }]
    const lot = observing([toldPart('north', north), toldPart('south', south)])
    expect(await lot.ask()).toMatchObject({ occupied: null, sensor: 'silent' })
    expect(lot.sensor.parts?.()).toEqual([
      { name: 'north', type: 'http', state: 'ok' },
      { name: 'south', type: 'http', state: 'silent' },
    ])
    south.says = taken(1)
    expect(await lot.ask()).toMatchObject({ occupied: 4, sensor: 'ok' })
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { event: 'sensor.silent', sensor: 'south', fault: 'does not answer' },
      { event: 'sensor.recovered', sensor: 'south' },
    ])
  })

  it('may be gates and others together', async () => {
    install('2.2.1')
    const north = { says: taken(3) }
    const lot = observing([toldPart('north', north), gatePart('gate')], { startCount: 5 })
    await lot.listening()
    gpiod.play('1 17 5.0\n')
    await eventually(async () => (await lot.ask())?.occupied === 9)
    await lot.sensor.setCount?.(20)
    expect((await lot.ask())?.occupied).toBe(20)
  })
})
