/** Every CONNECT that must be refused, against the real broker: its return code, its reason in the log, and no token in it. */
import { createHmac, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { audiences } from '../../core/contract/principal.ts'
import { type Issuer, startIssuer } from '../kit/issuer.ts'
import { RawClient } from '../kit/mqtt.ts'
import { eventually, freePort, makeDataDir, type Program, startProgram } from '../kit/program.ts'

const nowSec = () => Math.floor(Date.now() / 1000)
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('a CONNECT', () => {
  const folder = makeDataDir()
  let issuer: Issuer
  let stranger: Issuer
  let broker: Program
  let port: number

  beforeAll(async () => {
    issuer = await startIssuer({
      devices: [{ deviceId: 'held', name: 'held', state: 'suspended', registeredAtMs: 0, tags: [] }],
      revocations: [
        { of: 'credential', credentialId: 'cred_void', atMs: Date.now() },
        { of: 'token', tokenId: 'jti-void', atMs: Date.now() },
        { of: 'client', oauthClientId: 'client-void', atMs: Date.now() + 60_000 },
      ],
    })
    stranger = await startIssuer()
    const credentialFile = join(folder.path, 'broker.json')
    writeFileSync(credentialFile, JSON.stringify(issuer.credential('broker')), { mode: 0o600 })
    port = await freePort()
    broker = await startProgram('broker', {
      env: {
        LOTWATCH_BROKER_PORT: '0',
        LOTWATCH_BROKER_MQTT_PORT: String(port),
        LOTWATCH_BROKER_ISSUER_URL: issuer.url,
        LOTWATCH_BROKER_PROVISIONING_URL: issuer.url,
        LOTWATCH_BROKER_INGEST_URL: 'http://127.0.0.1:9',
        LOTWATCH_BROKER_CREDENTIAL_FILE: credentialFile,
      },
    })
    await eventually(() => broker.lines.some((line) => line.includes('feed.connected')))
  })
  afterAll(async () => {
    await broker.stop()
    await Promise.all([issuer.stop(), stranger.stop()])
    folder.remove()
  })

  const good = (claims: object = {}) => ({
    aud: audiences.broker,
    sub: 'gate-1',
    client_id: 'gate-1',
    device_id: 'gate-1',
    scope: 'publish:readings',
    cred: 'cred_1',
    ...claims,
  })

  async function answerTo(
    password: string | Buffer,
    names: { clientId?: string; username?: string } = {},
  ): Promise<number> {
    const client = await RawClient.connect(port, {
      clientId: 'gate-1',
      username: 'gate-1',
      password: Buffer.from(password),
      ...names,
    })
    try {
      const { returnCode = -1 } = await client.next('connack')
      if (returnCode !== 0) await client.closed()
      return returnCode
    } finally {
      client.close()
    }
  }
  const lastRefusal = () =>
    JSON.parse(broker.lines.filter((line) => line.includes('"connect.refused"')).at(-1) ?? '{}')

  it('with a good token is let in', async () => {
    expect(await answerTo(await issuer.sign(good()))).toBe(0)
  })

  it.each<[string, string, () => Promise<string>]>([
    ['for another audience', 'token.audience', () => issuer.sign(good({ aud: audiences.ingest }))],
    ['for no audience', 'token.audience', () => issuer.sign(good({ aud: undefined }))],
    ['of an issuer nobody trusts', 'token.issuer', () => stranger.sign(good())],
    [
      'of a stranger who claims our issuer',
      'token.signature',
      () => stranger.sign(good({ iss: issuer.url })),
    ],
    [
      'that has expired',
      'token.expired',
      () => issuer.sign(good({ iat: nowSec() - 900, exp: nowSec() - 31 })),
    ],
    ['that never expires', 'token.claims', () => issuer.sign(good({ exp: undefined }))],
    [
      'that lives a hundred years',
      'token.claims',
      () => issuer.sign(good({ exp: nowSec() + 3_000_000_000 })),
    ],
    [
      'issued tomorrow',
      'token.claims',
      () => issuer.sign(good({ iat: nowSec() + 86_400, exp: nowSec() + 90_000 })),
    ],
    ['without an identifier', 'token.claims', () => issuer.sign(good({ jti: undefined }))],
    ['of another kind', 'token.claims', () => issuer.sign(good(), { typ: 'JWT' })],
    ['that is no device’s', 'token.claims', () => issuer.sign(good({ device_id: undefined }))],
    ['with a device that breaks the grammar', 'token.claims', () => issuer.sign(good({ device_id: '../x' }))],
    ['of another device', 'device.mismatch', () => issuer.sign(good({ device_id: 'gate-2' }))],
    ['with rights that are no rules', 'token.claims', () => issuer.sign(good({ acl: ['everything'] }))],
    ['of a revoked credential', 'token.revoked', () => issuer.sign(good({ cred: 'cred_void' }))],
    ['that was revoked itself', 'token.revoked', () => issuer.sign(good({ jti: 'jti-void' }))],
    ['of a client revoked since', 'token.revoked', () => issuer.sign(good({ client_id: 'client-void' }))],
    [
      'signed by nobody',
      'token.malformed',
      async () =>
        `${encode({ alg: 'none', typ: 'at+jwt' })}.${encode({ ...good(), iss: issuer.url, iat: nowSec(), exp: nowSec() + 60, jti: 'x' })}.`,
    ],
    [
      'signed with the public key as a secret',
      'token.malformed',
      () => signedWithPublicKey(issuer.url, good()),
    ],
    ['that brings its own key', 'token.signature', () => signedWithOwnKey(issuer.url, good())],
    [
      'longer than any token',
      'token.malformed',
      async () => `${await issuer.sign(good())}${'A'.repeat(4096)}`,
    ],
    ['that is no token', 'token.malformed', async () => 'open sesame'],
    ['that is empty', 'token.missing', async () => ''],
  ])('with a token %s is refused, and the log says why', async (_what, code, token) => {
    expect(await answerTo(await token())).toBe(5)
    await eventually(
      () => lastRefusal().code === code || Promise.reject(new Error(`the log says ${lastRefusal().code}`)),
    )
  })

  it.each([
    ['another user name', { username: 'gate-2' }, 'device.mismatch'],
    ['another client identifier', { clientId: 'gate-2' }, 'device.mismatch'],
  ])('with %s than its token’s is refused', async (_what, names, code) => {
    expect(await answerTo(await issuer.sign(good()), names)).toBe(5)
    await eventually(() => lastRefusal().code === code)
  })

  it('of a suspended device is refused though its token is good', async () => {
    const token = await issuer.sign(good({ sub: 'held', client_id: 'held', device_id: 'held' }))
    expect(await answerTo(token, { clientId: 'held', username: 'held' })).toBe(5)
    await eventually(() => lastRefusal().code === 'device.held')
  })

  it('is cut within a second of the feed’s word', async () => {
    const client = await RawClient.connect(port, {
      password: Buffer.from(await issuer.sign(good({ cred: 'cred_soon' }))),
    })
    expect((await client.next('connack')).returnCode).toBe(0)
    issuer.push({
      type: 'revocation',
      data: { of: 'credential', credentialId: 'cred_soon', atMs: Date.now() },
    })
    await eventually(() => client.isClosed, 1000)
  })

  it('leaves no token in the log', () => {
    expect(broker.lines.length).toBeGreaterThan(10)
    for (const line of broker.lines) expect(line).not.toContain('eyJ')
  })
})

/** RFC 8725 §2.1: the public key, which everybody has, used as an HMAC secret. */
async function signedWithPublicKey(issuer: string, claims: object): Promise<string> {
  const { keys } = (await (await fetch(`${issuer}/jwks`)).json()) as {
    keys: [import('node:crypto').JsonWebKey]
  }
  const secret = createPublicKey({ key: keys[0], format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  const body = { iss: issuer, iat: nowSec(), exp: nowSec() + 60, jti: 'x', ...claims }
  const signed = `${encode({ alg: 'HS256', typ: 'at+jwt', kid: 'test' })}.${encode(body)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

/** RFC 8725 §3.10: a key in the header is not to be followed. */
async function signedWithOwnKey(issuer: string, claims: object): Promise<string> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { CompactSign } = await import('jose')
  const body = { iss: issuer, iat: nowSec(), exp: nowSec() + 60, jti: 'x', ...claims }
  return new CompactSign(Buffer.from(JSON.stringify(body)))
    .setProtectedHeader({
      alg: 'ES256',
      typ: 'at+jwt',
      kid: 'test',
      jwk: publicKey.export({ format: 'jwk' }) as import('jose').JWK,
    })
    .sign(privateKey)
}
