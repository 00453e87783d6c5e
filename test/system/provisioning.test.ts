/** Provisioning as a process of its own: tokens, registry, feed, restart, and how it says that it cannot start. */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTokenSource } from '../../core/auth/token-source.ts'
import { createVerifier } from '../../core/auth/verifier.ts'
import type { Client, IssuedCredential } from '../../core/contract/client.ts'
import { type FeedEvent, parseFeedEvent } from '../../core/contract/feed.ts'
import { audiences } from '../../core/contract/principal.ts'
import type { Device, Lot } from '../../core/contract/registry.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { createFetch, followEvents } from '../../core/runtime/fetch.ts'
import { root } from '../../scripts/build.mjs'
import { eventually, freePort, makeDataDir, startProgram } from '../kit/program.ts'
import { apiOf, type Provisioning, startProvisioning, tokensOf } from '../kit/provisioning.ts'

const put = (body: unknown) => ({ method: 'PUT', body })
const post = (body?: unknown) => ({ method: 'POST', ...(body === undefined ? {} : { body }) })
const refused = { code: 'client.refused', safeDetail: 'invalid_client' }

describe('provisioning', () => {
  const data = makeDataDir()
  let provisioning: Provisioning
  const verifierFor = (audience: string) =>
    createVerifier({
      issuers: [
        {
          issuer: String(provisioning.program.ready.issuer),
          audience,
          algorithms: ['ES256'],
          dialect: 'rfc9068',
        },
      ],
      fetch: createFetch(),
      now: Date.now,
    })
  const register = async (deviceId: string, more: object = {}) =>
    (await provisioning.operator.json<IssuedCredential>('/v1/devices', post({ deviceId, ...more })))
      .credential

  /** Follows the feed as ingest does. */
  function follow() {
    const api = apiOf(provisioning.url, readCredentialFile(join(data.path, 'services/ingest.json')))
    const events: (FeedEvent & { atMs: number })[] = []
    const stream = followEvents({
      api,
      path: '/v1/feed',
      silentMs: 20_000,
      random: Math.random,
      onEvent({ type, data: text }) {
        const event = parseFeedEvent(type, text)
        if (event !== undefined) events.push({ ...event, atMs: performance.now() })
      },
    })
    return { events, stop: () => stream.stop() }
  }

  beforeAll(async () => {
    provisioning = await startProvisioning(data.path)
  })
  afterAll(async () => {
    await provisioning.program.stop()
    data.remove()
  })

  it('gives every well-known client a credential file that only its owner can read', () => {
    for (const file of [
      'operator.json',
      'services/broker.json',
      'services/ingest.json',
      'services/console.json',
      'keys/pepper.json',
    ])
      expect(statSync(join(data.path, file)).mode & 0o777).toBe(0o600)
    expect(statSync(join(data.path, 'registry.db')).mode & 0o077).toBe(0)
    expect(readCredentialFile(join(data.path, 'services/broker.json')).client_id).toBe('broker')
  })

  it('issues tokens that a verifier elsewhere accepts by discovery', async () => {
    const credential = await register('verified')

    const { token } = await tokensOf(credential, audiences.broker).get()

    expect(await verifierFor(audiences.broker).verify(token)).toMatchObject({
      issuer: provisioning.url,
      oauthClientId: 'verified',
      deviceId: 'verified',
      credentialId: credential.credentialId,
      scopes: new Set(['publish:readings', 'receive:commands']),
    })
    await expect(verifierFor(audiences.ingest).verify(token)).rejects.toMatchObject({
      code: 'token.audience',
    })
  })

  it.each([
    ['services/broker.json', audiences.ingest, ['write:readings']],
    ['services/broker.json', audiences.provisioning, ['read:feed', 'report:presence']],
    ['services/ingest.json', audiences.provisioning, ['read:feed']],
    ['services/console.json', audiences.broker, ['read:connections', 'manage:connections']],
    ['operator.json', audiences.ingest, ['read:readings', 'query:sql', 'manage:quarantine', 'manage:store']],
    ['operator.json', audiences.broker, ['read:connections', 'manage:connections']],
  ])('grants %s at %s what it needs and no more', async (file, audience, scopes) => {
    const { token } = await tokensOf(readCredentialFile(join(data.path, file)), audience).get()

    expect((await verifierFor(audience).verify(token)).scopes).toEqual(new Set(scopes))
  })

  it('describes itself the same way at both well-known addresses', async () => {
    const metadata = await Promise.all(
      ['oauth-authorization-server', 'openid-configuration'].map(async (name) =>
        (await fetch(`${provisioning.url}/.well-known/${name}`)).json(),
      ),
    )

    expect(metadata[0]).toEqual(metadata[1])
    expect(metadata[0]).toMatchObject({
      issuer: provisioning.url,
      token_endpoint: `${provisioning.url}/oauth/token`,
      jwks_uri: `${provisioning.url}/.well-known/jwks.json`,
      grant_types_supported: ['client_credentials'],
    })
  })

  it('registers lots, devices and clients, and shows them', async () => {
    const { operator } = provisioning
    const lot = {
      name: 'Shown',
      zone: 'Europe/London',
      openingHours: 'Mo-Fr 06:00-22:00; Sa 08:00-20:00',
      capacities: [{ fromMs: 0, capacity: 9 }],
    }

    expect(await operator.json<Lot>('/v1/lots/shown', put(lot))).toEqual({ lotId: 'shown', ...lot })
    await register('shown', { name: 'Shown gate', lotId: 'shown', assignedFromMs: 1000 })
    const assigned = await operator.json(
      '/v1/devices/shown/assignments',
      post({ lotId: 'shown', fromMs: 2000 }),
    )
    const issued = await operator.json<IssuedCredential>(
      '/v1/clients',
      post({
        oauthClientId: 'analyst',
        kind: 'command-line',
        grants: [{ audience: audiences.ingest, scopes: ['read:readings'] }],
        lots: ['shown'],
      }),
    )

    expect(assigned).toEqual({ deviceId: 'shown', lotId: 'shown', fromMs: 2000, toMs: null })
    expect(await operator.json('/v1/devices/shown')).toMatchObject({
      name: 'Shown gate',
      assignments: [{ fromMs: 1000, toMs: 2000 }, { fromMs: 2000 }],
      credentials: [{ oauthClientId: 'shown', revokedAtMs: null }],
    })
    const { lots } = await operator.json<{ lots: Lot[] }>('/v1/lots')
    expect(lots.find(({ lotId }) => lotId === 'shown')).toEqual({ lotId: 'shown', ...lot })
    const { clients } = await operator.json<{ clients: Client[] }>('/v1/clients')
    expect(clients.map(({ oauthClientId }) => oauthClientId)).toEqual([
      'analyst',
      'broker',
      'console',
      'ingest',
      'operator',
    ])
    const { token } = await tokensOf(issued.credential, audiences.ingest).get()
    expect((await verifierFor(audiences.ingest).verify(token)).lots).toEqual(new Set(['shown']))
  })

  it('lists devices page by page', async () => {
    for (const deviceId of ['page1', 'page2', 'page3']) await register(deviceId)
    const seen: string[] = []

    let cursor: string | undefined
    do {
      const page = await provisioning.operator.json<{ devices: Device[]; nextCursor?: string }>(
        '/v1/devices',
        {
          query: { limit: 2, cursor },
        },
      )
      expect(page.devices.length).toBeLessThanOrEqual(2)
      seen.push(...page.devices.map(({ deviceId }) => deviceId))
      cursor = page.nextCursor
    } while (cursor !== undefined)

    expect(seen).toEqual(expect.arrayContaining(['page1', 'page2', 'page3']))
    expect(seen).toEqual([...new Set(seen)].sort())
  })

  it.each([
    ['/v1/devices/unknown', {}, 'request.not_found'],
    ['/v1/devices', post({ deviceId: 'not an identifier' }), 'request.invalid'],
    ['/v1/devices', post({ deviceId: 'broker' }), 'request.conflict'],
    ['/v1/devices', post({ deviceId: 'lost', lotId: 'no-such-lot' }), 'request.invalid'],
    ['/v1/lots/bad', put({ name: 'x' }), 'request.invalid'],
    ['/v1/lots/bad', put({ name: 'x', capacities: [], openingHours: '24/7' }), 'request.invalid'],
    ['/v1/clients', post({ oauthClientId: 'x', kind: 'device', grants: [] }), 'request.invalid'],
  ])('answers a request to %s that cannot be done with its reason', async (path, request, code) => {
    await expect(provisioning.operator.json(path, request)).rejects.toMatchObject({ code })
  })

  it('lets each client do what its scopes say and nothing else', async () => {
    const ingest = apiOf(provisioning.url, readCredentialFile(join(data.path, 'services/ingest.json')))
    const forbidden = { code: 'token.scope' }

    await expect(ingest.json('/v1/devices')).rejects.toMatchObject(forbidden)
    await expect(ingest.json('/v1/devices', post({ deviceId: 'x' }))).rejects.toMatchObject(forbidden)
    await expect(provisioning.operator.json('/v1/feed')).rejects.toMatchObject(forbidden)
    expect((await fetch(`${provisioning.url}/v1/devices`)).status).toBe(401)
  })

  it('pushes each change to its followers at once', async () => {
    const follower = follow()
    await eventually(() => follower.events.find(({ type }) => type === 'snapshot'))

    const startMs = performance.now()
    await provisioning.operator.json('/v1/lots/pushed', put({ name: 'Pushed', capacities: [] }))

    const event = await eventually(() =>
      follower.events.find(({ type, data: lot }) => type === 'lot' && (lot as Lot).lotId === 'pushed'),
    )
    expect(event.atMs - startMs).toBeLessThan(1000)
    follower.stop()
  })

  it('revokes a credential: no new token with it, its followers told, the other one good', async () => {
    const first = await register('rotated')
    const { credential: second } = await provisioning.operator.json<IssuedCredential>(
      '/v1/devices/rotated/credentials',
      post(),
    )
    const follower = follow()
    await eventually(() => follower.events.length > 0)

    await provisioning.operator.json(`/v1/devices/rotated/credentials/${first.credentialId}`, {
      method: 'DELETE',
    })

    const event = await eventually(() => follower.events.find(({ type }) => type === 'revocation'))
    expect(event.data).toMatchObject({ of: 'credential', credentialId: first.credentialId })
    await expect(tokensOf(first, audiences.broker).get()).rejects.toMatchObject(refused)
    await expect(tokensOf(second, audiences.broker).get()).resolves.toMatchObject({
      token: expect.any(String),
    })
    follower.stop()
  })

  it('after a suspension issues no token, and after it is lifted none from before the revocation', async () => {
    const credential = await register('suspended')
    const follower = follow()
    await eventually(() => follower.events.length > 0)

    await provisioning.operator.json('/v1/devices/suspended/suspend', post())
    await expect(tokensOf(credential, audiences.broker).get()).rejects.toMatchObject(refused)
    await provisioning.operator.json('/v1/devices/suspended/resume', post())
    const { token } = await tokensOf(credential, audiences.broker).get()

    const revocation = await eventually(() =>
      follower.events.map((event) => (event.type === 'revocation' ? event.data : undefined)).find(Boolean),
    )
    const { issuedAtSec } = await verifierFor(audiences.broker).verify(token)
    expect(issuedAtSec).toBeGreaterThan(Math.floor(revocation.atMs / 1000))
    follower.stop()
  })

  it('refuses a revoked operator at once, and hangs up on a revoked follower', async () => {
    const { credential } = await provisioning.operator.json<IssuedCredential>(
      '/v1/clients',
      post({
        oauthClientId: 'leaver',
        kind: 'service',
        grants: [{ audience: audiences.provisioning, scopes: ['read:devices', 'read:feed'] }],
      }),
    )
    const { token } = await tokensOf(credential, audiences.provisioning).get()
    const headers = { authorization: `Bearer ${token}` }
    const feed = await fetch(`${provisioning.url}/v1/feed`, { headers })
    expect((await fetch(`${provisioning.url}/v1/lots`, { headers })).status).toBe(200)

    await provisioning.operator.json(`/v1/clients/leaver/credentials/${credential.credentialId}`, {
      method: 'DELETE',
    })

    expect((await fetch(`${provisioning.url}/v1/lots`, { headers })).status).toBe(401)
    // Ends: reading it to the end would hang on a stream that stays open.
    expect(await feed.text()).toContain('event: snapshot')
  })

  it('says in the audit log who did what', async () => {
    await register('audited')

    const { entries } = await provisioning.operator.json<{ entries: { verb: string; subject: string }[] }>(
      '/v1/audit',
      { query: { limit: 1 } },
    )

    expect(entries).toMatchObject([{ actor: 'operator', verb: 'device.registered', subject: 'audited' }])
  })

  it('writes no secret and no token into its log', async () => {
    const credential = await register('quiet')
    const { token } = await tokensOf(credential, audiences.broker).get()
    await eventually(() =>
      provisioning.program.lines.some((line) => line.includes('"oauthClientId":"quiet"')),
    )

    const log = provisioning.program.lines.join('\n')
    expect(log).not.toContain(credential.client_secret)
    expect(log).not.toContain(token)
    expect(log).not.toMatch(/lotsec_[A-Za-z0-9]/)
  })
})

