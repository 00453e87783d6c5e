/**
 * The far side of the wire for tests of one program: an issuer with its own key, a token endpoint that trusts
 * everybody, and a feed to push events into. What it signs may be anything, which is what attacks need.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import type { CredentialFile } from '../../core/contract/credential.ts'
import type { CommandOutcome, PresenceAnswer, PresenceReport } from '../../core/contract/downlink.ts'
import { type FeedEvent, type FeedSnapshot, feedBeatMs } from '../../core/contract/feed.ts'
import { scopesOf } from '../../core/contract/principal.ts'

/** Of a registry in which there is nothing yet. */
export const emptySnapshot: FeedSnapshot = {
  lots: [],
  devices: [],
  assignments: [],
  revocations: [],
  configs: [],
  commands: [],
  presence: [],
}

export interface Issuer {
  readonly url: string
  /** A token as ours are, with these claims over the usual ones; `header` likewise. */
  sign(claims: JWTPayload, header?: { typ?: string; alg?: string; kid?: string }): Promise<string>
  /** A good token for an audience with a scope. */
  token(audience: string, scope: string, claims?: JWTPayload): Promise<string>
  /** A credential for its token endpoint. */
  credential(oauthClientId: string): CredentialFile
  /** Tells every follower, and those who come later. */
  push(event: Exclude<FeedEvent, { type: 'snapshot' }>): void
  /** Whether the feed ends, and every call to follow it: tokens and keys go on. */
  silence(isSilent: boolean): void
  /** What brokers said of commands, oldest first. */
  readonly outcomes: readonly ({ commandId: string } & CommandOutcome)[]
  /** What brokers said of connections, oldest first. */
  readonly reports: readonly PresenceReport[]
  stop(): Promise<void>
}

export async function startIssuer(snapshot: Partial<FeedSnapshot> = {}): Promise<Issuer> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'test', alg: 'ES256', use: 'sig' }
  const followers = new Set<ServerResponse>()
  const reports: PresenceReport[] = []
  const outcomes: Issuer['outcomes'][number][] = []
  const events: string[] = [frame('snapshot', { ...emptySnapshot, ...snapshot }, 0)]
  const server = createServer((request, response) => void answer(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  const url = `http://127.0.0.1:${address.port}`
  let serial = 0
  let isSilent = false

  async function sign(claims: JWTPayload, header: { typ?: string; alg?: string; kid?: string } = {}) {
    const nowSec = Math.floor(Date.now() / 1000)
    const usual = {
      iss: url,
      sub: 'tester',
      client_id: 'tester',
      iat: nowSec,
      exp: nowSec + 600,
      jti: `jti-${process.pid}-${serial++}`,
    }
    return new SignJWT({ ...usual, ...claims })
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'test', ...header })
      .sign(privateKey)
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', url).pathname
    if (path === '/.well-known/oauth-authorization-server')
      return json(response, { issuer: url, jwks_uri: `${url}/jwks`, token_endpoint: `${url}/oauth/token` })
    if (path === '/jwks') return json(response, { keys: [jwk] })
    if (path === '/oauth/token') {
      const form = new URLSearchParams(await bodyOf(request))
      const audience = form.get('audience') ?? ''
      const scope = Object.keys(scopesOf[audience as keyof typeof scopesOf] ?? {}).join(' ') // none for strangers
      const token = await sign({ aud: audience, scope, client_id: form.get('client_id') ?? 'tester' })
      return json(response, { access_token: token, token_type: 'Bearer', expires_in: 600, scope })
    }
    if (path === '/v1/feed' && isSilent) {
      response.writeHead(503).end()
      return
    }
    if (path === '/v1/feed') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(events.join(''))
      followers.add(response)
      response.once('close', () => followers.delete(response))
      return
    }
    if (path === '/v1/presence') {
      reports.push(JSON.parse(await bodyOf(request)))
      return json(response, { superseded: [], isNew: false } satisfies PresenceAnswer)
    }
    const command = /^\/v1\/commands\/([^/]+)\/outcome$/.exec(path)?.[1]
    if (command !== undefined) {
      outcomes.push({ commandId: command, ...JSON.parse(await bodyOf(request)) })
      return json(response, {})
    }
    response.writeHead(404).end()
  }

  // Who hears nothing for three beats takes the feed for dead, and asks for all of it again.
  const beat = setInterval(() => {
    for (const follower of followers) follower.write(': beat\n\n')
  }, feedBeatMs)

  return {
    url,
    outcomes,
    reports,
    sign,
    token: (audience, scope, claims = {}) => sign({ aud: audience, scope, ...claims }),
    credential: (oauthClientId) => ({
      v: 1,
      issuer: url,
      token_endpoint: `${url}/oauth/token`,
      client_id: oauthClientId,
      client_secret: 'anything',
      token_endpoint_auth_method: 'client_secret_post',
    }),
    push(event) {
      const text = frame(event.type, event.data, events.length)
      events.push(text)
      for (const follower of followers) follower.write(text)
    },
    silence(should) {
      isSilent = should
      if (should) for (const follower of followers) follower.destroy()
    },
    async stop() {
      clearInterval(beat)
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function frame(type: string, data: unknown, id: number): string {
  return `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`
}

function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) body += chunk
  return body
}
