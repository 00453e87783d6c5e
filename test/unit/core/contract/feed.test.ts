import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isFleetError } from '../../../../core/contract/errors.ts'
import { feedEvents, parseFeedEvent } from '../../../../core/contract/feed.ts'

const atMs = 1_763_906_700_000
const lot = { lotId: 'Bull-Ring', name: 'Bull Ring', capacities: [{ fromMs: 0, capacity: 577 }] }
const device = { deviceId: 'gate-1', name: 'Gate 1', state: 'active', registeredAtMs: atMs, tags: ['north'] }
const assignment = { deviceId: 'gate-1', lotId: 'Bull-Ring', fromMs: atMs, toMs: null }
const revocation = { of: 'credential', credentialId: 'cred_1', atMs }
const config = { deviceId: 'gate-1', version: 1, config: { schedule: '* * * * *' }, setAtMs: atMs }
const command = {
  commandId: 'c1',
  deviceId: 'gate-1',
  name: 'ping',
  createdAtMs: atMs,
  expiresAtMs: atMs + 1,
  state: 'pending',
  changedAtMs: atMs,
}
const presence = { deviceId: 'gate-1', connected: true, brokerId: 'b1', connectionId: '1', atMs }
const boards = { known: { serial: 'a', bootId: '1' }, seen: { serial: 'b', bootId: '2' } }
const alarm = {
  alarmId: 1,
  kind: 'board.conflict',
  subject: 'gate-1',
  detail: boards,
  atMs,
  acknowledgedAtMs: null,
}
const examples = {
  snapshot: {
    lots: [lot],
    devices: [device],
    assignments: [assignment],
    revocations: [revocation],
    configs: [config],
    commands: [command],
    presence: [presence],
  },
  lot,
  device,
  assignment,
  revocation,
  config,
  command,
  presence,
  alarm,
}
const types = Object.keys(examples) as (keyof typeof examples)[]
const invalid = expect.objectContaining({ code: 'request.invalid' })

describe('an event of the feed', () => {
  it.each(types)('of the type %s is read', (type) => {
    expect(parseFeedEvent(type, JSON.stringify(examples[type]))).toEqual({ type, data: examples[type] })
  })

  it('has an example here for every type there is', () => {
    expect(types).toEqual(Object.keys(feedEvents))
  })

  it.each([
    { of: 'token', tokenId: 'jti-1', atMs },
    { of: 'client', oauthClientId: 'gate-1', atMs },
  ])('may revoke by $of', (data) => {
    expect(parseFeedEvent('revocation', JSON.stringify(data))).toEqual({ type: 'revocation', data })
  })

  it.each(['', 'message', 'weather', 'toString', '__proto__', 'constructor'])(
    'of an unknown type is passed over: %j',
    (type) => {
      expect(parseFeedEvent(type, '{}')).toBeUndefined()
      expect(parseFeedEvent(type, 'not JSON')).toBeUndefined()
    },
  )

  it.each(types)('of the type %s is refused when it does not fit', (type) => {
    const wrong = ['', '{', 'null', '[]', '{}', JSON.stringify({ ...examples[type], extra: 1 })]
    for (const data of wrong) expect(() => parseFeedEvent(type, data), data).toThrow(invalid)
  })

  it.each([
    ['names another kind of thing', { of: 'device', deviceId: 'gate-1', atMs }],
    ['names what belongs to another kind', { of: 'token', credentialId: 'cred_1', atMs }],
    ['has no moment', { of: 'token', tokenId: 'jti-1' }],
  ])('that revokes is refused when it %s', (_what, data) => {
    expect(() => parseFeedEvent('revocation', JSON.stringify(data))).toThrow(invalid)
  })

  it('never fails in another way, whatever is sent', () => {
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.oneof(fc.json(), fc.string()), (type, data) => {
        try {
          parseFeedEvent(type, data)
        } catch (error) {
          expect(isFleetError(error, 'request.invalid')).toBe(true)
        }
      }),
    )
  })
})
