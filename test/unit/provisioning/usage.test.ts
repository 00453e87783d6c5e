import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Usage } from '../../../provisioning/usage.ts'
import { createUsage } from '../../../provisioning/usage.ts'
import { openRegistry, operator, type RegistryKit } from './kit.ts'

describe('what token requests tell', () => {
  let kit: RegistryKit
  let usage: Usage
  const credentialsOf = (id: string) => kit.repository.credentialsOf(id)
  const stateOf = async (id: string) => (await kit.repository.findDevice(id))?.state

  beforeEach(async () => {
    kit = await openRegistry()
    usage = createUsage({ repository: kit.repository, changes: kit.registry.changes })
    for (const deviceId of ['d1', 'd2']) await kit.registry.devices.register(operator, { deviceId })
  })
  afterEach(() => kit.close())

  it('is when a credential was used last, to within ten minutes', async () => {
    const [credential] = await credentialsOf('d1')
    const usedAndNoted = async (atMs: number) => {
      usage.used(credential?.credentialId ?? '', atMs)
      await usage.flush()
      return (await credentialsOf('d1'))[0]?.lastUsedAtMs
    }

    expect(await usedAndNoted(5)).toBe(5)
    expect(await usedAndNoted(600_004)).toBe(5)
    expect(await usedAndNoted(600_005)).toBe(600_005)
    expect((await credentialsOf('d2'))[0]?.lastUsedAtMs).toBeNull()
  })

  it('makes an enrolled device an active one, once, with an audit entry', async () => {
    usage.activated('d1')
    usage.activated('d1')
    await usage.flush()
    usage.activated('d1')
    await usage.flush()

    expect([await stateOf('d1'), await stateOf('d2')]).toEqual(['active', 'enrolled'])
    expect((await kit.verbs()).filter((verb) => verb === 'device.activated')).toHaveLength(1)
  })

  it('does not bring back a device that was suspended meanwhile, and knows none that is unknown', async () => {
    usage.activated('d1')
    usage.activated('nobody')
    await kit.registry.devices.move(operator, 'd1', 'suspend')

    await usage.flush()

    expect(await stateOf('d1')).toBe('suspended')
  })

  it('is written for more devices than fit in one commit', async () => {
    const ids = Array.from({ length: 501 }, (_, i) => `many-${i}`)
    for (const deviceId of ids) await kit.registry.devices.register(operator, { deviceId })
    for (const deviceId of ids) usage.activated(deviceId)

    await usage.flush()

    expect(await kit.repository.devices({ limit: 1000, state: 'active' })).toHaveLength(501)
  })
})
