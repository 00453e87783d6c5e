/** Provisioning: reads its settings, picks the adapters, starts and stops. */
import { randomBytes, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createVerifier } from '../core/auth/verifier.ts'
import { FleetError } from '../core/contract/errors.ts'
import { feedBeatMs } from '../core/contract/feed.ts'
import { audiences } from '../core/contract/principal.ts'
import { createFetch } from '../core/runtime/fetch.ts'
import { createServer, listen } from '../core/runtime/http.ts'
import { loadSettingsSource, type Running, runProgram } from '../core/runtime/lifecycle.ts'
import { createLog, type Log } from '../core/runtime/log.ts'
import { requireTlsUrl } from '../core/runtime/tls-url.ts'
import packageFile from '../package.json' with { type: 'json' }
import { createAccess } from './access.ts'
import { type ProvisioningConfig, readProvisioningConfig } from './config.ts'
import { Feed } from './feed.ts'
import { makeDataFolder } from './files.ts'
import { createAuth0Issuer } from './issuer/auth0.ts'
import { createManagement } from './issuer/auth0-management.ts'
import type { Issuer } from './issuer/issuer.ts'
import { createOwnIssuer } from './issuer/own.ts'
import { createAccessCache } from './oauth/access-cache.ts'
import { createAuthenticator } from './oauth/authenticator.ts'
import { boundedLines } from './oauth/decision-log.ts'
import { createBrake } from './oauth/guards/brake.ts'
import { createDecisions, decisionIdOf } from './oauth/guards/decisions.ts'
import { createExplain } from './oauth/guards/explain.ts'
import { createQuotas } from './oauth/guards/quotas.ts'
import { openSigningKeys } from './oauth/keys.ts'
import { openPepper } from './oauth/pepper.ts'
import { openRules } from './oauth/rules/rules.ts'
import { createRuleTrial } from './oauth/rules/trial.ts'
import { createMemoryHasher, createSecretHasher, type SecretHasher } from './oauth/secret.ts'
import { createSigner } from './oauth/signer.ts'
import { startSigningThread } from './oauth/signing-thread.ts'
import { createTokenEndpoint } from './oauth/token-endpoint.ts'
import { createIssuedTokens } from './oauth/tokens.ts'
import { brokerOf, createRegistry } from './registry.ts'
import { openPostgresRepository } from './repository/postgres.ts'
import type { RegistryRepository } from './repository/repository.ts'
import { openSqliteRepository } from './repository/sqlite.ts'
import { type HttpParts, registerRoutes } from './routes.ts'
import { createSealer } from './seal.ts'
import { ensureServices, wellKnownClients } from './services.ts'
import { startUpkeep } from './upkeep.ts'
import { createUsage } from './usage.ts'

const usageFlushMs = 2000
/** The longest life of a token, with the skew of who verifies it. */
const tokenLifeMaxMs = (86_400 + 60) * 1000
const now = () => Date.now()
const { version } = packageFile

runProgram(createLog({ program: 'provisioning' }), async () => {
  const config = readProvisioningConfig(loadSettingsSource(process.env))
  const log = createLog({ program: 'provisioning', level: config.logLevel })
  // Whatever this program writes, others cannot read.
  process.umask(0o077)
  makeDataFolder(config.dataDir)
  const { databaseUrl } = config
  const repository =
    databaseUrl === undefined
      ? openSqliteRepository({ path: join(config.dataDir, 'registry.db'), now })
      : await openPostgresRepository({ url: databaseUrl, now, log })

  // The routes are there before what they lead to: what the issuer is called may depend on the port.
  let parts: Parts | undefined
  const ready = () => {
    if (parts === undefined) throw new FleetError('system.busy', 'starting')
    return parts
  }
  const server = createServer({ log, tls: config.tls, readiness: () => void ready() })
  registerRoutes(server, { version, parts: ready })
  const { host, port: portWanted, insecure, tls } = config
  const port = await listen(
    server,
    { host, port: portWanted, portSetting: 'LOTWATCH_PROVISIONING_PORT', insecure },
    tls,
  )
  const url = `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`
  const running = await open(config, config.issuerUrl ?? url, repository, log)
  parts = running

  return {
    ready: { url, port, issuer: running.issuer.issuer },
    async stop() {
      await running.feed.stop()
      await server.close()
      await running.stop()
      await repository.close()
    },
  } satisfies Running
})

type Parts = HttpParts & { stop(): Promise<void> }

