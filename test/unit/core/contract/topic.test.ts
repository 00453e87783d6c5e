import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type DeviceId, identifierPattern } from '../../../../core/contract/device.ts'
import {
  authzInfoTopic,
  isTopicFilter,
  isWithin,
  parseTopic,
  publishedTopics,
  receivedTopics,
  topicOf,
} from '../../../../core/contract/topic.ts'

// The pattern is the proof that `parseDeviceId` would ask for.
const deviceIds = fc.stringMatching(new RegExp(identifierPattern)).map((text) => text as DeviceId)
const kinds = fc.constantFrom(...publishedTopics, ...receivedTopics)

describe('a topic name', () => {
  it('of a device leads back to that device and its kind', () => {
    fc.assert(
      fc.property(deviceIds, kinds, (deviceId, kind) => {
        expect(parseTopic(topicOf(deviceId, kind))).toEqual({ deviceId, kind })
      }),
    )
  })

  it('may be the one for a new token', () => {
    expect(parseTopic(authzInfoTopic)).toEqual({ kind: 'authz-info' })
  })

  it('that can be read is spelt in exactly one way', () => {
    const segments = fc.constantFrom(
      'devices',
      'gate-1',
      'readings',
      'config',
      'authz-info',
      '',
      '+',
      '#',
      '..',
      '$SYS',
    )
    fc.assert(
      fc.property(fc.array(segments, { maxLength: 4 }), (parts) => {
        const name = parts.join('/')
        const topic = parseTopic(name)
        if (topic === undefined) return
        expect(topic.kind === 'authz-info' ? authzInfoTopic : topicOf(topic.deviceId, topic.kind)).toBe(name)
      }),
      { numRuns: 1000 },
    )
  })

  it.each([
    '',
    'devices',
    'devices/gate-1',
    'devices/gate-1/',
    'devices//readings',
    'devices/gate-1/readings/',
    'devices/gate-1/readings/x',
    'devices/gate-1/Readings',
    'devices/gate-1/__proto__',
    'devices/gate-1/authz-info',
    'devices/+/readings',
    'devices/gate-1/#',
    '#',
    '/devices/gate-1/readings',
    'Devices/gate-1/readings',
    'devices/gate 1/readings',
    'devices/gate-1/readings\u0000',
    '$SYS/devices/gate-1/readings',
    '$share/g/devices/gate-1/readings',
    'authz-info/',
    'authz-info/gate-1',
    'AUTHZ-INFO',
  ])('outside the grammar leads nowhere: %j', (name) => {
    expect(parseTopic(name)).toBeUndefined()
  })
})

describe('a topic filter', () => {
  it.each(['a', '/', 'a/b', '+', '#', 'a/+/c', 'a/#', '+/+/#', 'a//b', '/a'])('may be %j', (filter) => {
    expect(isTopicFilter(filter)).toBe(true)
  })

  it.each([
    '',
    'a#',
    'a/#/b',
    '#/a',
    'a+',
    '+a/b',
    'a/b+',
    '$SYS/#',
    '$share/g/a',
    'a\u0000',
    'a'.repeat(257),
  ])('may not be %j', (filter) => {
    expect(isTopicFilter(filter)).toBe(false)
  })
})

/** MQTT 3.1.1 §4.7 by recursion, as plainly as it can be said. */
function matches(name: readonly string[], filter: readonly string[]): boolean {
  const [head, ...rest] = filter
  if (head === '#') return true
  if (head === undefined) return name.length === 0
  if (name.length === 0) return false
  return (head === '+' || head === name[0]) && matches(name.slice(1), rest)
}

function matchesName(name: string, filter: string): boolean {
  // [MQTT-4.7.2-1]
  if (name.startsWith('$') && /^[+#]/.test(filter)) return false
  return matches(name.split('/'), filter.split('/'))
}

describe('a filter within another', () => {
  const levels = fc.constantFrom('a', 'b', '', '$a')
  const names = fc.array(levels, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))
  const filters = fc
    .tuple(
      fc.array(fc.oneof(levels, fc.constant('+')), { minLength: 1, maxLength: 4 }),
      fc.constantFrom('', '/#', '/#'),
    )
    .map(([parts, tail]) => parts.join('/') + tail)
  const allFilters = fc.oneof(filters, fc.constant('#'))

  it('matches no name that the other does not', () => {
    fc.assert(
      fc.property(allFilters, allFilters, names, (filter, granted, name) => {
        fc.pre(isWithin(filter, granted) && matchesName(name, filter))
        expect(matchesName(name, granted)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  it('is every name that the other matches', () => {
    fc.assert(
      fc.property(names, allFilters, (name, granted) => {
        expect(isWithin(name, granted)).toBe(matchesName(name, granted))
      }),
      { numRuns: 2000 },
    )
  })

  it('is the other itself', () => {
    fc.assert(fc.property(allFilters, (filter) => isWithin(filter, filter)))
  })

  it.each([
    ['a', 'a/#'],
    ['a/#', 'a/#'],
    ['a/+', 'a/#'],
    ['a/+/c', 'a/+/+'],
    ['$SYS/a', '$SYS/#'],
  ])('is %j within %j', (filter, granted) => {
    expect(isWithin(filter, granted)).toBe(true)
  })

  it.each([
    ['#', '+/#'],
    ['#', 'a/#'],
    ['+', 'a'],
    ['a/#', 'a/+'],
    ['a/+/c', 'a/b/c'],
    ['$SYS/a', '#'],
    ['$SYS/a', '+/a'],
    ['a', 'a/+'],
    ['devices/+/config', 'devices/gate-1/config'],
  ])('is not %j within %j', (filter, granted) => {
    expect(isWithin(filter, granted)).toBe(false)
  })
})
