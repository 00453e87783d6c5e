/**
 * Clients and verifiers of others, unmodified, over HTTPS with our own authority: two APIs, one in the profile of
 * RFC 9068 and one as Auth0 has them, and an issuer whose name ends in a slash.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { generateKeyPairSync, type JsonWebKey, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { initTls } from '../../cli/tls.ts'
import { createTokenSource } from '../../core/auth/token-source.ts'
import type { IssuedCredential } from '../../core/contract/client.ts'
import { audiences } from '../../core/contract/principal.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { type Api, createApi, createFetch } from '../../core/runtime/fetch.ts'
import { root } from '../../scripts/build.mjs'
import { freePort, makeDataDir, type Program, startProgram } from '../kit/program.ts'

const modern = 'https://tariffs.example/api'
const classic = 'https://classic.example/api/'
const scopes = ['read:tariffs', 'write:tariffs'].map((scope) => ({ scope, description: '' }))
const data = makeDataDir()
const tls = (name: string) => join(data.path, 'tls', name)
const children: ChildProcess[] = []
let program: Program
let issuer: string
let operator: Api
let keys: Record<'ES256' | 'EdDSA' | 'RSA', JsonWebKey>
let secret: string

interface Answer {
  readonly token?: string
  readonly error?: string
  readonly status?: number
}

/** A program of test/interop, as somebody else would run it: it knows our authority from the environment. */
async function start(name: string): Promise<ChildProcess> {
  const child = fork(join(root, 'test/interop', name), {
    env: { PATH: process.env.PATH, NODE_EXTRA_CA_CERTS: tls('ca.pem') },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  children.push(child)
  await heard(child)
  return child
}

async function tell<T>(child: ChildProcess, order: object): Promise<T> {
  child.send(order)
  return (await heard(child)) as T
}

async function heard(child: ChildProcess): Promise<unknown> {
  const [answer] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`it ended with ${code}`))),
  ])
  return answer
}

async function register(oauthClientId: string, publicKey?: JsonWebKey): Promise<string> {
  const grants = [modern, classic].map((audience) => ({ audience, scopes: ['read:tariffs'] }))
  const body = { oauthClientId, kind: 'service', grants, ...(publicKey === undefined ? {} : { publicKey }) }
  const issued = await operator.json<IssuedCredential>('/v1/clients', { method: 'POST', body })
  return issued.credential.client_secret ?? ''
}

async function startWith(errors: 'rfc' | 'auth0'): Promise<void> {
  const port = await freePort()
  issuer = `https://localhost:${port}/`
  program = await startProgram('provisioning', {
    env: {
      LOTWATCH_DATA: data.path,
      LOTWATCH_PROVISIONING_PORT: String(port),
      LOTWATCH_PROVISIONING_ISSUER_URL: issuer,
      LOTWATCH_PROVISIONING_TLS_CERT_FILE: tls('localhost.pem'),
      LOTWATCH_PROVISIONING_TLS_KEY_FILE: tls('localhost.key'),
      LOTWATCH_PROVISIONING_CA_FILE: tls('ca.pem'),
      LOTWATCH_PROVISIONING_ERRORS: errors,
    },
  })
  const credential = readCredentialFile(join(data.path, 'operator.json'))
  const fetch = createFetch({ ca: credential.ca as string })
  const tokens = createTokenSource({
    credential,
    audience: audiences.provisioning,
    fetch,
    nowMs: () => performance.now(),
    random: Math.random,
  })
  operator = createApi({
    baseUrl: issuer.slice(0, -1),
    tokens,
    fetch,
    unavailable: 'provisioning.unavailable',
  })
}

beforeAll(async () => {
  await initTls(join(data.path, 'tls'), {
    servers: [{ name: 'localhost', others: ['127.0.0.1'] }],
    days: 30,
    now: new Date(),
  })
  await startWith('rfc')
  const put = (audience: string, body: object) =>
    operator.json(`/v1/apis/${encodeURIComponent(audience)}`, { method: 'PUT', body: { scopes, ...body } })
  await put(modern, { name: 'Tariffs' })
  await put(classic, { name: 'Classic', dialect: 'auth0', alg: 'RS256' })
  const made = {
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    EdDSA: generateKeyPairSync('ed25519'),
    RSA: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  }
  keys = { ES256: {}, EdDSA: {}, RSA: {} }
  for (const name of ['ES256', 'EdDSA', 'RSA'] as const) {
    keys[name] = made[name].privateKey.export({ format: 'jwk' })
    await register(`key-${name}`, made[name].publicKey.export({ format: 'jwk' }))
  }
  secret = await register('shop')
}, 60_000)
afterAll(async () => {
  for (const child of children) child.kill()
  await program.stop()
  data.remove()
})

