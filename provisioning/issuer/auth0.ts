/**
 * Auth0 as the issuer for devices: each is an application of the tenant, with its grants, made and changed through the
 * Management API. Services and people stay with our own authorization server.
 */
import { createPublicKey, type JsonWebKey } from 'node:crypto'
import type { Client } from '../../core/contract/client.ts'
import { credentialIdPattern } from '../../core/contract/credential.ts'
import { FleetError } from '../../core/contract/errors.ts'
import { makeSecret, type SecretHasher } from '../oauth/secret.ts'
import type { ClientKey } from '../public-key.ts'
import type { Management } from './auth0-management.ts'
import type { ClientDirectory, CredentialWanted, Issuer, NewCredential } from './issuer.ts'

export interface Auth0Options {
  /** Ours, for every client that is no device. */
  readonly own: Issuer
  /** Of the tenant, without a slash at the end. */
  readonly url: string
  readonly management: Management
  readonly hash: SecretHasher
  readonly randomBytes: (count: number) => Uint8Array
}

type Ask = ReturnType<Management['begin']>

const perPage = 100
/** Applications made here are remembered, so that a registration that failed after that finds its own again. */
const rememberedMax = 10_000
const fits = new RegExp(credentialIdPattern)

export function createAuth0Issuer(options: Auth0Options): Issuer {
  const { own, url, management, hash, randomBytes } = options
  /** By oauthClientId; undefined: Auth0 was asked to make it, and did not say whether it has. */
  const made = new Map<string, string | undefined>()
  const newSecret = () => makeSecret(randomBytes(32))

  function remember(oauthClientId: string, applicationId: string | undefined): void {
    made.delete(oauthClientId)
    made.set(oauthClientId, applicationId)
    const [oldest] = made.keys()
    if (made.size > rememberedMax && oldest !== undefined) made.delete(oldest)
  }

  async function create(ask: Ask, client: Client): Promise<string> {
    const { oauthClientId } = client
    if (made.has(oauthClientId) && made.get(oauthClientId) === undefined) {
      const found = await find(ask, oauthClientId)
      if (found !== undefined) return found
    }
    remember(oauthClientId, undefined)
    const { status, body } = await ask({
      step: 'creating the application',
      method: 'POST',
      path: '/clients',
      body: {
        ...applicationOf(client),
        app_type: 'non_interactive',
        token_endpoint_auth_method: 'client_secret_post',
      },
      expected: [409],
      once: true,
    })
    const applicationId = status === 409 ? await find(ask, oauthClientId) : memberOf(body, 'client_id')
    if (applicationId === undefined) throw unreadable('creating the application')
    return applicationId
  }

  /** @returns what it is called there */
  async function putApplication(ask: Ask, client: Client): Promise<string> {
    const known = client.issuerClientId ?? made.get(client.oauthClientId)
    if (known !== undefined) {
      const { status } = await ask({
        step: 'changing the application',
        method: 'PATCH',
        path: `/clients/${encodeURIComponent(known)}`,
        body: applicationOf(client),
        expected: [404],
      })
      // Somebody has removed it there: it is made anew.
      if (status !== 404) return known
    }
    const applicationId = await create(ask, client)
    remember(client.oauthClientId, applicationId)
    return applicationId
  }

  const directory: ClientDirectory = {
    async put(client) {
      if (client.kind !== 'device') return {}
      const ask = management.begin()
      const issuerClientId = await putApplication(ask, client)
      await putGrants(ask, issuerClientId, client)
      return { issuerClientId }
    },

    async removeCredential({ issuerClientId }, credentialId) {
      if (issuerClientId === undefined) return
      const ask = management.begin()
      const keys = await keysOf(ask, issuerClientId)
      if (keys.some(({ id }) => id === credentialId)) {
        const left = keys.filter(({ id }) => id !== credentialId)
        // An application must be able to authenticate somehow: without a key, by a secret that nobody has.
        await (left.length > 0
          ? useKeys(ask, issuerClientId, left)
          : useSecret(ask, issuerClientId, newSecret(), null))
        await removeKey(ask, issuerClientId, credentialId)
        return
      }
      const { body } = await ask({
        step: 'reading the application',
        method: 'GET',
        path: `/clients/${encodeURIComponent(issuerClientId)}?fields=client_metadata&include_fields=true`,
        expected: [404],
      })
      // An older secret than the one it has was void already.
      if (
        memberOf((body as { client_metadata?: unknown })?.client_metadata, 'credential_id') === credentialId
      )
        await useSecret(ask, issuerClientId, newSecret(), null)
    },

    async endCredential({ issuerClientId }, credentialId, atMs) {
      if (issuerClientId === undefined) return
      const ask = management.begin()
      if (!(await keysOf(ask, issuerClientId)).some(({ id }) => id === credentialId)) return
      await ask({
        step: 'letting a key expire',
        method: 'PATCH',
        path: `/clients/${encodeURIComponent(issuerClientId)}/credentials/${encodeURIComponent(credentialId)}`,
        body: { expires_at: new Date(atMs).toISOString() },
      })
    },

    async remove({ oauthClientId, issuerClientId }) {
      made.delete(oauthClientId)
      if (issuerClientId === undefined) return
      await management.begin()({
        step: 'removing the application',
        method: 'DELETE',
        path: `/clients/${encodeURIComponent(issuerClientId)}`,
        expected: [404],
      })
    },
  }

  return {
    issuer: own.issuer,
    tokenEndpoint: own.tokenEndpoint,
    directory,

    refuseUnusable({ kind }, { publicKey, expiresAtMs }) {
      if (kind !== 'device') return
      if (publicKey !== undefined && publicKey.jwk.kty !== 'RSA')
        throw invalid('publicKey: Auth0 takes RSA keys only')
      if (publicKey === undefined && expiresAtMs !== null)
        throw invalid('expiresAtMs: a secret of Auth0 does not expire; a key may')
    },

    async issueCredential(client, wanted) {
      const { issuerClientId } = client
      if (client.kind !== 'device') return own.issueCredential(client, wanted)
      if (issuerClientId === undefined) throw new Error(`${client.oauthClientId} was not put into Auth0`)
      const ask = management.begin()
      const issuedBy = { issuer: `${url}/`, tokenEndpoint: `${url}/oauth/token` }
      const { publicKey, expiresAtMs } = wanted
      if (publicKey !== undefined) {
        const credentialId = await addKey(ask, issuerClientId, publicKey, wanted)
        const { jwk, thumbprint } = publicKey
        return {
          clientSecret: undefined,
          stored: { of: 'key', credentialId, publicKey: jwk, thumbprint, expiresAtMs },
          issuedBy: { ...issuedBy, authMethod: 'private_key_jwt' },
          ends: ['secret'],
        }
      }
      // Made here, so that logs and scanners know it for a secret; Auth0's own is never asked for.
      const clientSecret = newSecret()
      const credentialId = `cred_${Buffer.from(randomBytes(12)).toString('base64url')}`
      const keys = await keysOf(ask, issuerClientId)
      await useSecret(ask, issuerClientId, clientSecret, credentialId)
      for (const { id } of keys) await removeKey(ask, issuerClientId, id)
      return {
        clientSecret,
        // The digest of something else: the secret is good at Auth0, and not here.
        stored: { of: 'secret', credentialId, digest: hash(newSecret()), expiresAtMs },
        issuedBy: { ...issuedBy, authMethod: 'client_secret_post' },
        ends: ['secret', 'key'],
      } satisfies NewCredential
    },
  }
}

