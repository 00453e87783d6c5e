import { describe, expect, it } from 'vitest'
import { readBrokerConfig } from '../../../broker/config.ts'
import { keepAliveSecMin } from '../../../broker/engine/aedes-guards.ts'
import { FleetError } from '../../../core/contract/errors.ts'

const read = (issuers: unknown) =>
  readBrokerConfig({ file: undefined, env: { LOTWATCH_BROKER_ISSUERS: JSON.stringify(issuers) } })
const faultsOf = (issuers: unknown) => {
  try {
    read(issuers)
  } catch (error) {
    if (error instanceof FleetError) return error.faults
    throw error
  }
  return []
}

it('the deadline of a handover is at most half the shortest keep-alive', () => {
  const deadline = (ms: number) =>
    readBrokerConfig({ file: undefined, env: { LOTWATCH_BROKER_HANDOVER_DEADLINE_MS: String(ms) } })
  const halfMs = (keepAliveSecMin * 1000) / 2
  expect(deadline(halfMs).handoverDeadlineMs).toBe(halfMs)
  expect(() => deadline(halfMs + 1)).toThrow(FleetError)
})

describe('trusted issuers', () => {
  it('are our own, and then each row with what it leaves out', () => {
    const row = { issuer: 'https://tenant.example/', dialect: 'auth0', deviceClaim: 'https://lots/device' }
    expect(read([row]).trustedIssuers).toEqual([
      {
        issuer: 'http://127.0.0.1:8081',
        audience: 'urn:lotwatch:broker',
        algorithms: ['ES256'],
        dialect: 'rfc9068',
      },
      { ...row, audience: 'urn:lotwatch:broker', algorithms: ['RS256'] },
    ])
  })

  it('are our own alone unless it is said', () => {
    expect(readBrokerConfig({ file: undefined, env: {} }).trustedIssuers).toHaveLength(1)
  })

  it('have one row each', () => {
    const row = { issuer: 'https://tenant.example/', dialect: 'auth0' }
    expect(faultsOf([row, row])).toEqual([expect.stringContaining('https://tenant.example/')])
    expect(faultsOf([{ ...row, issuer: 'http://127.0.0.1:8081' }])).toHaveLength(1)
  })

  it.each([
    ['signs with a shared secret', { algorithms: ['HS256'] }],
    ['signs with nothing', { algorithms: ['none'] }],
    ['says no algorithm', { algorithms: [] }],
    ['is of a kind nobody knows', { dialect: 'okta' }],
    ['is no URL', { issuer: 'tenant.example' }],
    ['has a member that is not one', { jwks: 'https://tenant.example/jwks' }],
  ])('are refused when one %s', (_what, change) => {
    const row = { issuer: 'https://tenant.example/', dialect: 'auth0', ...change }
    expect(faultsOf([row])).not.toEqual([])
  })
})
