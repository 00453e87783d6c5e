/**
 * PUBACK means stored: agent, broker and ingest are killed at random moments while a recording is played through them,
 * and afterwards the store holds every row of it exactly once. A broker that acknowledges too early must be caught.
 * Five kills of each here, fifty with LOTWATCH_TEST_LONG=true (`npm run test:long`).
 */
import { afterEach, describe, expect, it } from 'vitest'
import { buildEarlyBroker } from '../kit/early-broker.ts'
import { eventually } from '../kit/program.ts'
import { anyMoment, randomFrom } from '../kit/random.ts'
import { type Fleet, nothingAmiss, outcome, record, startFleet } from '../kit/replayed-fleet.ts'
import { System, type SystemOptions } from '../kit/system.ts'

const isLong = process.env.LOTWATCH_TEST_LONG === 'true'
const killsOfEach = isLong ? 50 : 5
/** What a kill and a recovery take here, with room. */
const killMs = 1600

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

/** Kills agent, broker and ingest in random order at random moments; some kills meet an ingest that has been frozen for a while. */
async function killAround(system: System, fleet: Fleet, kills: Kills, random: () => number): Promise<void> {
  const victims = kills.victims
    .flatMap((victim) => Array.from({ length: kills.ofEach }, () => ({ victim, at: random() })))
    .sort((a, b) => a.at - b.at)
  for (const { victim } of victims) {
    await anyMoment(random, 500, 100)
    const ingest = system.program('ingest').process
    // With ingest frozen, the messages that come in are in the broker's hands alone.
    const isFrozen = kills.untilAcknowledged ?? random() < 0.5
    if (isFrozen) ingest.kill('SIGSTOP')
    if (kills.untilAcknowledged) await fleet.acknowledgedMore()
    else if (isFrozen) await anyMoment(random, 300)
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
