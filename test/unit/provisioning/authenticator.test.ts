import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Authenticator, createAuthenticator } from '../../../provisioning/oauth/authenticator.ts'
import type { Presented } from '../../../provisioning/oauth/client-auth.ts'
import { openRegistry, operator, type RegistryKit } from './kit.ts'

describe('a client that fails to authenticate', () => {
  let kit: RegistryKit
  let authenticator: Authenticator
  /** What was done for it, in order. */
  let work: string[]
  let secret: string
  const audience = 'https://issuer.example/'

  beforeEach(async () => {
    kit = await openRegistry()
    const { registry, repository } = kit
    const grants = [{ audience: 'urn:lotwatch:ingest', scopes: ['read:readings'] }]
    const issued = await registry.clients.register(operator, { oauthClientId: 'a', kind: 'service', grants })
    secret = issued.credential.client_secret ?? ''
    await registry.devices.register(operator, { deviceId: 'suspended' })
    await registry.devices.move(operator, 'suspended', 'suspend')
    work = []
    authenticator = createAuthenticator({
      repository: {
        findAccess: (id) => {
          work.push('looked up')
          return repository.findAccess(id)
        },
        useOnce: (id, untilMs) => {
          work.push('written')
          return repository.useOnce(id, untilMs)
        },
      },
      hash: (text) => {
        work.push(`hashed ${text.length}`)
        return kit.hash(text)
      },
      audiences: [audience],
      now: () => kit.clock.nowMs,
    })
  })
  afterEach(() => kit.close())

  const fail = async (presented: Presented) => {
    const error = await authenticator.authenticate(presented).catch((thrown: unknown) => thrown)
    const done = work
    work = []
    return { said: String(error), done }
  }

  it('has the same done for it whether it is unknown, suspended, or its secret is wrong', async () => {
    const method = 'client_secret_post'
    const wrong = `${secret.slice(0, -1)}!`
    const known = await fail({ method, oauthClientId: 'a', clientSecret: wrong })
    expect(known).toEqual({
      said: 'OAuthError: client authentication failed',
      done: ['looked up', `hashed ${wrong.length}`],
    })
    for (const oauthClientId of ['nobody', 'suspended'])
      expect(await fail({ method, oauthClientId, clientSecret: wrong })).toEqual(known)
  })

  it('has its assertion checked though it has no key or does not exist, and nothing written for it', async () => {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true })
    const grants = [{ audience: 'urn:lotwatch:ingest', scopes: ['read:readings'] }]
    await kit.registry.clients.register(operator, {
      oauthClientId: 'keyed',
      kind: 'service',
      grants,
      publicKey: await exportJWK((await generateKeyPair('ES256', { extractable: true })).publicKey),
    })
    const answers = await Promise.all(
      ['keyed', 'a', 'nobody'].map(async (oauthClientId) => {
        const assertion = await new SignJWT()
          .setProtectedHeader({ alg: 'ES256' })
          .setIssuer(oauthClientId)
          .setSubject(oauthClientId)
          .setAudience(audience)
          .setJti('1')
          .setExpirationTime(kit.clock.nowMs / 1000 + 60)
          .sign(privateKey)
        return { oauthClientId, assertion }
      }),
    )
    for (const { oauthClientId, assertion } of answers)
      expect(await fail({ method: 'private_key_jwt', oauthClientId, assertion })).toEqual({
        said: 'OAuthError: client authentication failed',
        done: ['looked up'],
      })
  })
})