const ask = async (child: ChildProcess, more: object) =>
  (await tell<{ answers: Record<string, Answer> }>(child, { issuer, id: 'shop', secret, keys, ...more }))
    .answers

describe('clients and verifiers of others', () => {
  it('find the keys of an API before its first token, with a certificate for RSA', async () => {
    const { keys } = await operator.json<{ keys: Record<string, unknown>[] }>('/.well-known/jwks.json')
    expect(keys.map(({ alg, use }) => [alg, use])).toEqual([
      ['ES256', 'sig'],
      ['RS256', 'sig'],
    ])
    const x5c = keys[1]?.x5c as string[]
    const certificate = new X509Certificate(Buffer.from(x5c[0] ?? '', 'base64'))
    expect(certificate.publicKey.export({ format: 'jwk' })).toMatchObject({ n: keys[1]?.n, e: keys[1]?.e })
  })

  it('get tokens in either profile, and APIs in Express take them', async () => {
    const clients = await start('clients.mjs')
    const api = await start('api.mjs')
    const port = await tell<number>(api, { issuer, classic, modern })
    const call = (path: string, token: string | undefined) =>
      fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization: `Bearer ${token}` } })

    for (const [profile, audience] of [
      ['modern', modern],
      ['classic', classic],
    ] as const) {
      const answers = await ask(clients, { audience })
      expect(Object.keys(answers)).toHaveLength(13)
      for (const [name, { token, error }] of Object.entries(answers)) {
        expect([name, error]).toEqual([name, undefined])
        const id = name.includes('private_key_jwt') ? /^key-/ : /^shop$/
        const { sub, aud, iss, scope, azp, gty, client_id } = decodeJwt(token ?? '')
        const { typ, alg } = decodeProtectedHeader(token ?? '')
        expect([name, aud, iss, scope]).toEqual([name, audience, issuer, 'read:tariffs'])
        if (profile === 'classic') {
          expect([typ, alg, gty, sub]).toEqual(['JWT', 'RS256', 'client-credentials', `${azp}@clients`])
          expect(azp).toMatch(id)
        } else {
          expect([typ, alg, gty, sub]).toEqual(['at+jwt', 'ES256', undefined, client_id])
          expect(client_id).toMatch(id)
        }
        for (const verifier of ['jwks-rsa', 'bearer']) {
          const taken = await call(`/${verifier}/${profile}`, token)
          expect([name, verifier, taken.status], await taken.text()).toEqual([name, verifier, 200])
        }
      }
      // And they refuse what they should, so that a yes means something.
      const token = Object.values(answers)[0]?.token
      const other = profile === 'classic' ? 'modern' : 'classic'
      const forged = `${token?.slice(0, -8)}AAAAAAAA`
      for (const verifier of ['jwks-rsa', 'bearer']) {
        expect((await call(`/${verifier}/${other}`, token)).status).toBe(401)
        expect((await call(`/${verifier}/${profile}`, forged)).status).toBe(401)
      }
      if (profile === 'classic') expect((await call('/bearer/write', token)).status).toBe(403)
    }
  }, 90_000)

  it('read a refusal in the RFC’s words, and in Auth0’s where the setting says so', async () => {
    const clients = await start('clients.mjs')
    // So few that the brake holds nobody.
    const refused = async (id: string, only: readonly string[]) =>
      Object.entries(await ask(clients, { audience: modern, id, secret: 'lotsec_wrong', only })).map(
        ([name, { error }]) => [name, error],
      )
    const some = ['oauth4webapi, client_secret_post', 'openid-client', 'simple-oauth2, header']
    const auth0 = ['auth0, its own management', 'auth0, secret']
    expect(await refused('shop', [...some, '@badgateway/oauth2-client'])).toEqual(
      [...some, '@badgateway/oauth2-client'].map((name) => [name, 'invalid_client']),
    )

    await program.stop()
    await startWith('auth0')
    expect(await refused('shop', [...some, ...auth0])).toEqual(
      [...some, ...auth0].map((name) => [name, 'access_denied']),
    )
  }, 90_000)
})
