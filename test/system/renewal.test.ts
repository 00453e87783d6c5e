/** Tokens that live for seconds, without any skew: devices renew them on their connections, and lose neither those nor a reading. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Fleet, nothingAmiss, outcome, record, startFleet } from '../kit/replayed-fleet.ts'
import { System } from '../kit/system.ts'

const isLong = process.env.LOTWATCH_TEST_LONG === 'true'
/** Long: as short as a token can be that is renewed over a network. Short: for a machine that does other things beside. */
const { devices, playMs, tokenLifeSec } = isLong
  ? { devices: 50, playMs: 60_000, tokenLifeSec: 5 }
  : { devices: 12, playMs: 10_000, tokenLifeSec: 8 }

describe('renewal without reconnecting', () => {
  let system: System
  let fleet: Fleet | undefined

  beforeAll(async () => {
    system = await System.start({
      env: {
        broker: { LOTWATCH_BROKER_SKEW_SEC: '0' },
        provisioning: { LOTWATCH_PROVISIONING_TOKEN_LIFE_SEC: String(tokenLifeSec) },
      },
    })
  })
  afterAll(async () => {
    await fleet?.program?.kill()
    await system.stop()
  })

  it(
    'keeps every connection and every reading',
    async () => {
      const recording = record(system.data, playMs, devices)
      fleet = await startFleet(system, recording)
      expect(await outcome(system, fleet, recording)).toEqual(nothingAmiss)
      const { lines } = system.program('broker')
      const of = (event: string) => lines.filter((line) => line.includes(`"event":"${event}"`))
      expect(of('token.refused')).toEqual([])
      // With the reason; agents that have sent everything leave by themselves.
      expect(of('device.disconnected').filter((line) => line.includes('token expired'))).toEqual([])
      expect(of('device.connected')).toHaveLength(devices)
      // Each connection has outlived the token it began with.
      expect(of('token.renewed').length).toBeGreaterThanOrEqual(devices)
    },
    playMs + 120_000,
  )
})
