/**
 * The HTTP face of the console: signing in and out, accounts, what is passed on, how the programs stand. Every answer
 * but the ways to sign in needs a person, and every change a page of ours.
 */
import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { FleetError } from '../../core/contract/errors.ts'
import { sqlViews } from '../../core/contract/sql.ts'
import type { Log } from '../../core/runtime/log.ts'
import { pageHeader } from '../roles.ts'
import type { Person, SignIns } from '../sign-ins.ts'
import {
  AccountChange,
  AccountName,
  Accounts,
  ConsoleEvents,
  LinkSignIn,
  type Me,
  PasswordChange,
  PasswordSignIn,
  ProviderReturn,
  type Services,
  type SignInWays,
} from '../wire.ts'
import { type ProgramName, programs } from './allowed.ts'
import { isForeign } from './origin.ts'
import type { Provider } from './provider.ts'
import type { Relay, RelayAnswer } from './relay.ts'
import type { ConsoleStore } from './store.ts'
import type { Streams } from './streams.ts'

export interface RouteParts {
  readonly signIns: SignIns
  readonly store: Pick<ConsoleStore, 'events'>
  readonly provider: Provider | undefined
  readonly relay: Relay
  readonly services: () => Promise<Services>
  readonly streams: Streams
  readonly isSecure: boolean
  readonly publicUrl: string | undefined
  readonly me: Pick<Me, 'version' | 'urls'>
  readonly log: Log
}

/** A file of devices may be this large; everything else is small. */
const importBytesMax = 64 * 1024 * 1024
/** A live stream of somebody who may not any more ends within it. */
const streamLookMs = 500
const providerCookie = 'lotwatch-provider'

const EventsQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
    cursor: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
)
const AccountParams = Type.Object({ name: AccountName }, { additionalProperties: false })

