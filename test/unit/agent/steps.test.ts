import { describe, expect, it } from 'vitest'
import type { Identity } from '../../../agent/identity.ts'
import { lineOf, type StepFacts, stepsOf } from '../../../agent/steps.ts'

const identity = { deviceId: 'north-1', broker: { url: 'mqtts://lots.example:8883' } } as unknown as Identity
const good: StepFacts = {
  link: {
    identity,
    identityFault: undefined,
    token: 'ok',
    isConnected: true,
    connectFault: undefined,
    clockOffsetMs: 300,
  },
  clock: 'synced',
  sensor: { type: 'gpio', state: 'ok' },
}
const but = (change: Partial<StepFacts['link']>, rest: Partial<StepFacts> = {}): StepFacts => ({
  ...good,
  ...rest,
  link: { ...good.link, isConnected: false, ...change },
})

describe('the line of a device', () => {
  it.each<[string, StepFacts, string]>([
    ['has come all the way', good, 'enrolled → clock → sensor → token → MQTT → 7 queued'],
    [
      'is nobody yet',
      but({ identity: undefined, token: undefined }),
      'enrolled waiting: no credential; 7 queued',
    ],
    [
      'does not know the time',
      but({}, { clock: 'unsynced' }),
      'enrolled → clock waiting: not synchronized yet; readings are held and stamped later; 7 queued',
    ],
    [
      'has another time than the server',
      but({ clockOffsetMs: -7_200_000 }),
      'enrolled → clock failed: 7200 s behind the server; 7 queued',
    ],
    [
      'has a sensor that says nothing',
      but({}, { sensor: { type: 'gpio', state: 'silent' } }),
      'enrolled → clock → sensor failed: gpio is silent; 7 queued',
    ],
    [
      'gets no token',
      but({ token: { fault: 'token endpoint: invalid_client' } }),
      'enrolled → clock → sensor → token failed: token endpoint: invalid_client; 7 queued',
    ],
    [
      'has not tried to connect',
      but({}),
      'enrolled → clock → sensor → token → MQTT waiting: not connected yet; 7 queued',
    ],
    [
      'cannot connect',
      but({ connectFault: 'econnrefused' }),
      'enrolled → clock → sensor → token → MQTT failed: econnrefused; 7 queued',
    ],
  ])('that %s', (_, facts, line) => {
    expect(lineOf(stepsOf(facts), 7)).toBe(line)
  })

  it('that is missing a step has something to do next for a person', () => {
    for (const facts of [
      but({ identity: undefined }),
      but({}, { clock: 'unsynced' }),
      but({ token: { fault: 'invalid_client' } }),
      but({ connectFault: 'econnrefused' }),
    ])
      expect(stepsOf(facts).find(({ state }) => state !== 'ok')?.next).toMatch(/\w/)
  })

  it('tells a refused client from an issuer that is away', () => {
    const next = (fault: string) => stepsOf(but({ token: { fault } }))[3]?.next
    expect(next('token endpoint: invalid_client')).toMatch(/revoked/)
    expect(next('https://a.example/oauth/token does not answer')).toMatch(/reachable/)
  })
})
