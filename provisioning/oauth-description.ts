/**
 * What the API's description says of the authorization server. Its bodies are parsed by its own rules (RFC 6749 §3.2), not
 * by schemas, so the schemas here describe and check nothing.
 */
import type { FastifySchema } from 'fastify'
import { type TProperties, Type } from 'typebox'
import { AuthMethod } from '../core/contract/client.ts'

const tags = ['oauth']
const consumes = ['application/x-www-form-urlencoded', 'application/json']
const text = (description: string) => Type.Optional(Type.String({ description }))

/** RFC 6749 §2.3.1, RFC 7523 §2.2. */
const authentication = {
  client_id: text('when the Authorization header does not say it'),
  client_secret: text('`client_secret_post`'),
  client_assertion_type: text('`urn:ietf:params:oauth:client-assertion-type:jwt-bearer`'),
  client_assertion: text('`private_key_jwt`'),
}
const form = <Properties extends TProperties>(properties: Properties) =>
  Type.Object({ ...properties, ...authentication })

const errorBody = Type.Object(
  { error: Type.String(), error_description: Type.Optional(Type.String()) },
  { description: 'refused (RFC 6749 §5.2)' },
)

const metadata = {
  tags,
  summary: 'Metadata of the authorization server (RFC 8414)',
  response: {
    200: Type.Object({
      issuer: Type.String(),
      token_endpoint: Type.String(),
      jwks_uri: Type.String(),
      token_endpoint_auth_methods_supported: Type.Array(AuthMethod),
    }),
  },
} as const

/** By address. */
export const oauthDescriptions: Readonly<Record<string, FastifySchema>> = {
  '/oauth/token': {
    tags,
    consumes,
    summary: 'Get an access token with the client credentials grant (RFC 6749 §4.4)',
    body: form({
      grant_type: Type.Literal('client_credentials'),
      audience: text('what the token is for; may be left out by a client with one grant'),
      resource: text('the same, as RFC 8707 says it'),
      scope: text('absent: all that is granted'),
    }),
    response: {
      200: Type.Object({
        access_token: Type.String(),
        token_type: Type.Literal('Bearer'),
        expires_in: Type.Integer({ description: 'seconds' }),
        scope: Type.Optional(Type.String()),
      }),
      400: errorBody,
      401: errorBody,
    },
  },
  '/oauth/introspect': {
    tags,
    consumes,
    summary: 'Ask whether a token is good (RFC 7662)',
    body: form({ token: Type.String() }),
    response: { 200: Type.Object({ active: Type.Boolean() }), 400: errorBody, 401: errorBody },
  },
  '/oauth/revoke': {
    tags,
    consumes,
    summary: 'Revoke a token of one’s own (RFC 7009)',
    body: form({ token: Type.String() }),
    response: { 200: Type.Null({ description: 'void, or never was good' }), 400: errorBody, 401: errorBody },
  },
  '/.well-known/oauth-authorization-server': metadata,
  '/.well-known/openid-configuration': metadata,
  '/.well-known/jwks.json': {
    tags,
    summary: 'Keys that tokens are signed with (RFC 7517)',
    response: { 200: Type.Object({ keys: Type.Array(Type.Unknown()) }) },
  },
}