export async function addRoutes(server: FastifyInstance, parts: RouteParts): Promise<void> {
  const { signIns, provider, log } = parts
  const persons = new WeakMap<FastifyRequest, Person>()
  // `__Host-`: a browser takes it over TLS alone, for this host and all of its paths.
  const signInCookie = parts.isSecure ? '__Host-lotwatch' : 'lotwatch'
  const cookieOptions = { httpOnly: true, sameSite: 'strict', secure: parts.isSecure, path: '/' } as const

  const personOf = (request: FastifyRequest): Person => {
    const person = persons.get(request)
    if (person === undefined) throw new FleetError('sign_in.required', 'nobody is signed in')
    return person
  }
  const anybody = async (request: FastifyRequest) => void personOf(request)
  const admin = async (request: FastifyRequest) => {
    if (personOf(request).role !== 'admin') throw new FleetError('role.refused', 'for administrators')
  }
  const welcome = (reply: FastifyReply, id: string) =>
    reply.setCookie(signInCookie, id, cookieOptions).code(204).send()

  await server.register(cookie)
  server.register(async (api) => {
    api.addHook('onRequest', async (request, reply) => {
      const { headers, method } = request
      void reply.header('cache-control', 'no-store')
      const origins = {
        method,
        fetchSite: one(headers['sec-fetch-site']),
        origin: headers.origin,
        host: headers.host,
        pageHeader: one(headers[pageHeader]),
        publicUrl: parts.publicUrl,
      }
      if (isForeign(origins)) throw new FleetError('request.foreign', 'from a page of another site')
      const person = signIns.find(request.cookies[signInCookie], request.ip)
      if (person !== undefined) persons.set(request, person)
    })

    api.get(
      '/api/sign-in',
      (request): SignInWays => ({
        isSignedIn: persons.has(request),
        password: signIns.accounts().some(({ hasPassword }) => hasPassword),
        provider: provider?.name ?? null,
      }),
    )
    api.post<{ Body: PasswordSignIn }>(
      '/api/sign-in/password',
      { schema: { body: PasswordSignIn }, bodyLimit: 4096 },
      async (request, reply) => welcome(reply, await signIns.byPassword(request.body, request.ip)),
    )
    api.post<{ Body: LinkSignIn }>(
      '/api/sign-in/link',
      { schema: { body: LinkSignIn }, bodyLimit: 4096 },
      async (request, reply) => welcome(reply, signIns.byLink(request.body.token, request.ip)),
    )
    api.post('/api/sign-in/provider', async (_request, reply) => {
      const { url, pendingId } = await mustHave(provider).begin()
      return reply.setCookie(providerCookie, pendingId, cookieOptions).send({ url })
    })
    api.post<{ Body: ProviderReturn }>(
      '/api/sign-in/provider/return',
      { schema: { body: ProviderReturn }, bodyLimit: 8192 },
      async (request, reply) => {
        void reply.clearCookie(providerCookie, cookieOptions)
        const who = await mustHave(provider).finish(request.cookies[providerCookie], request.body.search)
        return welcome(reply, signIns.byProvider(who, request.ip))
      },
    )
    api.post('/api/sign-out', { preHandler: anybody }, async (request, reply) => {
      signIns.out(personOf(request))
      return reply.clearCookie(signInCookie, cookieOptions).code(204).send()
    })

    api.get('/api/me', { preHandler: anybody }, (request): Me => {
      const person = personOf(request)
      return {
        person: person.person,
        role: person.role,
        ...(person.lots === undefined ? {} : { lots: [...person.lots] }),
        by: person.account === undefined ? 'provider' : 'account',
        hasPassword: signIns.hasPassword(person),
        ...parts.me,
      }
    })
    api.put<{ Body: PasswordChange }>(
      '/api/me/password',
      { preHandler: anybody, schema: { body: PasswordChange }, bodyLimit: 4096 },
      async (request, reply) => {
        await signIns.changePassword(personOf(request), request.body)
        return reply.code(204).send()
      },
    )
    api.get('/api/services', { preHandler: anybody }, () => parts.services())
    // The pages carry no schemas along.
    api.get('/api/sql-views', { preHandler: anybody }, () => sqlViews)

    api.get(
      '/api/accounts',
      { preHandler: admin, schema: { response: { 200: Accounts } } },
      (): Accounts => ({ accounts: signIns.accounts() }),
    )
    api.put<{ Params: { name: string }; Body: AccountChange }>(
      '/api/accounts/:name',
      { preHandler: admin, schema: { params: AccountParams, body: AccountChange }, bodyLimit: 4096 },
      async (request, reply) => {
        await signIns.putAccount(personOf(request), request.params.name, request.body)
        return reply.code(204).send()
      },
    )
    api.delete<{ Params: { name: string } }>(
      '/api/accounts/:name',
      { preHandler: admin, schema: { params: AccountParams } },
      async (request, reply) => {
        signIns.removeAccount(personOf(request), request.params.name)
        return reply.code(204).send()
      },
    )
    api.get<{ Querystring: Static<typeof EventsQuery> }>(
      '/api/events',
      { preHandler: admin, schema: { querystring: EventsQuery, response: { 200: ConsoleEvents } } },
      ({ query: { limit, cursor } }): ConsoleEvents => {
        const rows = parts.store.events({ before: cursor, limit: limit + 1 })
        const events = rows.slice(0, limit)
        const last = events.at(-1)
        return rows.length > limit && last !== undefined
          ? { events, nextCursor: String(last.eventId) }
          : { events }
      },
    )

    api.register(async (passing) => {
      passing.removeAllContentTypeParsers()
      passing.addContentTypeParser(
        '*',
        { parseAs: 'buffer', bodyLimit: importBytesMax },
        (_request, body, done) => done(null, body),
      )
      for (const program of programs)
        passing.route<{ Body: Buffer | undefined }>({
          method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
          url: `/api/${program}/*`,
          bodyLimit: importBytesMax,
          // Nobody fills our memory without having signed in.
          onRequest: anybody,
          handler: async (request, reply) => passOn(program, request, reply),
        })
    })
  })

  async function passOn(
    program: ProgramName,
    request: FastifyRequest<{ Body: Buffer | undefined }>,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    const person = personOf(request)
    const { method, headers, body } = request
    const { path, search } = partsOf(request.url.slice(`/api/${program}`.length))
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    const release = headers.accept?.includes('text/event-stream')
      ? parts.streams.take(person.person)
      : undefined
    let answer: RelayAnswer
    try {
      answer = await parts.relay({
        program,
        method,
        path,
        search,
        headers,
        body,
        person: person.person,
        role: person.role,
        lots: person.lots,
        signal: gone.signal,
      })
    } catch (error) {
      release?.()
      throw error
    }
    if (release !== undefined) {
      const look = setInterval(() => signIns.isStill(person) || gone.abort(), streamLookMs)
      reply.raw.once('close', () => {
        clearInterval(look)
        release()
      })
    }
    if (method !== 'GET') {
      log.info('request.passed', { person: person.person, program, method, path, status: answer.status })
      signIns.note(person, `${method.toLowerCase()} ${answer.status}`, `${program}${path}`)
    }
    // A stream that breaks off ends the answer: the status has been sent.
    answer.body?.once('error', () => reply.raw.destroy())
    return reply.code(answer.status).headers(answer.headers).send(answer.body)
  }
}

function mustHave(provider: Provider | undefined): Provider {
  if (provider === undefined)
    throw new FleetError('request.not_found', 'no provider', {
      safeDetail: 'there is no identity provider here',
    })
  return provider
}

function partsOf(url: string): { path: string; search: string } {
  const at = url.indexOf('?')
  return at < 0 ? { path: url, search: '' } : { path: url.slice(0, at), search: url.slice(at) }
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value
}
