/** Signing keys, and tokens that an operator voids (`/v1/keys`, `/v1/tokens`). */
import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { SigningAlg } from '../../core/contract/client.ts'
import type { SigningKeys } from '../oauth/keys.ts'
import type { IssuedTokens } from '../oauth/tokens.ts'
import { invalid } from '../registry/changes.ts'
import type { RegistryView, StoredSigningKey } from '../repository/repository.ts'
import { bodyOptional, type Desk, strict } from './desk.ts'

export interface KeyRouteParts {
  readonly keys: Pick<SigningKeys, 'rotate'>
  readonly tokens: Pick<IssuedTokens, 'revoke'>
  readonly repository: Pick<RegistryView, 'signingKeys'>
}

const tags = ['keys']
const TimeOrNull = Type.Union([Type.Integer(), Type.Null()])
const ShownKey = strict({
  kid: Type.String(),
  alg: SigningAlg,
  createdAtMs: Type.Integer(),
  signsFromMs: Type.Integer(),
  signsUntilMs: TimeOrNull,
  publishedUntilMs: TimeOrNull,
})
const Keys = strict({ keys: Type.Array(ShownKey) })
const RotateKeysRequest = strict({ alg: Type.Optional(SigningAlg) })
/** One of them. */
const RevokeTokenRequest = strict({
  token: Type.Optional(Type.String({ minLength: 1, maxLength: 16_384 })),
  tokenId: Type.Optional(Type.String({ minLength: 1, maxLength: 256, description: '`jti`' })),
})

export function registerKeyRoutes(server: FastifyInstance, desk: Desk, parts: () => KeyRouteParts): void {
  server.get(
    '/v1/keys',
    { ...desk.needs('manage:keys'), schema: { tags, summary: 'List signing keys', response: { 200: Keys } } },
    async () => ({ keys: (await parts().repository.signingKeys()).map(shown) }),
  )

  server.post<{ Body: Static<typeof RotateKeysRequest> }>(
    '/v1/keys/rotate',
    {
      ...desk.needs('manage:keys'),
      ...bodyOptional,
      schema: {
        tags,
        summary: 'Make the next signing keys: published now, signing after a while',
        description: 'Where the next one is on its way already nothing happens.',
        body: RotateKeysRequest,
        response: { 200: Keys },
      },
    },
    async (request) => {
      const made = await parts().keys.rotate(desk.byOf(request).actor, request.body.alg)
      return { keys: made.map(shown) }
    },
  )

  server.post<{ Body: Static<typeof RevokeTokenRequest> }>(
    '/v1/tokens/revoke',
    {
      ...desk.needs('manage:clients'),
      schema: {
        tags,
        summary: 'Void a token, by itself or by its jti',
        body: RevokeTokenRequest,
        response: { 200: strict({ tokenId: Type.String() }) },
      },
    },
    async (request) => {
      const { token, tokenId } = request.body
      if ((token === undefined) === (tokenId === undefined)) throw invalid('one of token and tokenId')
      const which = token === undefined ? { tokenId: tokenId ?? '' } : { token }
      const revoked = await parts().tokens.revoke(desk.byOf(request), which)
      if (revoked === undefined) throw invalid('token: is no living token of this issuer')
      return { tokenId: revoked }
    },
  )
}

/** Never the private half, sealed or not. */
function shown(key: StoredSigningKey): Static<typeof ShownKey> {
  const { kid, alg, createdAtMs, signsFromMs, signsUntilMs, publishedUntilMs } = key
  return { kid, alg, createdAtMs, signsFromMs, signsUntilMs, publishedUntilMs }
}
