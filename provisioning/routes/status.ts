/** What a caller is, and how this server stands (`/v1/whoami`, `/v1/status`). */
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { RegistryView } from '../repository/repository.ts'
import { type Desk, strict } from './desk.ts'

export interface StatusRouteParts {
  readonly repository: Pick<RegistryView, 'counts' | 'signingKeys'>
  readonly version: string
  /** Monotonic, in seconds since the program began. */
  readonly uptimeSec: () => number
}

const tags = ['system']
const WhoAmI = strict({
  oauthClientId: Type.String(),
  scopes: Type.Array(Type.String()),
  credentialId: Type.Optional(Type.String()),
  expiresAtSec: Type.Integer(),
})
const SigningKeyState = strict({
  kid: Type.String(),
  alg: Type.String(),
  createdAtMs: Type.Integer(),
  signsFromMs: Type.Integer(),
  signsUntilMs: Type.Union([Type.Integer(), Type.Null()]),
  publishedUntilMs: Type.Union([Type.Integer(), Type.Null()]),
})
const Status = strict({
  version: Type.String(),
  /** By state. */
  devices: Type.Record(Type.String(), Type.Integer()),
  /** That are no devices. */
  clients: Type.Integer(),
  signingKeys: Type.Array(SigningKeyState),
  uptimeSec: Type.Integer(),
})

export function registerStatusRoutes(
  server: FastifyInstance,
  desk: Desk,
  parts: () => StatusRouteParts,
): void {
  server.get(
    '/v1/whoami',
    {
      ...desk.needsToken,
      schema: { tags, summary: 'What the token that was sent says', response: { 200: WhoAmI } },
    },
    async (request) => {
      const { oauthClientId, scopes, credentialId, expiresAtSec } = desk.principalOf(request)
      return {
        oauthClientId,
        scopes: [...scopes],
        ...(credentialId === undefined ? {} : { credentialId }),
        expiresAtSec,
      }
    },
  )

  server.get(
    '/v1/status',
    {
      ...desk.needs('read:devices'),
      schema: { tags, summary: 'How this server stands', response: { 200: Status } },
    },
    async () => {
      const { repository, version, uptimeSec } = parts()
      const [counts, keys] = await Promise.all([repository.counts(), repository.signingKeys()])
      return {
        version,
        ...counts,
        // Never the private half, sealed or not.
        signingKeys: keys.map(({ kid, alg, createdAtMs, signsFromMs, signsUntilMs, publishedUntilMs }) => ({
          kid,
          alg,
          createdAtMs,
          signsFromMs,
          signsUntilMs,
          publishedUntilMs,
        })),
        uptimeSec: Math.floor(uptimeSec()),
      }
    },
  )
}