describe('provisioning behind TLS', () => {
  it('serves over HTTPS and hands its private authority to those it gives credentials', async () => {
    const data = makeDataDir()
    const tls = join(data.path, 'tls')
    const args = ['tls', 'init', tls, '--server', 'provisioning:127.0.0.1']
    execFileSync(process.execPath, [join(root, 'dist/lotctl.mjs'), ...args])
    const program = await startProgram('provisioning', {
      env: {
        LOTWATCH_DATA: data.path,
        LOTWATCH_PROVISIONING_PORT: '0',
        LOTWATCH_PROVISIONING_TLS_CERT_FILE: join(tls, 'provisioning.pem'),
        LOTWATCH_PROVISIONING_TLS_KEY_FILE: join(tls, 'provisioning.key'),
        LOTWATCH_PROVISIONING_CA_FILE: join(tls, 'ca.pem'),
      },
    })
    const credential = readCredentialFile(join(data.path, 'operator.json'))
    const ca = readFileSync(join(tls, 'ca.pem'), 'utf8')

    const tokens = createTokenSource({
      credential,
      audience: audiences.ingest,
      fetch: createFetch({ ca: credential.ca ?? '' }),
      nowMs: () => performance.now(),
      random: Math.random,
    })

    expect(credential).toMatchObject({ issuer: program.ready.url, ca })
    expect(program.ready.url).toMatch(/^https:/)
    await expect(tokens.get()).resolves.toMatchObject({ token: expect.any(String) })
    await expect(tokensOf(credential, audiences.ingest).get()).rejects.toMatchObject({
      code: 'token.unavailable',
    })
    await program.stop()
    data.remove()
  })
})

