import { createLocalJWKSet, jwtVerify } from 'jose'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { tokenCharsMax } from '../../../core/auth/verifier.ts'
import { scopesOf } from '../../../core/contract/principal.ts'
import { createAuthenticator } from '../../../provisioning/oauth/authenticator.ts'
import { answerOf, type OAuthError } from '../../../provisioning/oauth/errors.ts'
import { createBrake } from '../../../provisioning/oauth/guards/brake.ts'
import { createQuotas } from '../../../provisioning/oauth/guards/quotas.ts'
import { openSigningKeys, type SigningKeys } from '../../../provisioning/oauth/keys.ts'
import { createSigner } from '../../../provisioning/oauth/signer.ts'
import { startSigningThread } from '../../../provisioning/oauth/signing-thread.ts'
import {
  createTokenEndpoint,
  heldMs,
  type TokenEndpoint,
} from '../../../provisioning/oauth/token-endpoint.ts'
import type { TokenDecision } from '../../../provisioning/repository/repository.ts'
import { createSealer } from '../../../provisioning/seal.ts'
import { openRegistry, operator, type RegistryKit } from './kit.ts'

const thread = startSigningThread()

describe('a token request', () => {
  let kit: RegistryKit
  let keys: SigningKeys
  let token: TokenEndpoint
  let secret: string
  let used: [string, number][]
  let recorded: TokenDecision[]
  let activated: string[]
  let delays: number[]
  /** What happens while a request is held. */
  let meanwhile: () => Promise<unknown>

  const ask = async (parameters: Record<string, string> = {}) => (await tell(parameters)).answer
  const tell = (parameters: Record<string, string> = {}) =>
    token({
      address: '192.0.2.1',
      userAgent: 'test',
      authorization: undefined,
      parameters: new Map(
        Object.entries({
          grant_type: 'client_credentials',
          client_id: 'd1',
          client_secret: secret,
          ...parameters,
        }).filter(([, value]) => value !== ''),
      ),
    })
  const claimsOf = async (accessToken: string) =>
    jwtVerify(accessToken, createLocalJWKSet({ keys: [...(await keys.jwks()).keys] }), {
      currentDate: new Date(kit.clock.nowMs),
    })

  beforeEach(async () => {
    kit = await openRegistry()
    const now = () => kit.clock.nowMs
    const { repository, hash, registry } = kit
    keys = await openSigningKeys({
      repository,
      sealer: createSealer(new Uint8Array(32), 'test'),
      issuer: 'https://issuer.example/',
      times: { publishedBeforeMs: 1000, tokenLifeMaxMs: 600_000 },
      now,
    })
    used = []
    recorded = []
    activated = []
    delays = []
    meanwhile = async () => {}
    let serial = 0
    token = createTokenEndpoint({
      repository,
      authenticator: createAuthenticator({ repository, hash, audiences: ['https://issuer.example/'], now }),
      signer: createSigner({
        issuer: 'https://issuer.example/',
        keys,
        lifeSec: 600,
        newTokenId: () => 'token-1',
        thread,
      }),
      brake: createBrake({ nowMs: now }),
      quotas: createQuotas(repository),
      rules: undefined,
      record: (decision) => recorded.push(decision),
      newDecisionId: () => `dec_${serial++}`,
      errors: 'rfc',
      now,
      async delay(ms) {
        delays.push(ms)
        // A timer may end a little before its time.
        kit.clock.nowMs += ms - 1
        await meanwhile()
      },
      used: (credentialId, atMs) => used.push([credentialId, atMs]),
      activated: (deviceId) => activated.push(deviceId),
      boardSeen: () => undefined,
    })
    const issued = await registry.devices.register(operator, { deviceId: 'd1' })
    secret = 'credential' in issued ? (issued.credential.client_secret ?? '') : ''
  })
  afterEach(() => kit.close())
  afterAll(() => thread.stop())

  it('of a device gets a token in the profile of RFC 9068, with its topics', async () => {
    const answer = await ask()

    expect(answer).toMatchObject({
      token_type: 'Bearer',
      expires_in: 600,
      scope: 'publish:readings receive:commands',
    })
    const { payload, protectedHeader } = await claimsOf(answer.access_token)
    const nowSec = kit.clock.nowMs / 1000
    expect(protectedHeader).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: (await keys.signing('ES256')).kid })
    expect(payload).toEqual({
      iss: 'https://issuer.example/',
      sub: 'd1',
      client_id: 'd1',
      aud: 'urn:lotwatch:broker',
      scope: 'publish:readings receive:commands',
      device_id: 'd1',
      cred: expect.stringMatching(/^cred_/),
      acl: expect.arrayContaining([{ permission: 'deny', action: 'all', topic: '#' }]),
      iat: nowSec,
      exp: nowSec + 600,
      jti: 'token-1',
    })
  })

  it('narrowed to one scope gets the topic rights of that scope only', async () => {
    const answer = await ask({ scope: 'receive:commands' })

    const { payload } = await claimsOf(answer.access_token)
    expect(JSON.stringify(payload.acl)).not.toContain('readings')
  })

  it('of an analyst bears the limit to some lots, and nothing of devices', async () => {
    const grants = [{ audience: 'urn:lotwatch:ingest', scopes: ['read:readings'] }]
    const { credential } = await kit.registry.clients.register(operator, {
      oauthClientId: 'analyst',
      kind: 'service',
      grants,
      lots: ['north'],
    })

    const answer = await ask({ client_id: 'analyst', client_secret: credential.client_secret ?? '' })

    const { payload } = await claimsOf(answer.access_token)
    expect(payload).toMatchObject({ aud: 'urn:lotwatch:ingest', lots: ['north'] })
    expect(payload).not.toHaveProperty('device_id')
    expect(payload).not.toHaveProperty('acl')
  })

  it('bears the longest limit that can be registered in a token that verifiers take', async () => {
    const grants = [{ audience: 'urn:lotwatch:ingest', scopes: Object.keys(scopesOf['urn:lotwatch:ingest']) }]
    const lots = (count: number) => Array.from({ length: count }, (_, i) => `${i}`.padStart(64, 'x'))
    const register = (oauthClientId: string, count: number) =>
      kit.registry.clients.register(operator, { oauthClientId, kind: 'service', grants, lots: lots(count) })

    const { credential } = await register('x'.repeat(64), 29)
    const answer = await ask({
      client_id: credential.client_id,
      client_secret: credential.client_secret ?? '',
    })

    expect(answer.access_token.length).toBeLessThanOrEqual(tokenCharsMax)
    await expect(register('too-many', 30)).rejects.toMatchObject({ code: 'request.invalid' })
  })

  it('works with each of several credentials and names the one that was used', async () => {
    const { credential } = await kit.registry.credentials.issue(
      operator,
      { of: 'device', oauthClientId: 'd1' },
      {},
    )

    await ask()
    await ask({ client_secret: credential.client_secret ?? '' })

    expect(used).toHaveLength(2)
    expect(used[1]).toEqual([credential.credentialId, kit.clock.nowMs])
    expect(used[0]?.[0]).not.toBe(used[1]?.[0])
  })

  it('is refused for a suspended device like for one that never was', async () => {
    const unknown = await ask({ client_id: 'nobody' }).catch((error: unknown) => error)
    await kit.registry.devices.move(operator, 'd1', 'suspend')
    kit.clock.nowMs += 2000

    const suspended = await ask().catch((error: unknown) => error)
    expect(answerOf(suspended as OAuthError, 'rfc')).toEqual(answerOf(unknown as OAuthError, 'rfc'))
    expect(unknown).toMatchObject({ error: 'invalid_client', status: 401 })
  })

  it('is refused with a credential that was revoked', async () => {
    const [first] = (await kit.registry.devices.show('d1')).credentials
    await kit.registry.credentials.revoke(
      operator,
      { of: 'device', oauthClientId: 'd1' },
      first?.credentialId ?? '',
    )

    await expect(ask()).rejects.toMatchObject({ error: 'invalid_client' })
  })

  it.each([
    ['without a grant type', { grant_type: '' }, 'invalid_request'],
    ['for another grant', { grant_type: 'password' }, 'unsupported_grant_type'],
    ['for a foreign audience', { audience: 'urn:lotwatch:ingest' }, 'invalid_target'],
    ['for more than was granted', { scope: 'publish:readings write:readings' }, 'invalid_scope'],
    ['with a wrong secret', { client_secret: 'lotsec_wrong' }, 'invalid_client'],
    ['without a secret', { client_secret: '' }, 'invalid_client'],
    ['of nobody', { client_id: '' }, 'invalid_client'],
  ])(
    '%s is refused in the words of the standard, and the record says why',
    async (_what, parameters, error) => {
      await expect(ask(parameters)).rejects.toMatchObject({ error })

      expect(recorded).toEqual([
        expect.objectContaining({
          outcome: 'refused',
          error,
          reason: expect.objectContaining({ detail: expect.any(String) }),
        }),
      ])
      expect(JSON.stringify(recorded)).not.toContain(secret)
    },
  )

  it('within the second of a revocation waits until a token would be good', async () => {
    await kit.registry.devices.move(operator, 'd1', 'suspend')
    await kit.registry.devices.move(operator, 'd1', 'resume')
    const revokedAtSec = Math.floor(kit.clock.nowMs / 1000)
    kit.clock.nowMs += 300

    const answer = await ask()

    expect(delays).toHaveLength(1)
    expect(delays[0]).toBeLessThan(710)
    const { payload } = await claimsOf(answer.access_token)
    expect(payload.iat).toBeGreaterThan(revokedAtSec)
  })

  it('that was held is decided on the state after the wait', async () => {
    await kit.registry.devices.move(operator, 'd1', 'suspend')
    await kit.registry.devices.move(operator, 'd1', 'resume')
    meanwhile = () => kit.registry.devices.move(operator, 'd1', 'suspend')

    await expect(ask()).rejects.toMatchObject({ error: 'invalid_client' })
  })

  it('is put off when the client was revoked again while it was held', async () => {
    const suspendAndResume = async () => {
      await kit.registry.devices.move(operator, 'd1', 'suspend')
      await kit.registry.devices.move(operator, 'd1', 'resume')
    }
    await suspendAndResume()
    meanwhile = suspendAndResume

    await expect(ask()).rejects.toMatchObject({ error: 'temporarily_unavailable', status: 503 })
  })
})

describe('the hold after a revocation', () => {
  it('lasts to the end of its second and no longer', () => {
    expect(heldMs(undefined, 5000)).toBe(0)
    expect(heldMs(5000, 5000)).toBe(1000)
    expect(heldMs(5300, 5999)).toBe(1)
    expect(heldMs(5300, 6000)).toBe(0)
  })
})
