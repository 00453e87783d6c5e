/**
 * PUBACK means stored: agent, broker and ingest are killed at random moments while a recording is played through them,
 * and afterwards the store holds every row of it exactly once. A broker that acknowledges too early must be caught.
 * Five kills of each here, fifty with LOTWATCH_TEST_LONG=true (`npm run test:long`).
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { FleetFile, FleetProgress } from '../../core/contract/fleet.ts'
import { buildEarlyBroker } from '../kit/early-broker.ts'
import { eventually, type Program, startProgram } from '../kit/program.ts'
import { System, type SystemOptions } from '../kit/system.ts'

const isLong = process.env.LOTWATCH_TEST_LONG === 'true'
const killsOfEach = isLong ? 50 : 5
/** What a kill and a recovery take here, with room. */
const killMs = 1600
const carParks = 12
const stepMs = 5 * 60_000
const rowsPerSec = 1500

/** mulberry32: what went wrong can be played again from the seed in the test's name. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

interface Recording {
  readonly file: string
  readonly rows: number
  /** What has to be in the store: device and instant → count. */
  readonly expected: ReadonlyMap<string, number>
  readonly speed: number
}

function record(folder: string, lastsMs: number): Recording {
  const rowsEach = Math.ceil((rowsPerSec * lastsMs) / 1000 / carParks)
  const startMs = Date.UTC(2020, 0, 1)
  const lines = ['SystemCodeNumber,Capacity,Occupancy,LastUpdated']
  const expected = new Map<string, number>()
  for (let row = 0; row < rowsEach; row++) {
    const timestampMs = startMs + row * stepMs
    for (let park = 0; park < carParks; park++) {
      const occupied = (row * 7 + park * 31) % 500
      lines.push(
        `park-${park},500,${occupied},${new Date(timestampMs).toISOString().slice(0, 19).replace('T', ' ')}`,
      )
      expected.set(`park-${park} ${timestampMs}`, occupied)
    }
  }
  const file = join(folder, 'recording.csv')
  writeFileSync(file, `${lines.join('\n')}\n`)
  return { file, rows: expected.size, expected, speed: (rowsEach * stepMs) / lastsMs }
}

/** A fleet process that comes back after each kill, and what it last said. */
class Fleet {
  program: Program | undefined
  progress: FleetProgress | undefined
  readonly #file: string
  #reports = 0

  constructor(file: string) {
    this.#file = file
  }