describe('a restart of provisioning', () => {
  it('keeps registry, keys and credentials, and followers miss nothing', async () => {
    const data = makeDataDir()
    const port = String(await freePort())
    const env = { LOTWATCH_PROVISIONING_PORT: port }
    let provisioning = await startProvisioning(data.path, env)
    const files = ['operator.json', 'services/broker.json', 'services/ingest.json']
    const read = () => files.map((file) => readFileSync(join(data.path, file), 'utf8'))
    const keys = async () => (await fetch(`${provisioning.url}/.well-known/jwks.json`)).text()
    const before = [...read(), await keys()]
    const { credential } = await provisioning.operator.json<IssuedCredential>(
      '/v1/devices',
      post({ deviceId: 'd1' }),
    )
    const events: { type: string; data: string }[] = []
    const stream = followEvents({
      api: apiOf(provisioning.url, readCredentialFile(join(data.path, 'services/ingest.json'))),
      path: '/v1/feed',
      silentMs: 20_000,
      random: Math.random,
      onEvent: (event) => events.push(event),
    })
    await eventually(() => events.length > 0)

    await provisioning.program.kill()
    provisioning = await startProvisioning(data.path, env)
    await provisioning.operator.json('/v1/lots/after', put({ name: 'After', capacities: [] }))

    await eventually(() => events.some(({ type }) => type === 'lot'))
    expect(events.map(({ type }) => type)).toEqual(['snapshot', 'lot'])
    expect([...read(), await keys()]).toEqual(before)
    await expect(tokensOf(credential, audiences.broker).get()).resolves.toBeDefined()
    stream.stop()
    expect(await provisioning.program.stop()).toBe(0)
    data.remove()
  })

  it('gives a service whose file was lost a new credential, and leaves the others', async () => {
    const data = makeDataDir()
    const first = await startProvisioning(data.path)
    const operator = readCredentialFile(join(data.path, 'operator.json'))
    const broker = readCredentialFile(join(data.path, 'services/broker.json'))
    await first.program.stop()
    rmSync(join(data.path, 'services/broker.json'))

    const second = await startProvisioning(data.path)

    const renewed = readCredentialFile(join(data.path, 'services/broker.json'))
    expect(renewed.credentialId).not.toBe(broker.credentialId)
    await expect(tokensOf(renewed, audiences.ingest).get()).resolves.toBeDefined()
    expect(readCredentialFile(join(data.path, 'operator.json')).client_secret).toBe(operator.client_secret)
    await second.program.stop()
    data.remove()
  })

  it('gives a service whose credential was rotated a new one, before the old one ends', async () => {
    const data = makeDataDir()
    const env = { LOTWATCH_PROVISIONING_PORT: String(await freePort()) }
    const first = await startProvisioning(data.path, env)
    const ingest = readCredentialFile(join(data.path, 'services/ingest.json'))
    await first.operator.json('/v1/clients/ingest/rotate', post({ graceSec: 600 }))
    await first.program.stop()

    const second = await startProvisioning(data.path, env)

    const renewed = readCredentialFile(join(data.path, 'services/ingest.json'))
    expect(renewed.credentialId).not.toBe(ingest.credentialId)
    for (const credential of [ingest, renewed])
      await expect(tokensOf(credential, audiences.provisioning).get()).resolves.toBeDefined()
    await second.program.stop()
    data.remove()
  })

  it('under another address rewrites the credential files with it and keeps their secrets', async () => {
    const data = makeDataDir()
    const first = await startProvisioning(data.path)
    const before = readCredentialFile(join(data.path, 'operator.json'))
    await first.program.stop()

    const second = await startProvisioning(data.path, {
      LOTWATCH_PROVISIONING_ISSUER_URL: 'https://lots.example/auth/',
    })

    expect(readCredentialFile(join(data.path, 'operator.json'))).toEqual({
      ...before,
      issuer: 'https://lots.example/auth/',
      token_endpoint: 'https://lots.example/auth/oauth/token',
    })
    expect(second.program.ready).toMatchObject({ issuer: 'https://lots.example/auth/' })
    await second.program.stop()
    data.remove()
  })
})

