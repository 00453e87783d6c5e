import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decideGrant, deviceGrants, grantFaults } from '../../../provisioning/grants.ts'

const broker = { audience: 'urn:lotwatch:broker', scopes: ['read:connections', 'manage:connections'] }
const ingest = { audience: 'urn:lotwatch:ingest', scopes: ['read:readings'] }
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
    const scopes = fc.subarray(['read:connections', 'manage:connections', 'read:readings', 'x'])
    fc.assert(
      fc.property(scopes, scopes, (granted, asked) => {
        const grant = { audience: 'urn:a', scopes: granted }
        const decision = decideGrant([grant], ask('urn:a', asked.length === 0 ? undefined : asked.join(' ')))

        if (decision.granted) expect(granted).toEqual(expect.arrayContaining([...decision.scopes]))
        else expect(asked.some((scope) => !granted.includes(scope))).toBe(true)
      }),
    )
  })
})

describe('grants that somebody wants to give', () => {
  it('are fine when all of them exist', () => {
    expect(grantFaults([broker, ingest, ...deviceGrants].slice(0, 2))).toEqual([])
    expect(grantFaults(deviceGrants)).toEqual([])
  })

  it('are told all their faults at once', () => {
    const faults = grantFaults([
      { audience: 'urn:elsewhere', scopes: ['x'] },
      { audience: 'urn:lotwatch:ingest', scopes: ['read:readings', 'read:minds'] },
      { audience: 'urn:lotwatch:ingest', scopes: [] },
    ])

    expect(faults).toEqual([
      'urn:lotwatch:ingest is granted twice',
      'there is no audience urn:elsewhere',
      'urn:lotwatch:ingest has no scope read:minds',
    ])
  })

  it('do not take the members every object has for audiences or scopes', () => {
    expect(grantFaults([{ audience: 'constructor', scopes: [] }])).toHaveLength(1)
    expect(grantFaults([{ audience: 'urn:lotwatch:ingest', scopes: ['toString'] }])).toHaveLength(1)
  })
})
