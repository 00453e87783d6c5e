/**
 * A stand-in for a tenant of Auth0 that speaks what it documents of its token endpoint, its keys and its Management API,
 * for the grant and the objects that matter here; with an Action that adds `device_id`, as docs/auth0.md has it.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { decodeJwt, exportJWK, generateKeyPair, importSPKI, jwtVerify, SignJWT } from 'jose'
import { audiences } from '../../core/contract/principal.ts'
import { root } from '../../scripts/build.mjs'

export interface Application {
  client_id: string
  name: string
  client_secret: string
  grant_types: string[]
  token_endpoint_auth_method: string | null
  client_authentication_methods: { private_key_jwt: { credentials: { id: string }[] } } | null
  client_metadata: Record<string, string>
  credentials: { id: string; name: string; pem: string; alg: string; expires_at?: string }[]
}
export interface Grant {
  id: string
  client_id: string
  audience: string
  scope: string[]
}

/** The next calls that fit are answered so, or not at all. */
export interface Fault {
  /** `POST /clients`, the beginning of method and path. */
  readonly on: string
  times: number
  /** Undefined: the connection is cut. */
  readonly status: number | undefined
  readonly headers?: Readonly<Record<string, string>>
  /** It is done before the answer goes wrong. */
  readonly isDone?: boolean
}

export interface Auth0StandIn {
  /** Without a slash at the end. */
  readonly url: string
  readonly management: { readonly oauthClientId: string; readonly clientSecret: string }
  readonly applications: Map<string, Application>
  readonly grants: Map<string, Grant>
  readonly faults: Fault[]
  /** Method and path of every call, oldest first, without `/api/v2`. */
  readonly calls: string[]
  /** Management tokens that were given out. */
  managementTokens: number
  /** Those given out so far are refused. */
  forgetTokens(): void
  of(deviceId: string): Application
  stop(): Promise<void>
}

type Body = Record<string, unknown>
const perPageDefault = 50