describe('provisioning that cannot start', () => {
  const start = (dataDir: string, env: Record<string, string>) =>
    startProgram('provisioning', { env: { LOTWATCH_DATA: dataDir, ...env } }).then(
      async (program) => {
        await program.stop()
        return 'it started'
      },
      (error: Error) => error.message,
    )

  it('because its port is taken names the port and the setting', async () => {
    const [first, second] = [makeDataDir(), makeDataDir()]
    const { program } = await startProvisioning(first.path)
    const port = String(program.ready.port)

    const message = await start(second.path, { LOTWATCH_PROVISIONING_PORT: port })

    expect(message).toContain('ended with 78')
    expect(message).toMatch(new RegExp(`port ${port} .* is taken; LOTWATCH_PROVISIONING_PORT`))
    await program.stop()
    first.remove()
    second.remove()
  })

  it('because another one has the data folder says so', async () => {
    const data = makeDataDir()
    const { program } = await startProvisioning(data.path)

    const message = await start(data.path, { LOTWATCH_PROVISIONING_PORT: '0' })

    expect(message).toContain('ended with 78')
    expect(message).toContain('another process has')
    await program.stop()
    data.remove()
  })

  it('because its data folder cannot be made says which setting chose it', async () => {
    const data = makeDataDir()
    const path = join(data.path, 'a-file')
    writeFileSync(path, '')

    const message = await start(join(path, 'data'), { LOTWATCH_PROVISIONING_PORT: '0' })

    expect(message).toContain('ended with 78')
    expect(message).toContain('LOTWATCH_DATA')
    data.remove()
  })

  it('because several settings are wrong names all of them at once', async () => {
    const data = makeDataDir()

    const message = await start(data.path, {
      LOTWATCH_PROVISIONING_PORT: 'eighty',
      LOTWATCH_PROVISIONING_TOKEN_LIFE_SEC: '0',
      LOTWATCH_PROVISIONING_TOKN: 'x',
    })

    expect(message).toContain('ended with 78')
    for (const setting of ['_PORT:', '_TOKEN_LIFE_SEC:', '_TOKN:'])
      expect(message).toContain(`LOTWATCH_PROVISIONING${setting}`)
    data.remove()
  })

  it('because plaintext would leave the machine says what to set', async () => {
    const data = makeDataDir()

    const message = await start(data.path, {
      LOTWATCH_PROVISIONING_HOST: '0.0.0.0',
      LOTWATCH_PROVISIONING_PORT: '0',
      LOTWATCH_PROVISIONING_ISSUER_URL: 'https://lots.example',
    })

    expect(message).toContain('ended with 78')
    expect(message).toContain('LOTWATCH_PROVISIONING_HOST')
    data.remove()
  })
})
