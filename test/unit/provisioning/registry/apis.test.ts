import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ApiRequest } from '../../../../core/contract/client.ts'
import { audiences, scopesOf } from '../../../../core/contract/principal.ts'
import { etagOf } from '../../../../provisioning/registry/changes.ts'
import { openRegistry, operator, type RegistryKit } from '../kit.ts'

const request: ApiRequest = {
  name: 'Tariffs',
  scopes: [{ scope: 'read:tariffs', description: 'see prices' }],
}
const audience = 'https://tariffs.example/api'

describe('APIs', () => {
  let kit: RegistryKit
  const apis = () => kit.registry.apis
  const find = (name: string) => kit.repository.findApi(name)

  beforeEach(async () => {
    kit = await openRegistry()
  })
  afterEach(() => kit.close())

  it('of Lotwatch itself are there with every scope of the contract', async () => {
    for (const name of Object.values(audiences)) {
      const api = await find(name)
      expect(api).toMatchObject({ builtIn: true, alg: 'ES256', dialect: 'rfc9068' })
      expect(api?.scopes.map(({ scope }) => scope)).toEqual(Object.keys(scopesOf[name]))
    }
  })

  it('are registered with what most want, and replaced', async () => {
    await apis().set(operator, audience, request)
    expect(await find(audience)).toEqual({
      audience,
      ...request,
      alg: 'ES256',
      dialect: 'rfc9068',
      builtIn: false,
    })

    await apis().set(operator, audience, { ...request, alg: 'RS256', dialect: 'auth0', tokenLifeSec: 60 })
    expect(await find(audience)).toMatchObject({ alg: 'RS256', dialect: 'auth0', tokenLifeSec: 60 })
    await apis().set(operator, audience, request)

    expect(await find(audience)).not.toHaveProperty('tokenLifeSec')
    expect(await kit.verbs()).toEqual(['api.set', 'api.set', 'api.set'])
  })

  it('that are set to what they are leave no audit entry', async () => {
    await apis().set(operator, audience, request)
    await apis().set(operator, audience, request)
    await apis().ensureBuiltIn()

    expect(await kit.verbs()).toEqual(['api.set'])
  })

  it('name no scope twice', async () => {
    const scopes = [...request.scopes, ...request.scopes]
    await expect(apis().set(operator, audience, { ...request, scopes })).rejects.toMatchObject({
      code: 'request.invalid',
    })
  })

  it('of Lotwatch itself take a token life and a quota, keep them over a start, and nothing else', async () => {
    const before = await find(audiences.broker)
    if (before === undefined) throw new Error('not there')
    const { audience: name, builtIn: _, ...rest } = before

    await apis().set(operator, name, { ...rest, tokenLifeSec: 600, quota: { perDay: 100 } })
    await apis().ensureBuiltIn()

    expect(await find(name)).toEqual({ ...before, tokenLifeSec: 600, quota: { perDay: 100 } })
    await expect(apis().set(operator, name, { ...rest, alg: 'RS256' })).rejects.toMatchObject({
      code: 'request.conflict',
    })
    await expect(apis().set(operator, name, { ...rest, scopes: [] })).rejects.toMatchObject({
      code: 'request.conflict',
    })
    await expect(apis().retire(operator, name)).rejects.toMatchObject({ code: 'request.conflict' })
  })

  it('are retired once no client has a grant for them', async () => {
    await apis().set(operator, audience, request)
    const grants = [{ audience, scopes: ['read:tariffs'] }]
    await kit.registry.clients.register(operator, { oauthClientId: 'shop', kind: 'service', grants })

    await expect(apis().retire(operator, audience)).rejects.toMatchObject({ code: 'request.conflict' })
    await kit.registry.clients.revokeGrant(operator, 'shop', audience)
    await apis().retire(operator, audience)

    expect(await find(audience)).toBeUndefined()
    await expect(apis().retire(operator, audience)).rejects.toMatchObject({ code: 'request.not_found' })
  })

  it('are replaced only from the state that the caller saw', async () => {
    await apis().set(operator, audience, request)
    const ifMatch = etagOf(await find(audience))
    await apis().set({ ...operator, ifMatch }, audience, { ...request, name: 'First' })

    await expect(
      apis().set({ ...operator, ifMatch }, audience, { ...request, name: 'Second' }),
    ).rejects.toMatchObject({ code: 'request.precondition' })
    await expect(apis().retire({ ...operator, ifMatch }, audience)).rejects.toMatchObject({
      code: 'request.precondition',
    })
  })
})