  async start(): Promise<void> {
    this.program = await startProgram('agent', {
      args: ['fleet', this.#file],
      env: {
        LOT_AGENT_RECONNECT_MIN_MS: '50',
        LOT_AGENT_RECONNECT_MAX_MS: '400',
        LOT_AGENT_ACK_TIMEOUT_MS: '4000',
        LOT_AGENT_LOG_LEVEL: 'warn',
      },
    })
    this.program.process.on('message', (message: { progress?: FleetProgress }) => {
      if (message.progress === undefined) return
      this.progress = message.progress
      this.#reports++
    })
  }

  /** Resolves when readings have been acknowledged after this moment, by what the fleet says of itself. */
  async acknowledgedMore(): Promise<void> {
    // What the next report says may be from before; what comes on top of it is not.
    const reports = this.#reports
    await eventually(() => this.#reports > reports)
    const settled = this.progress?.settled ?? 0
    await eventually(() => (this.progress?.settled ?? 0) > settled)
  }
}

interface Kills {
  readonly victims: readonly ('agent' | 'broker' | 'ingest')[]
  readonly ofEach: number
  /** Whether each kill waits for an acknowledgement that nothing stored can be behind: only a lying broker gives one. */
  readonly untilAcknowledged?: true
}
const everybody: Kills = { victims: ['agent', 'broker', 'ingest'], ofEach: killsOfEach }
const brokerOnly: Kills = { victims: ['broker'], ofEach: 2, untilAcknowledged: true }
/** With room for what the control waits for, which is told every other second. */
const durationMs = (kills: Kills) =>
  kills.victims.length * kills.ofEach * (kills.untilAcknowledged ? 4 * killMs : killMs)

async function startFleet(system: System, recording: Recording): Promise<Fleet> {
  const devices: FleetFile['devices'] = []
  for (let park = 0; park < carParks; park++) {
    const deviceId = `park-${park}`
    const { file } = await system.register(deviceId)
    devices.push({
      deviceId,
      credentialFile: file,
      outboxDir: join(system.data, 'outboxes', deviceId),
      sensor: {
        type: 'replay',
        file: recording.file,
        key: deviceId,
        columns: {
          key: 'SystemCodeNumber',
          capacity: 'Capacity',
          occupied: 'Occupancy',
          time: 'LastUpdated',
        },
        tz: 'UTC',
        shiftToNow: false,
        speed: recording.speed,
      },
    })
  }
  const file = join(system.data, 'fleet.json')
  writeFileSync(file, JSON.stringify({ v: 1, devices } satisfies FleetFile))
  const fleet = new Fleet(file)
  await fleet.start()
  return fleet
}

/** Kills agent, broker and ingest in random order at random moments; some kills meet an ingest that has been frozen for a while. */
async function killAround(system: System, fleet: Fleet, kills: Kills, random: () => number): Promise<void> {
  const victims = kills.victims
    .flatMap((victim) => Array.from({ length: kills.ofEach }, () => ({ victim, at: random() })))
    .sort((a, b) => a.at - b.at)
  for (const { victim } of victims) {
    await new Promise((resolve) => setTimeout(resolve, 100 + random() * 500))
    const ingest = system.program('ingest').process
    // With ingest frozen, the messages that come in are in the broker's hands alone.
    const isFrozen = kills.untilAcknowledged ?? random() < 0.5
    if (isFrozen) ingest.kill('SIGSTOP')
    if (kills.untilAcknowledged) await fleet.acknowledgedMore()
    else if (isFrozen) await new Promise((resolve) => setTimeout(resolve, random() * 300))
    if (victim === 'agent') {
      await fleet.program?.kill()
      if (isFrozen) ingest.kill('SIGCONT')
      await fleet.start()
    } else {
      await system.kill(victim)
      if (isFrozen && victim !== 'ingest') ingest.kill('SIGCONT')
      await system.restart(victim)
    }
  }
}

async function outcome(system: System, fleet: Fleet, recording: Recording) {
  // Nothing is waited for that an honest system does not reach: every row played, every outbox empty.
  await eventually(() => fleet.progress?.finished === true, 60_000 + recording.rows / 10, 200)
  const { rows, complete } = await system.stored()
  const seen = new Map<string, number>()
  const twice: string[] = []
  for (const row of rows) {
    const key = `${row.deviceId} ${Date.parse(row.time)}`
    if (seen.has(key)) twice.push(key)
    seen.set(key, row.occupied ?? Number.NaN)
  }
  const lost = [...recording.expected.keys()].filter((key) => !seen.has(key))
  const wrong = [...seen].filter(([key, occupied]) => recording.expected.get(key) !== occupied)
  const quarantine = await system.queries.json<{ rows: unknown[] }>('/v1/quarantine')
  return { lost, twice, wrong, complete, quarantined: quarantine.rows.length }
}

describe('while processes are killed at random moments', () => {
  const seed = Number(process.env.LOTWATCH_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))
  const timeoutMs = durationMs(everybody) * 3 + 120_000
  let system: System | undefined
  let fleet: Fleet | undefined

  afterEach(async () => {
    await fleet?.program?.kill()
    await system?.stop()
  })

  async function play(kills: Kills, options: SystemOptions) {
    system = await System.start(options)
    const recording = record(system.data, durationMs(kills))
    fleet = await startFleet(system, recording)
    // The recording is read first, which takes its time when it is long.
    await eventually(() => (fleet?.progress?.settled ?? 0) > 0, 60_000)
    await killAround(system, fleet, kills, randomFrom(seed))
    return outcome(system, fleet, recording)
  }

  it(`every row of a recording is stored exactly once (seed ${seed})`, { timeout: timeoutMs }, async () => {
    const nothingAmiss = { lost: [], twice: [], wrong: [], complete: true, quarantined: 0 }
    expect(await play(everybody, {})).toEqual(nothingAmiss)
  })

  it(`a broker that acknowledges before storing is caught losing (seed ${seed})`, {
    timeout: timeoutMs,
  }, async () => {
    const { lost, complete } = await play(brokerOnly, { brokerBundle: await buildEarlyBroker() })
    expect(lost.length).toBeGreaterThan(0)
    expect(complete).toBe(false)
  })
})
