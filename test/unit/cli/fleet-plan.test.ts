import { Value } from 'typebox/value'
import { describe, expect, it } from 'vitest'
import { replayPlan, simulatedPlan } from '../../../cli/fleet-plan.ts'
import { FleetFile, replayColumnsDefault } from '../../../core/contract/fleet.ts'
import { DeviceRequest, LotRequest } from '../../../core/contract/registry.ts'

const sensor = { file: '/file.csv', columns: replayColumnsDefault, tz: 'Europe/London', shiftToNow: false }
const park = (name: string, capacity?: number) => ({ name, capacity })

describe('a fleet’s plan', () => {
  it.each([
    ['simulated', simulatedPlan()],
    ['replayed', replayPlan('play', [park('Bull Ring', 577), park('NIA South')], sensor)],
  ])('asks only for what the contract allows: %s', (_, plan) => {
    const devices = plan.devices.map(({ deviceId, sensor }) => ({
      deviceId,
      credentialFile: 'c.json',
      outboxDir: 'o',
      sensor,
    }))
    expect(Value.Errors(FleetFile, { v: 1, devices })).toEqual([])
    for (const { request } of plan.lots) expect(Value.Errors(LotRequest, request)).toEqual([])
    for (const { deviceId, name, lotId } of plan.devices)
      expect(Value.Errors(DeviceRequest, { deviceId, name, lotId })).toEqual([])
  })

  it('has a lot for every device and no device twice', () => {
    const { lots, devices } = simulatedPlan()
    expect(new Set(devices.map((device) => device.deviceId)).size).toBe(devices.length)
    expect(devices.map((device) => device.lotId)).toEqual(lots.map((lot) => lot.lotId))
  })

  it('keeps a car park’s name and makes its slug the identifier', () => {
    const { lots, devices } = replayPlan('play', [park('Bull Ring', 577)], sensor)
    expect(devices[0]).toMatchObject({ deviceId: 'Bull-Ring', name: 'Bull Ring' })
    expect(devices[0]?.sensor).toMatchObject({ key: 'Bull Ring', tz: 'Europe/London' })
    expect(lots[0]?.request).toMatchObject({ name: 'Bull Ring', capacities: [{ fromMs: 0, capacity: 577 }] })
  })

  it('says nothing of a capacity that nobody knows', () => {
    expect(replayPlan('play', [park('Bull Ring')], sensor).lots[0]?.request.capacities).toEqual([])
  })

  it('refuses two names that would be one identifier, naming both', () => {
    const twins = [park('Bull Ring'), park('Bull-Ring')]
    expect(() => replayPlan('play', twins, sensor)).toThrow(
      /"Bull Ring" and "Bull-Ring" would both be Bull-Ring/,
    )
  })

  it('refuses a name of which no identifier is left', () => {
    expect(() => replayPlan('play', [park('…')], sensor)).toThrow(/…/)
  })
})
