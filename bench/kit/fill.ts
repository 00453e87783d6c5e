/**
 * Fills a registry with devices through the repository, each with a secret; the broker's API has a quota for the hour
 * and the day, against which every token counts, and so has every hundredth device. A process of its own, since the file stays locked until who opened it ends.
 */
import { randomBytes } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '../../core/contract/client.ts'
import { openPepper } from '../../provisioning/oauth/pepper.ts'
import { createSecretHasher, makeSecret } from '../../provisioning/oauth/secret.ts'
import { clientDefaults } from '../../provisioning/registry/clients.ts'
import type { Change } from '../../provisioning/repository/repository.ts'
import { openSqliteRepository } from '../../provisioning/repository/sqlite.ts'
import { audience, scope } from './registry.ts'

export interface FillOrder {
  /** Where provisioning was started once: its keys are there. */
  readonly data: string
  /** Gets lines of `oauthClientId:secret`. */
  readonly credentialsFile: string
  readonly from: number
  readonly to: number
}

/** So many that nobody is refused: what costs is the counting. */
const quota = { perHour: 1_000_000_000, perDay: 1_000_000_000 }
const changesAtOnce = 2000

async function run({ data, credentialsFile, from, to }: FillOrder): Promise<void> {
  const repository = openSqliteRepository({ path: join(data, 'registry.db'), now: () => Date.now() })
  const folder = join(data, 'keys')
  const hash = createSecretHasher(await openPepper({ repository, folder, setting: undefined, randomBytes }))
  await repository.change(async (view) => {
    const api = await view.findApi(audience)
    return { changes: api === undefined ? [] : [{ api: { ...api, quota } }], answer: undefined }
  })
  for (let made = from; made < to; ) {
    const changes: Change[] = []
    const lines: string[] = []
    for (; made < to && changes.length < changesAtOnce; made++) {
      const oauthClientId = `bench-${String(made).padStart(6, '0')}`
      const secret = makeSecret(randomBytes(32))
      changes.push(changeFor(oauthClientId, hash(secret), made % 100 === 0))
      lines.push(`${oauthClientId}:${secret}\n`)
    }
    await repository.change(async () => ({ changes, answer: undefined }))
    appendFileSync(credentialsFile, lines.join(''))
  }
  await repository.close()
  process.send?.({ filled: to })
}

function changeFor(oauthClientId: string, digest: Uint8Array, hasQuota: boolean): Change {
  const client: Client = {
    ...clientDefaults(),
    oauthClientId,
    name: oauthClientId,
    kind: 'device',
    grants: [{ audience, scopes: scope.split(' ') }],
    ...(hasQuota ? { quota } : {}),
  }
  return {
    audit: {
      actor: 'bench',
      verb: 'device.registered',
      subject: oauthClientId,
      after: { name: oauthClientId },
    },
    newClient: client,
    device: {
      deviceId: oauthClientId,
      name: oauthClientId,
      state: 'active',
      registeredAtMs: Date.now(),
      tags: [],
    },
    newCredential: {
      of: 'secret',
      oauthClientId,
      credentialId: `cred_${randomBytes(12).toString('base64url')}`,
      digest,
      expiresAtMs: null,
    },
  }
}

process.once('message', (order: FillOrder) => {
  void run(order)
  process.on('message', (message: { do: string }) => {
    if (message.do === 'stop') process.exit(0)
  })
})