function applicationOf({ oauthClientId, name, grantTypes }: Client): object {
  return {
    // Auth0 takes no angle brackets in names.
    name: name.replace(/[<>]/g, ' '),
    description: 'A device of Lotwatch; changed by its provisioning.',
    grant_types: grantTypes,
    client_metadata: { device_id: oauthClientId },
  }
}

/** By what we wrote into it; names are not unique there. */
async function find(ask: Ask, oauthClientId: string): Promise<string | undefined> {
  for (let page = 0; ; page++) {
    const { body } = await ask({
      step: 'looking for the application',
      method: 'GET',
      path: `/clients?fields=client_id,client_metadata&include_fields=true&app_type=non_interactive&per_page=${perPage}&page=${page}`,
    })
    const found = listOf(body, 'clients')
    const own = found.find((one) => memberOf(one.client_metadata, 'device_id') === oauthClientId)
    if (own !== undefined) return memberOf(own, 'client_id')
    if (found.length < perPage) return undefined
  }
}

async function putGrants(ask: Ask, applicationId: string, client: Client): Promise<void> {
  const present = await grantsOf(ask, applicationId)
  for (const { audience, scopes } of client.grants) {
    const scope = [...scopes]
    const there = present.find((one) => one.audience === audience)
    if (there !== undefined) {
      await setScopes(ask, there, scope)
      continue
    }
    const { status } = await ask({
      step: `granting ${audience}`,
      method: 'POST',
      path: '/client-grants',
      body: { client_id: applicationId, audience, scope },
      expected: [409],
    })
    if (status !== 409) continue
    const made = (await grantsOf(ask, applicationId)).find((one) => one.audience === audience)
    if (made === undefined) throw unreadable(`granting ${audience}`)
    await setScopes(ask, made, scope)
  }
  for (const { id, audience } of present) {
    if (client.grants.some((one) => one.audience === audience)) continue
    await ask({
      step: `revoking the grant for ${audience}`,
      method: 'DELETE',
      path: `/client-grants/${encodeURIComponent(id)}`,
      expected: [404],
    })
  }
}

interface Grant {
  readonly id: string
  readonly audience: string
  readonly scopes: readonly unknown[]
}

