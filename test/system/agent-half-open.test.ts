/** What a network does between PUBLISH and PUBACK costs no reading and doubles none. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type BadWire, startBadWire } from '../kit/bad-wire.ts'
import { eventually } from '../kit/program.ts'
import { type Fleet, nothingAmiss, outcome, record, startFleet } from '../kit/replayed-fleet.ts'
import { System } from '../kit/system.ts'

const isLong = process.env.LOTWATCH_TEST_LONG === 'true'
const times = isLong ? 50 : 1
const carParks = 4

let wire: BadWire
let system: System
let fleet: Fleet | undefined

beforeEach(async () => {
  wire = await startBadWire()
  const brokerUrl = `mqtt://127.0.0.1:${wire.port}`
  system = await System.start({ env: { provisioning: { LOTWATCH_PROVISIONING_BROKER_URL: brokerUrl } } })
  wire.leadsTo = system.mqttPort
}, 60_000)
afterEach(async () => {
  await fleet?.program?.kill()
  await wire.stop()
  await system.stop()
}, 60_000)

async function play() {
  // Longer than it is played in step with time, however slow the machine is.
  const recording = record(system.data, 120_000 + 20_000 * times, carParks, 100)
  fleet = await startFleet(system, recording)
  await eventually(() => (fleet?.progress?.settled ?? 0) > 0, 60_000)
  const playing = fleet
  return {
    fleet: playing,
    async outcome() {
      await playing.hurry()
      return outcome(system, playing, recording)
    },
  }
}

describe('between PUBLISH and PUBACK', () => {
  it('a connection that only looks alive is given up, a cut is made good, and every reading is stored once', async () => {
    const playing = await play()
    for (let time = 0; time < times; time++) {
      const [accepted, swallowed] = [wire.accepted, wire.swallowed]
      wire.swallows = true
      // Each device comes anew, by itself.
      await eventually(() => wire.accepted >= accepted + carParks, 30_000)
      expect(wire.swallowed).toBeGreaterThan(swallowed)
      wire.swallows = false
      wire.cutsAtPuback = 20
      await eventually(() => wire.cutsAtPuback === 0, 30_000)
    }
    expect(await playing.outcome()).toEqual(nothingAmiss)
  }, 1_200_000)

  it('a wire that acknowledges by itself is caught losing', async () => {
    const playing = await play()
    wire.lies = true
    await playing.fleet.acknowledgedMore()
    wire.lies = false
    const { lost } = await playing.outcome()
    expect(lost.length).toBeGreaterThan(0)
  }, 120_000)
})
