/**
 * The description of the whole HTTP API, OpenAPI 3.1, made from the routes themselves: served at `/openapi.json`, to be
 * read and tried at `/docs`. Whatever holds for every route (who may ask, errors, headers) is added here.
 */
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'
import { type TSchema, Type } from 'typebox'
import { scopesOf } from '../core/contract/principal.ts'
import { oauthDescriptions } from './oauth-description.ts'

const tags = [
  { name: 'devices', description: 'Devices, their credentials, assignments and connections' },
  { name: 'lots', description: 'Parking lots' },
  { name: 'enrolment', description: 'How a board becomes a device' },
  { name: 'clients', description: 'Who else may have tokens, and for what' },
  { name: 'apis', description: 'What tokens are issued for' },
  { name: 'rules', description: 'What runs at token time' },
  { name: 'keys', description: 'Signing keys and tokens' },
  { name: 'decisions', description: 'What the token endpoint decided, and why' },
  { name: 'audit', description: 'What was changed, by whom' },
  { name: 'system', description: 'This server, and its feed' },
  { name: 'oauth', description: 'The authorization server (RFC 6749, 7009, 7662, 8414)' },
] as const

/** RFC 9457. */
const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'stable; see docs/protocol.md' }),
    detail: Type.Optional(Type.String()),
    faults: Type.Optional(Type.Array(Type.String())),
  },
  { description: 'a problem document' },
)

/** Declared for reading only: what arrives is checked by the routes. */
const commonHeaders = {
  POST: {
    'idempotency-key': Type.String({
      minLength: 8,
      maxLength: 255,
      description: 'asking again under the same key gives the first answer for 24 h and changes nothing',
    }),
  },
  PUT: { 'if-match': Type.String({ description: 'the ETag that was read; 412 when it has changed since' }) },
} as const

/** To be registered before the routes that it describes. */
export async function registerOpenApi(server: FastifyInstance, version: string): Promise<void> {
  // On demand: the packages stay outside the bundle, with the pages they serve.
  const [{ default: swagger }, { default: swaggerUi }] = await Promise.all([
    import('@fastify/swagger'),
    import('@fastify/swagger-ui'),
  ])
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Lotwatch provisioning',
        version,
        description:
          'Device registry and authorization server. Get a token at `/oauth/token` with the client credentials grant and `audience=urn:lotwatch:provisioning`. Lists have cursors: pass `nextCursor` as `cursor`.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: tags.map((tag) => ({ ...tag })),
      components: {
        securitySchemes: {
          oauth2: {
            type: 'oauth2',
            flows: {
              clientCredentials: { tokenUrl: '/oauth/token', scopes: scopesOf['urn:lotwatch:provisioning'] },
            },
          },
        },
      },
    },
    transform: ({ schema, url, route }) => ({
      url,
      schema: describe({ ...oauthDescriptions[url], ...schema }, route),
    }),
  })
  await server.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    uiConfig: { deepLinking: true, persistAuthorization: false },
  })
  server.get('/openapi.json', { schema: { hide: true } as FastifySchema }, () => server.swagger())
}

function describe(
  schema: FastifySchema,
  { method, config }: Pick<RouteOptions, 'method' | 'config'>,
): FastifySchema {
  const { response, hide } = schema as { response?: Record<string, unknown>; hide?: boolean }
  if (hide) return schema
  const verb = typeof method === 'string' ? method : method[0]
  const { scopes } = config ?? {}
  const headers =
    scopes === undefined
      ? undefined
      : verb === 'POST'
        ? commonHeaders.POST
        : verb === 'GET'
          ? undefined
          : commonHeaders.PUT
  return {
    ...schema,
    ...(headers === undefined ? {} : { headers: Type.Object(optional(headers)) }),
    response: {
      ...(response ?? { 200: Type.Unknown({ description: 'done' }) }),
      default: {
        description: 'refused or failed',
        content: { 'application/problem+json': { schema: Problem } },
      },
    },
    security: scopes === undefined ? [] : [{ oauth2: [...scopes] }],
  } as FastifySchema
}

function optional(headers: Readonly<Record<string, TSchema>>) {
  return Object.fromEntries(Object.entries(headers).map(([name, schema]) => [name, Type.Optional(schema)]))
}