export async function startAuth0(): Promise<Auth0StandIn> {
  const { privateKey, publicKey } = await generateKeyPair('RS256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'tenant-key', alg: 'RS256', use: 'sig' }
  const management = { oauthClientId: 'management-app', clientSecret: 'management-secret-of-the-tenant' }
  const apis = new Map([[audiences.broker as string, ['publish:readings', 'receive:commands']]])
  let good = new Set<string>()
  const usedAssertions = new Set<string>()

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => answer(response, 500, { message: String(error) }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  const url = `http://127.0.0.1:${address.port}`

  const tenant: Auth0StandIn = {
    url,
    management,
    applications: new Map(),
    grants: new Map(),
    faults: [],
    calls: [],
    managementTokens: 0,
    forgetTokens() {
      good = new Set()
    },
    of(deviceId) {
      const own = [...tenant.applications.values()].filter(
        (one) => one.client_metadata.device_id === deviceId,
      )
      if (own.length !== 1 || own[0] === undefined)
        throw new Error(`${own.length} applications of ${deviceId}`)
      return own[0]
    },
    async stop() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = await bodyOf(request)
    const { pathname, searchParams } = new URL(request.url ?? '/', url)
    if (pathname === '/.well-known/openid-configuration')
      return answer(response, 200, { issuer: `${url}/`, jwks_uri: `${url}/.well-known/jwks.json` })
    if (pathname === '/.well-known/jwks.json') return answer(response, 200, { keys: [jwk] })
    if (pathname === '/oauth/token') return token(new URLSearchParams(text), response)
    if (!pathname.startsWith('/api/v2/')) return answer(response, 404, {})

    const path = pathname.slice('/api/v2'.length)
    const call = `${request.method} ${path}`
    tenant.calls.push(call)
    const fault = tenant.faults.find(({ on, times }) => times > 0 && call.startsWith(on))
    if (fault !== undefined) fault.times--
    if (fault === undefined || fault.isDone === true) {
      const [status, body] = good.has(request.headers.authorization ?? '')
        ? manage(
            request.method ?? '',
            path.split('/').slice(1),
            searchParams,
            text === '' ? {} : JSON.parse(text),
          )
        : ([401, error(401, 'Unauthorized')] as const)
      if (fault === undefined) return answer(response, status, body)
    }
    if (fault.status === undefined) return void response.destroy()
    answer(response, fault.status, error(fault.status, 'injected'), fault.headers)
  }

  async function token(form: URLSearchParams, response: ServerResponse): Promise<void> {
    const [clientId, audience] = [form.get('client_id') ?? '', form.get('audience') ?? '']
    if (audience === `${url}/api/v2/`) {
      if (clientId !== management.oauthClientId || form.get('client_secret') !== management.clientSecret)
        return answer(response, 401, { error: 'access_denied', error_description: 'Unauthorized' })
      tenant.managementTokens++
      const accessToken = randomUUID()
      good.add(`Bearer ${accessToken}`)
      return answer(response, 200, { access_token: accessToken, token_type: 'Bearer', expires_in: 86_400 })
    }
    const application = tenant.applications.get(clientId)
    if (application === undefined || !(await proves(application, form)))
      return answer(response, 401, { error: 'access_denied', error_description: 'Unauthorized' })
    if (!application.grant_types.includes('client_credentials'))
      return answer(response, 403, {
        error: 'unauthorized_client',
        error_description: "Grant type 'client_credentials' not allowed for the client.",
        error_uri: 'https://auth0.com/docs/clients/client-grant-types',
      })
    const grant = [...tenant.grants.values()].find(
      (one) => one.client_id === clientId && one.audience === audience,
    )
    if (grant === undefined)
      return answer(response, 403, {
        error: 'access_denied',
        error_description: `Client is not authorized to access "${audience}". You need to create a "client-grant" associated to this API. See: https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants`,
      })
    const scope = grant.scope.join(' ')
    const accessToken = await new SignJWT({
      ...(await claimsByAction(application.client_metadata, audience)),
      scope,
      gty: 'client-credentials',
      azp: clientId,
    })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: 'tenant-key' })
      .setIssuer(`${url}/`)
      .setSubject(`${clientId}@clients`)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime('24h')
      .sign(privateKey)
    answer(response, 200, { access_token: accessToken, scope, expires_in: 86_400, token_type: 'Bearer' })
  }

  async function proves(application: Application, form: URLSearchParams): Promise<boolean> {
    const methods = application.client_authentication_methods?.private_key_jwt.credentials
    const assertion = form.get('client_assertion')
    if (methods === undefined)
      return (
        application.token_endpoint_auth_method === 'client_secret_post' &&
        form.get('client_secret') === application.client_secret
      )
    if (assertion === null || assertion.length > 2048) return false
    const { jti = '' } = decodeJwt(assertion)
    for (const { id, pem, alg, expires_at: end } of application.credentials) {
      if (!methods.some((one) => one.id === id) || (end !== undefined && Date.parse(end) <= Date.now()))
        continue
      const claims = { issuer: application.client_id, subject: application.client_id, audience: `${url}/` }
      const isSigned = await jwtVerify(assertion, await importSPKI(pem, alg), {
        algorithms: [alg],
        ...claims,
      })
        .then(() => true)
        .catch(() => false) // not with this key
      if (!isSigned || usedAssertions.has(jti)) continue
      usedAssertions.add(jti)
      return true
    }
    return false
  }

  function manage(
    method: string,
    [collection, id, part, partId]: readonly (string | undefined)[],
    query: URLSearchParams,
    body: Body,
  ): readonly [number, unknown?] {
    if (collection === 'client-grants') return manageGrants(method, id, query, body)
    if (collection !== 'clients') return [404, error(404, 'Not Found')]
    if (id === undefined && method === 'POST') {
      const made: Application = {
        client_id: randomUUID().replaceAll('-', '').slice(0, 32),
        name: '',
        client_secret: randomUUID() + randomUUID(),
        grant_types: ['client_credentials'],
        token_endpoint_auth_method: 'client_secret_post',
        client_authentication_methods: null,
        client_metadata: {},
        credentials: [],
      }
      const fault = change(made, body)
      if (fault !== undefined) return [400, error(400, 'invalid_body', fault)]
      tenant.applications.set(made.client_id, made)
      return [201, shown(made)]
    }
    if (id === undefined) return [200, paged([...tenant.applications.values()].map(shown), query)]
    const application = tenant.applications.get(id)
    if (application === undefined) {
      if (method === 'DELETE') return [204]
      return [404, error(404, 'inexistent_client')]
    }
    if (part === 'credentials') return manageCredentials(application, method, partId, body)
    if (method === 'GET') return [200, shown(application)]
    if (method === 'PATCH') {
      const fault = change(application, body)
      return fault === undefined ? [200, shown(application)] : [400, error(400, 'invalid_body', fault)]
    }
    tenant.applications.delete(id)
    for (const grant of tenant.grants.values()) if (grant.client_id === id) tenant.grants.delete(grant.id)
    return [204]
  }

  function manageGrants(
    method: string,
    id: string | undefined,
    query: URLSearchParams,
    body: Body,
  ): readonly [number, unknown?] {
    const all = [...tenant.grants.values()]
    if (method === 'GET')
      return [
        200,
        paged(
          all.filter((one) => one.client_id === query.get('client_id')),
          query,
        ),
      ]
    if (method === 'DELETE') {
      tenant.grants.delete(id ?? '')
      return [204]
    }
    const before = id === undefined ? undefined : tenant.grants.get(id)
    const wanted = { ...before, ...body } as Grant // checked below, as far as it matters
    const known = apis.get(wanted.audience)
    if (known === undefined) return [404, error(404, 'inexistent_resource_server')]
    if (!wanted.scope.every((scope) => known.includes(scope))) return [400, error(400, 'invalid_scope')]
    if (
      before === undefined &&
      all.some((one) => one.client_id === wanted.client_id && one.audience === wanted.audience)
    )
      return [409, error(409, 'Conflict')]
    const grant = { ...wanted, id: before?.id ?? `cgr_${randomUUID().slice(0, 8)}` }
    tenant.grants.set(grant.id, grant)
    return [before === undefined ? 201 : 200, grant]
  }

  function manageCredentials(
    application: Application,
    method: string,
    id: string | undefined,
    body: Body,
  ): readonly [number, unknown?] {
    const { credentials } = application
    if (method === 'GET') return [200, credentials]
    if (method === 'POST') {
      if (!['RS256', 'RS384', 'PS256'].includes(String(body.alg)))
        return [400, error(400, 'invalid_body', 'alg')]
      if (credentials.some(({ pem }) => pem === body.pem)) return [409, error(409, 'Conflict')]
      const made = { ...body, id: `cred_${randomUUID().slice(0, 12)}` } as Application['credentials'][number] // as sent
      credentials.push(made)
      return [201, made]
    }
    const held = credentials.find((one) => one.id === id)
    if (held === undefined) return [404, error(404, 'inexistent_credential')]
    if (method === 'PATCH') {
      held.expires_at = String(body.expires_at)
      return [200, held]
    }
    const used = application.client_authentication_methods?.private_key_jwt.credentials ?? []
    if (used.some((one) => one.id === id)) return [409, error(409, 'credential_in_use')]
    credentials.splice(credentials.indexOf(held), 1)
    return [204]
  }

  return tenant
}

