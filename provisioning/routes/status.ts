/** What a caller is, and how this server stands (`/v1/whoami`, `/v1/status`). */
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { DeviceState } from '../../core/contract/registry.ts'
import type { RegistryView } from '../repository/repository.ts'
import { type Desk, strict } from './desk.ts'

export interface StatusRouteParts {
  readonly repository: Pick<RegistryView, 'devices' | 'clients' | 'signingKeys'>
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
      const [devices, clients, keys] = await Promise.all([
        countDevices(repository),
        countClients(repository),
        repository.signingKeys(),
      ])
      return {
        version,
        devices,
        clients,
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

const pageRows = 1000

async function countDevices(repository: Pick<RegistryView, 'devices'>): Promise<Record<DeviceState, number>> {
  const counts = { registered: 0, enrolled: 0, active: 0, suspended: 0, retired: 0 }
  for await (const { state } of each(
    (after) => repository.devices({ after, limit: pageRows }),
    ({ deviceId }) => deviceId,
  ))
    counts[state]++
  return counts
}

async function countClients(repository: Pick<RegistryView, 'clients'>): Promise<number> {
  let count = 0
  for await (const _ of each(
    (after) => repository.clients({ after, limit: pageRows }),
    ({ oauthClientId }) => oauthClientId,
  ))
    count++
  return count
}

async function* each<Row>(
  read: (after: string | undefined) => Promise<readonly Row[]>,
  cursorOf: (row: Row) => string,
): AsyncGenerator<Row> {
  let after: string | undefined
  for (;;) {
    const rows = await read(after)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined || rows.length < pageRows) return
    after = cursorOf(last)
  }
}
