import { describe, expect, it } from 'vitest'
import { createRelay, type RelayRequest } from '../../../console/server/relay.ts'
import type { TokenSource } from '../../../core/auth/token-source.ts'

const tokens = {
  get: async () => ({ token: 'secret' }),
  invalidate: () => undefined,
} as unknown as TokenSource // what is called of it
const upstream = { url: 'http://there', tokens }

/** @param echo what a program says back of the lots it was asked to narrow to */
function relayTo(echo: (sent: Headers) => Record<string, string>) {
  const asked: Headers[] = []
  const relay = createRelay({
    upstreams: { ingest: upstream, broker: upstream, provisioning: upstream },
    fetch: async (_url, init) => {
      const headers = new Headers(init?.headers)
      asked.push(headers)
      return new Response('{}', { headers: echo(headers) })
    },
  })
  const ask = (more: Partial<RelayRequest>) =>
    relay({
      program: 'ingest',
      method: 'GET',
      path: '/v1/latest',
      search: '',
      headers: {},
      body: undefined,
      person: 'maria',
      role: 'analyst',
      lots: ['north', 'south'],
      signal: new AbortController().signal,
      ...more,
    })
  return { ask, asked }
}
const echoing = (sent: Headers) => ({ 'lotwatch-lots': sent.get('lotwatch-lots') ?? '' })

describe('what is passed on of somebody limited to lots', () => {
  it('names their lots, whatever the browser says', async () => {
    const { ask, asked } = relayTo(echoing)
    await ask({ headers: { 'lotwatch-lots': 'east', 'lotwatch-person': 'admin' } })
    expect(asked[0]?.get('lotwatch-lots')).toBe('north,south')
    expect(asked[0]?.get('lotwatch-person')).toBe('maria')
  })

  it('is answered only by a program that says it narrowed the answer', async () => {
    await expect(relayTo(() => ({})).ask({})).rejects.toMatchObject({ code: 'role.refused' })
    await expect(relayTo(() => ({ 'lotwatch-lots': 'north' })).ask({})).rejects.toMatchObject({
      code: 'role.refused',
    })
    await expect(relayTo(echoing).ask({})).resolves.toMatchObject({ status: 200 })
    await expect(relayTo(() => ({})).ask({ lots: undefined })).resolves.toMatchObject({ status: 200 })
  })

  it('goes to ingest alone, which can narrow, whatever their role', async () => {
    const { ask, asked } = relayTo(echoing)
    const path = '/v1/connections'
    await expect(ask({ program: 'broker', path, role: 'admin' })).rejects.toMatchObject({
      code: 'role.refused',
    })
    expect(asked).toEqual([])
  })
})