/** What the Action adds that docs/auth0.md gives out, run as it stands there. */
async function claimsByAction(metadata: Readonly<Record<string, string>>, identifier: string): Promise<Body> {
  const page = readFileSync(join(root, 'docs/auth0.md'), 'utf8')
  const action = /^```js\n(.*?)^```/ms.exec(page)?.[1]
  if (action === undefined) throw new Error('docs/auth0.md has no Action')
  const claims: Body = {}
  const api = {
    accessToken: {
      setCustomClaim(name: string, value: unknown) {
        claims[name] = value
      },
    },
  }
  const event = { client: { metadata }, resource_server: { identifier } }
  await runInNewContext(`const exports = {};\n${action}\nexports.onExecuteCredentialsExchange(event, api)`, {
    event,
    api,
  })
  return claims
}

/** @returns what is wrong with it */
function change(application: Application, body: Body): string | undefined {
  const next = { ...application, ...body } as Application // members of the documented types
  const methods = next.client_authentication_methods
  if ((next.token_endpoint_auth_method === null) === (methods === null))
    return 'token_endpoint_auth_method or client_authentication_methods'
  const ids = methods?.private_key_jwt.credentials.map(({ id }) => id) ?? []
  if (methods !== null && ids.length === 0) return 'private_key_jwt without credentials'
  if (!ids.every((id) => application.credentials.some((one) => one.id === id))) return 'no such credential'
  if (/[<>]/.test(next.name)) return 'name'
  const metadata = Object.entries({ ...application.client_metadata, ...next.client_metadata })
  next.client_metadata = Object.fromEntries(metadata.filter(([, value]) => value !== null))
  Object.assign(application, next)
  return undefined
}

/** Without what needs `read:client_keys`. */
function shown({ client_secret: _, credentials: __, ...rest }: Application): Body {
  return rest
}

function paged<Item>(all: readonly Item[], query: URLSearchParams): readonly Item[] {
  const perPage = Number(query.get('per_page') ?? perPageDefault)
  const from = Number(query.get('page') ?? 0) * perPage
  return all.slice(from, from + perPage)
}

function error(statusCode: number, errorCode: string, message = errorCode): Body {
  return { statusCode, error: 'Error', message, errorCode }
}

function answer(
  response: ServerResponse,
  status: number,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(body === undefined ? undefined : JSON.stringify(body))
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) body += chunk
  return body
}