async function open(
  config: ProvisioningConfig,
  issuerUrl: string,
  stored: RegistryRepository,
  log: Log,
): Promise<Parts> {
  // The file is this process's alone, so what it read of clients holds until it changes them itself.
  // Others may change what is in PostgreSQL: nothing of it is kept.
  const cache = config.databaseUrl === undefined ? createAccessCache(stored) : undefined
  const repository = cache?.repository ?? stored
  const folder = join(config.dataDir, 'keys')
  const pepper = await openPepper({ repository, folder, setting: config.pepper, randomBytes })
  const keys = await openSigningKeys({
    repository,
    sealer: createSealer(pepper, 'signing keys'),
    issuer: issuerUrl,
    times: { publishedBeforeMs: config.keyPublishedBeforeSec * 1000, tokenLifeMaxMs },
    now,
  })
  const hash = createSecretHasher(pepper)
  const issuer = issuerOf(config, createOwnIssuer({ issuerUrl, hash, randomBytes }), hash)
  const ca = config.caFile === undefined ? undefined : readCa(config.caFile)

  const feed = new Feed({ repository, beatMs: feedBeatMs })
  const broker = brokerOf(config.brokerUrl)
  const builtInClients = new Set(wellKnownClients.map(({ client }) => client.oauthClientId))
  const registry = createRegistry({
    repository,
    issuer,
    pepper,
    hash,
    randomBytes,
    now,
    broker,
    ca,
    builtInClients,
  })
  await registry.apis.ensureBuiltIn()
  await ensureServices({ dataDir: config.dataDir, registry, repository, issuer, ca, log })

  const usage = createUsage({ repository, changes: registry.changes })
  const flushUsage = () =>
    usage.flush().catch((error: unknown) => log.warn('usage.lost', { error: error as Error }))
  const flushing = setInterval(flushUsage, usageFlushMs)
  const { credentials, presence } = registry
  const { credentialUnusedDays, keyRotation } = config
  const upkeep = startUpkeep({
    credentials,
    keys,
    keyRotation,
    repository,
    presence,
    credentialUnusedDays,
    now,
    log,
  })
  const decisions = createDecisions({ repository, log, nowMs: () => performance.now() })
  const quotas = createQuotas(repository)
  const rulesDir = config.rulesDir ?? join(config.dataDir, 'rules')
  // Rules may be put into it later.
  if (config.rulesDir === undefined) makeDataFolder(rulesDir)
  const rules = await openRules({
    folder: rulesDir,
    issuer: issuerUrl,
    timeMs: config.ruleTimeMs,
    threadFile: new URL('./rule-thread.mjs', import.meta.url),
    log,
  })
  const explain = createExplain({ repository, quotas, rules: rules.ask, lifeSec: config.tokenLifeSec, now })
  const { errors } = config
  const brake = createBrake({ nowMs: () => performance.now() })
  const authenticator = createAuthenticator({
    repository,
    hash,
    audiences: [issuerUrl, issuer.tokenEndpoint],
    now,
  })
  const thread = startSigningThread()
  const token = createTokenEndpoint({
    repository,
    authenticator:
      cache?.remembering(authenticator, createMemoryHasher(randomBytes(32)), now) ?? authenticator,
    signer: createSigner({
      issuer: issuerUrl,
      keys,
      lifeSec: config.tokenLifeSec,
      newTokenId: randomUUID,
      thread,
    }),
    brake,
    quotas,
    rules: rules.ask,
    record: decisions.record,
    newDecisionId: () => decisionIdOf(now(), randomUUID()),
    errors,
    now,
    delay,
    used: usage.used,
    activated: usage.activated,
    boardSeen: (deviceId, board) =>
      void registry.boards
        .seen(deviceId, board)
        .catch((error: unknown) => log.warn('board.unnoted', { deviceId, error: error as Error })),
  })
  const tokens = createIssuedTokens({ issuer: issuerUrl, keys, repository, changes: registry.changes, now })
  const verifier = createVerifier({
    issuers: [
      {
        issuer: issuerUrl,
        audience: audiences.provisioning,
        algorithms: ['ES256'],
        dialect: 'rfc9068',
        jwksUri: 'in-process',
      },
    ],
    // Its own keys are at hand: no way round over the network to itself.
    fetch: async () => Response.json(await keys.jwks()),
    now,
  })
  const access = createAccess({ verifier, repository, now })
  return {
    issuer,
    keys,
    token,
    tokens,
    authenticator,
    enrolmentRefused: boundedLines(log, 'enrolment.refused', () => performance.now()),
    brake,
    errors,
    decisions,
    explain,
    rules,
    ruleTrial: createRuleTrial({ repository, rules }),
    access,
    registry,
    repository,
    feed,
    version,
    uptimeSec: () => process.uptime(),
    async stop() {
      clearInterval(flushing)
      brake.stop()
      await upkeep.stop()
      await flushUsage()
      await rules.stop()
      await decisions.stop()
      await thread.stop()
    },
  }
}

/** Our own authorization server, with Auth0 for devices where the settings say so. */
function issuerOf(config: ProvisioningConfig, own: Issuer, hash: SecretHasher): Issuer {
  const { deviceIssuer, auth0Url, auth0ClientId: oauthClientId, auth0ClientSecret: clientSecret } = config
  if (deviceIssuer === 'own') return own
  if (auth0Url === undefined || oauthClientId === undefined || clientSecret === undefined)
    throw new Error('settings of Auth0 were not checked')
  requireTlsUrl(auth0Url, { setting: 'LOTWATCH_PROVISIONING_AUTH0_URL', insecure: config.insecure })
  const url = auth0Url.replace(/\/$/, '')
  const nowMs = () => performance.now()
  const { random } = Math
  const management = createManagement({
    url,
    oauthClientId,
    clientSecret,
    fetch: createFetch(),
    now,
    nowMs,
    random,
    wait: delay,
  })
  return createAuth0Issuer({ own, url, management, hash, randomBytes })
}

function readCa(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const faults = [`LOTWATCH_PROVISIONING_CA_FILE: ${(cause as Error).message}`]
    throw new FleetError('config.invalid', 'the certificate authority cannot be read', { cause, faults })
  }
}
