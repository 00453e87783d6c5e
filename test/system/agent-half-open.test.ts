/** What a network does between PUBLISH and PUBACK costs no reading and doubles none. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../kit/program.ts'
import { nothingAmiss, outcome, record } from '../kit/replayed-fleet.ts'
import { startWiredSystem, type WiredSystem } from '../kit/wired-system.ts'

const isLong = process.env.LOTWATCH_TEST_LONG === 'true'
const times = isLong ? 50 : 1
const carParks = 4

let wired: WiredSystem

beforeEach(async () => {
  wired = await startWiredSystem()
}, 60_000)
afterEach(() => wired.stop(), 60_000)

async function play() {
  // Longer than it is played in step with time, however slow the machine is.
  const recording = record(wired.system.data, 120_000 + 20_000 * times, carParks, 100)
  const fleet = await wired.prepareFleet(recording, { env: { LOT_AGENT_ACK_TIMEOUT_MS: '1500' } })
  await fleet.start()
  await eventually(() => (fleet.progress?.settled ?? 0) > 0, 60_000)
  return {
    fleet,
    async outcome() {
      await fleet.hurry()
      return outcome(wired.system, fleet, recording)
    },
  }
}

describe('between PUBLISH and PUBACK', () => {
  it('a connection that only looks alive is given up, a cut is made good, and every reading is stored once', async () => {
    const playing = await play()
    const { wire } = wired
    for (let time = 0; time < times; time++) {
      // Who is still on the way back from a cut would count as one that came anew.
      await playing.fleet.acknowledgedMore()
      await eventually(() => playing.fleet.progress?.connected === carParks, 30_000)
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
    const { wire } = wired
    wire.lies = true
    await playing.fleet.acknowledgedMore()
    wire.lies = false
    const { lost } = await playing.outcome()
    expect(lost.length).toBeGreaterThan(0)
  }, 120_000)
})
