import { describe, expect, it } from 'vitest'
import { rightsOf } from '../../../broker/authorize.ts'
import { parseDeviceId } from '../../../core/contract/device.ts'
import { type AclRule, deviceAcl, type Principal } from '../../../core/contract/principal.ts'

function device(overrides: Partial<Principal> = {}): Principal {
  return {
    issuer: 'https://issuer.example',
    subject: 'gate-1',
    oauthClientId: 'gate-1',
    tokenId: 't',
    issuedAtSec: 0,
    expiresAtSec: 3600,
    scopes: new Set(['publish:readings', 'receive:commands']),
    deviceId: parseDeviceId('gate-1'),
    credentialId: undefined,
    acl: undefined,
    lots: undefined,
    ...overrides,
  }
}
const plain = { qos: 1, retain: false } as const
const withAcl = (...acl: AclRule[]) => rightsOf(device({ acl }))
const allow = (action: AclRule['action'], topic: string, rest: Partial<AclRule> = {}): AclRule => ({
  permission: 'allow',
  action,
  topic,
  ...rest,
})
const deny = (action: AclRule['action'], topic: string): AclRule => ({ permission: 'deny', action, topic })

describe('publishing', () => {
  it('is allowed on the device’s own topics and on authz-info', () => {
    const rights = rightsOf(device())
    for (const topic of [
      'devices/gate-1/readings',
      'devices/gate-1/status',
      'devices/gate-1/replies',
      'authz-info',
    ]) {
      expect(rights.mayPublish(topic, plain), topic).toBe(true)
    }
  })

  it.each([
    'devices/gate-2/readings',
    'devices/gate-1/config',
    'devices/gate-1/commands',
    'devices/gate-1/readings/x',
    'devices/gate-1',
    'devices//readings',
    'devices/gate-1/../gate-2/readings',
    '/devices/gate-1/readings',
    'Devices/gate-1/readings',
    'devices/gate-1/readings\u0000',
    '$SYS/broker/new/clients',
    '',
    'anything',
  ])('is refused on %j', (topic) => {
    expect(rightsOf(device()).mayPublish(topic, plain)).toBe(false)
  })

  it('is refused on another device’s topics even if the token’s rules allow everything', () => {
    const rights = withAcl(allow('all', '#'))
    expect(rights.mayPublish('devices/gate-2/readings', plain)).toBe(false)
    expect(rights.mayPublish('devices/gate-1/readings', plain)).toBe(true)
  })

  it('is refused when it would be retained', () => {
    expect(rightsOf(device()).mayPublish('devices/gate-1/readings', { qos: 1, retain: true })).toBe(false)
  })

  it('follows the first rule that matches', () => {
    const topic = 'devices/gate-1/readings'
    expect(withAcl(deny('publish', topic), allow('publish', topic)).mayPublish(topic, plain)).toBe(false)
    expect(withAcl(allow('publish', topic), deny('publish', topic)).mayPublish(topic, plain)).toBe(true)
  })

  it('is refused when no rule matches', () => {
    expect(withAcl().mayPublish('devices/gate-1/readings', plain)).toBe(false)
    expect(withAcl(allow('subscribe', '#')).mayPublish('devices/gate-1/readings', plain)).toBe(false)
  })

  it('heeds the quality of service a rule names', () => {
    const rights = withAcl(allow('publish', 'devices/${clientid}/readings', { qos: [1] }))
    expect(rights.mayPublish('devices/gate-1/readings', { qos: 0, retain: false })).toBe(false)
    expect(rights.mayPublish('devices/gate-1/readings', plain)).toBe(true)
  })

  it('takes a placeholder only as a whole segment', () => {
    expect(
      withAcl(allow('publish', 'devices/x${clientid}/readings')).mayPublish('devices/gate-1/readings', plain),
    ).toBe(false)
    expect(
      withAcl(allow('publish', 'devices/${username}/readings')).mayPublish('devices/gate-1/readings', plain),
    ).toBe(true)
  })

  it('takes “eq” as the literal topic without placeholders', () => {
    expect(
      withAcl(allow('publish', 'eq devices/${clientid}/readings')).mayPublish(
        'devices/gate-1/readings',
        plain,
      ),
    ).toBe(false)
    expect(
      withAcl(allow('publish', 'eq devices/gate-1/readings')).mayPublish('devices/gate-1/readings', plain),
    ).toBe(true)
  })

  it('takes a wildcard behind “eq” as itself', () => {
    const rights = withAcl(allow('publish', 'eq devices/+/readings'), allow('subscribe', 'eq devices/#'))
    expect(rights.mayPublish('devices/gate-1/readings', plain)).toBe(false)
    expect(rights.maySubscribe('devices/gate-1/config', 0)).toBe(false)
    expect(rights.maySubscribe('devices/#', 0)).toBe(true)
  })

  it('needs the scope when the issuer sends no rules', () => {
    expect(
      rightsOf(device({ scopes: new Set(['receive:commands']) })).mayPublish(
        'devices/gate-1/readings',
        plain,
      ),
    ).toBe(false)
  })

  it('is refused to whoever is no device', () => {
    expect(
      rightsOf(device({ deviceId: undefined, acl: [allow('all', '#')] })).mayPublish('authz-info', plain),
    ).toBe(false)
  })
})

describe('subscribing', () => {
  it('is allowed on the device’s own configuration and commands', () => {
    const rights = rightsOf(device())
    expect(rights.maySubscribe('devices/gate-1/config', 1)).toBe(true)
    expect(rights.maySubscribe('devices/gate-1/commands', 1)).toBe(true)
  })

  it.each([
    '#',
    '+/#',
    'devices/#',
    'devices/+/config',
    'devices/gate-1/+',
    'devices/gate-1/#',
    'devices/gate-1/readings',
    'devices/gate-2/config',
    '$SYS/#',
    '$share/g/devices/gate-1/config',
    'devices/gate-1/con#',
    'devices/gate-1/config/#',
    '',
  ])('is refused on %j', (filter) => {
    expect(rightsOf(device()).maySubscribe(filter, 1)).toBe(false)
  })

  it('is allowed for a filter within a granted one', () => {
    const rights = withAcl(allow('subscribe', 'city/+/board/#'))
    expect(rights.maySubscribe('city/north/board/free', 0)).toBe(true)
    expect(rights.maySubscribe('city/+/board/#', 0)).toBe(true)
    expect(rights.maySubscribe('city/#', 0)).toBe(false)
  })

  it('is refused when an earlier rule denies a part of what the filter matches', () => {
    const rights = withAcl(deny('subscribe', 'city/+/secret'), allow('subscribe', 'city/#'))
    expect(rights.maySubscribe('city/north/+', 0)).toBe(false)
    expect(rights.maySubscribe('city/north/free', 0)).toBe(true)
  })

  it('is not refused by the denial of a wildcard that is meant literally, as EMQX’s own rules have it', () => {
    const rights = withAcl(deny('subscribe', 'eq #'), allow('subscribe', 'devices/${clientid}/#'))
    expect(rights.maySubscribe('#', 1)).toBe(false)
    expect(rights.maySubscribe('devices/gate-1/config', 1)).toBe(true)
  })
})

it('the rules our issuer sends deny everything else to brokers that allow by default', () => {
  expect(deviceAcl(new Set(['publish:readings'])).at(-1)).toEqual(deny('all', '#'))
})