async function grantsOf(ask: Ask, applicationId: string): Promise<readonly Grant[]> {
  const all: Grant[] = []
  for (let page = 0; ; page++) {
    const { body } = await ask({
      step: 'reading the grants',
      method: 'GET',
      path: `/client-grants?client_id=${encodeURIComponent(applicationId)}&per_page=${perPage}&page=${page}`,
    })
    const found = listOf(body, 'client_grants')
    for (const one of found) {
      const [id, audience] = [memberOf(one, 'id'), memberOf(one, 'audience')]
      if (id === undefined || audience === undefined) throw unreadable('reading the grants')
      all.push({ id, audience, scopes: Array.isArray(one.scope) ? one.scope : [] })
    }
    if (found.length < perPage) return all
  }
}

async function setScopes(ask: Ask, { id, audience, scopes }: Grant, scope: readonly string[]): Promise<void> {
  if (scopes.length === scope.length && scope.every((one) => scopes.includes(one))) return
  await ask({
    step: `changing the grant for ${audience}`,
    method: 'PATCH',
    path: `/client-grants/${encodeURIComponent(id)}`,
    body: { scope },
  })
}

interface Key {
  readonly id: string
  readonly name: string | undefined
}

async function keysOf(ask: Ask, applicationId: string): Promise<readonly Key[]> {
  const { body } = await ask({
    step: 'reading the keys',
    method: 'GET',
    path: `/clients/${encodeURIComponent(applicationId)}/credentials`,
    expected: [404],
  })
  return listOf(body, 'credentials').flatMap((one) => {
    const id = memberOf(one, 'id')
    return id === undefined ? [] : [{ id, name: memberOf(one, 'name') }]
  })
}

/** A key that is there already is not sent again. @returns what it is called there */
async function addKey(
  ask: Ask,
  applicationId: string,
  { jwk, thumbprint }: ClientKey,
  { expiresAtMs }: CredentialWanted,
): Promise<string> {
  const present = await keysOf(ask, applicationId)
  const known = present.find(({ name }) => name === thumbprint)
  if (known !== undefined) {
    await useKeys(ask, applicationId, present)
    return known.id
  }
  const step = 'adding the key'
  const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' }) // parsed and checked when it came in
  const { body } = await ask({
    step,
    method: 'POST',
    path: `/clients/${encodeURIComponent(applicationId)}/credentials`,
    body: {
      credential_type: 'public_key',
      name: thumbprint,
      pem: key.export({ format: 'pem', type: 'spki' }),
      alg: jwk.alg === 'PS256' ? 'PS256' : 'RS256',
      ...(expiresAtMs === null ? {} : { expires_at: new Date(expiresAtMs).toISOString() }),
    },
    once: true,
  })
  const id = memberOf(body, 'id')
  if (id === undefined || !fits.test(id)) throw unreadable(step)
  await useKeys(ask, applicationId, [...present, { id, name: thumbprint }])
  return id
}

/** From now on these keys authenticate it, and no secret. */
async function useKeys(ask: Ask, applicationId: string, keys: readonly Key[]): Promise<void> {
  await ask({
    step: 'authenticating it by keys',
    method: 'PATCH',
    path: `/clients/${encodeURIComponent(applicationId)}`,
    body: {
      token_endpoint_auth_method: null,
      client_authentication_methods: { private_key_jwt: { credentials: keys.map(({ id }) => ({ id })) } },
      client_metadata: { credential_id: null },
    },
  })
}

/**
 * From now on this secret authenticates it, and no key.
 * @param credentialId what the registry calls it; null: nobody has it
 */
async function useSecret(
  ask: Ask,
  applicationId: string,
  clientSecret: string,
  credentialId: string | null,
): Promise<void> {
  await ask({
    step: 'authenticating it by a secret',
    method: 'PATCH',
    path: `/clients/${encodeURIComponent(applicationId)}`,
    body: {
      client_secret: clientSecret,
      client_authentication_methods: null,
      token_endpoint_auth_method: 'client_secret_post',
      client_metadata: { credential_id: credentialId },
    },
  })
}

async function removeKey(ask: Ask, applicationId: string, id: string): Promise<void> {
  await ask({
    step: 'removing a key',
    method: 'DELETE',
    path: `/clients/${encodeURIComponent(applicationId)}/credentials/${encodeURIComponent(id)}`,
    expected: [404],
  })
}

/** With and without totals, lists come as an object and as a list. */
function listOf(body: unknown, member: string): readonly Readonly<Record<string, unknown>>[] {
  const list = Array.isArray(body) ? body : ((body ?? {}) as Record<string, unknown>)[member]
  return Array.isArray(list) ? list : []
}

function memberOf(body: unknown, member: string): string | undefined {
  const value = ((body ?? {}) as Record<string, unknown>)[member]
  return typeof value === 'string' && value !== '' ? value : undefined
}

function unreadable(step: string): FleetError {
  const safeDetail = `Auth0 answered with something else: ${step}`
  return new FleetError('issuer.unavailable', safeDetail, { safeDetail })
}

function invalid(safeDetail: string): FleetError {
  return new FleetError('request.invalid', safeDetail, { safeDetail })
}
