import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Client, ClientGrant } from '../../../core/contract/client.ts'
import {
  decideGrant as decide,
  deviceGrants,
  type GrantRequest,
  grantFaults,
  isNarrower,
} from '../../../provisioning/grants.ts'
import { builtInApis } from '../../../provisioning/registry/apis.ts'

const broker = { audience: 'urn:lotwatch:broker', scopes: ['read:connections', 'manage:connections'] }
const ingest = { audience: 'urn:lotwatch:ingest', scopes: ['read:readings'] }
const apis = builtInApis()
const apiOf = (audience: string) => apis.find((api) => api.audience === audience)
const decideGrant = (grants: readonly ClientGrant[], request: GrantRequest) => decide(grants, request, apiOf)
const ask = (audience?: string, scope?: string) => ({ audience, scope })

describe('what a token request gets', () => {
  it('is all that was granted for the audience when it names no scope', () => {
    expect(decideGrant([broker, ingest], ask(broker.audience))).toEqual({ granted: true, ...broker })
  })

  it('is what was asked for, in the order asked for, each once', () => {
    const scope = 'manage:connections read:connections manage:connections'

    expect(decideGrant([broker], ask(broker.audience, scope))).toEqual({
      granted: true,
      audience: broker.audience,
      scopes: ['manage:connections', 'read:connections'],
    })
  })

  it('is for the only audience a client has when it names none', () => {
    expect(decideGrant([ingest], ask())).toEqual({ granted: true, ...ingest })
  })

  it('is refused without an audience when there are several to choose from', () => {
    expect(decideGrant([broker, ingest], ask())).toMatchObject({ granted: false, error: 'invalid_request' })
  })

  it('is refused alike for an audience unknown to all and one not granted to this client', () => {
    const unknown = decideGrant([ingest], ask('urn:elsewhere'))

    expect(unknown).toMatchObject({ granted: false, error: 'invalid_target' })
    expect(decideGrant([ingest], ask(broker.audience))).toEqual(unknown)
  })

  it('is refused, like an audience unknown to all, when the API of a grant is gone', () => {
    const orphan = { audience: 'urn:gone', scopes: ['x'] }

    expect(decideGrant([orphan], ask('urn:gone'))).toEqual(decideGrant([ingest], ask('urn:elsewhere')))
  })

  it('leaves out scopes that the API has no more, and refuses them by name', () => {
    const grant = { audience: ingest.audience, scopes: ['read:readings', 'read:minds'] }

    expect(decideGrant([grant], ask())).toMatchObject({ granted: true, scopes: ['read:readings'] })
    expect(decideGrant([grant], ask(ingest.audience, 'read:minds'))).toMatchObject({
      granted: false,
      error: 'invalid_scope',
    })
  })

  it('is refused for a client without any grant', () => {
    expect(decideGrant([], ask())).toMatchObject({ granted: false, error: 'invalid_target' })
  })

  it('is refused rather than narrowed when one scope lies beyond the grant', () => {
    expect(decideGrant([ingest], ask(ingest.audience, 'read:readings query:sql'))).toMatchObject({
      granted: false,
      error: 'invalid_scope',
    })
  })

  it.each([' ', 'read:readings ', ' read:readings', 'read:readings  query:sql', 'read"', 'lös'])(
    'is refused for the malformed scope %j',
    (scope) => {
      expect(decideGrant([ingest], ask(ingest.audience, scope))).toMatchObject({ error: 'invalid_scope' })
    },
  )

  it('never grows past the grant, whatever is asked', () => {
    const all = ['read:connections', 'manage:connections', 'read:readings', 'x']
    const scopes = fc.subarray(all)
    fc.assert(
      fc.property(scopes, scopes, (granted, asked) => {
        const grant = { audience: 'urn:a', scopes: granted }
        const api = { scopes: all.map((scope) => ({ scope, description: '' })) }
        const request = ask('urn:a', asked.length === 0 ? undefined : asked.join(' '))
        const decision = decide([grant], request, () => api)

        if (decision.granted) expect(granted).toEqual(expect.arrayContaining([...decision.scopes]))
        else expect(asked.some((scope) => !granted.includes(scope))).toBe(true)
      }),
    )
  })
})

describe('grants that somebody wants to give', () => {
  it('are fine when all of them exist', () => {
    expect(grantFaults([broker, ingest], apis)).toEqual([])
    expect(grantFaults(deviceGrants, apis)).toEqual([])
  })

  it('are told all their faults at once', () => {
    const faults = grantFaults(
      [
        { audience: 'urn:elsewhere', scopes: ['x'] },
        { audience: 'urn:lotwatch:ingest', scopes: ['read:readings', 'read:minds', 'read:readings'] },
        { audience: 'urn:lotwatch:ingest', scopes: [] },
      ],
      apis,
    )

    expect(faults).toEqual([
      'there is no audience urn:elsewhere',
      'urn:lotwatch:ingest has no scope read:minds',
      'read:readings is named twice',
      'urn:lotwatch:ingest is granted twice',
    ])
  })

  it('do not take the members every object has for audiences or scopes', () => {
    expect(grantFaults([{ audience: 'constructor', scopes: [] }], apis)).toHaveLength(1)
    expect(grantFaults([{ audience: 'urn:lotwatch:ingest', scopes: ['toString'] }], apis)).toHaveLength(1)
  })
})

describe('a client that may less than before', () => {
  const client: Client = {
    oauthClientId: 'c',
    name: 'C',
    kind: 'service',
    grantTypes: ['client_credentials'],
    authMethods: ['client_secret_basic'],
    grants: [broker, ingest],
    metadata: {},
    lots: ['north', 'south'],
  }
  const { lots: _, ...everywhere } = client

  it.each([
    ['a grant is gone', { ...client, grants: [broker] }],
    ['a scope is gone', { ...client, grants: [{ ...broker, scopes: ['read:connections'] }, ingest] }],
    ['it gets no tokens any more', { ...client, grantTypes: [] }],
    ['a lot is gone', { ...client, lots: ['north'] }],
  ] as [string, Client][])('is one where %s', (_name, after) => {
    expect(isNarrower(after, client)).toBe(true)
    expect(isNarrower(client, after)).toBe(false)
  })

  it('is one that is limited to lots for the first time', () => {
    expect(isNarrower(client, everywhere)).toBe(true)
    expect(isNarrower(everywhere, client)).toBe(false)
  })

  it('is not one with another name, metadata, quota, or ways to authenticate', () => {
    const after: Client = {
      ...client,
      name: 'X',
      metadata: { a: 'b' },
      quota: { perDay: 1 },
      authMethods: [],
    }
    expect(isNarrower(after, client)).toBe(false)
  })
})
