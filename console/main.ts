/** The console's front door: picks the parts, starts them, stops them. */
import { mkdirSync, readFileSync } from 'node:fs'
import type { Server as HttpsServer } from 'node:https'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createTokenSource } from '../core/auth/token-source.ts'
import { audiences } from '../core/contract/principal.ts'
import { awaitCredentialFile } from '../core/runtime/credential.ts'
import { authoritiesOfOthers, createFetch } from '../core/runtime/fetch.ts'
import { createServer, listen } from '../core/runtime/http.ts'
import { loadSettingsSource, type Running, runProgram } from '../core/runtime/lifecycle.ts'
import { createLog } from '../core/runtime/log.ts'
import { takeLoginLink } from '../core/runtime/login-link.ts'
import { reloadTls } from '../core/runtime/tls-reload.ts'
import { requireTlsUrl } from '../core/runtime/tls-url.ts'
import packageFile from '../package.json' with { type: 'json' }
import { type ConsoleConfig, readConsoleConfig } from './config.ts'
import { addPages } from './server/pages.ts'
import { createPasswords } from './server/password.ts'
import { createProvider } from './server/provider.ts'
import { createRelay } from './server/relay.ts'
import { addRoutes } from './server/routes.ts'
import { askServices } from './server/services.ts'
import { openConsoleStore } from './server/store.ts'
import { Streams } from './server/streams.ts'
import { Throttle } from './server/throttle.ts'
import { SignIns } from './sign-ins.ts'

const credentialWaitMs = 60_000
const sweepMs = 10 * 60_000
const monotonic = () => performance.now()

const log = createLog({ program: 'console' })
runProgram(log, async () => start(readConsoleConfig(loadSettingsSource(process.env))))

async function start(config: ConsoleConfig): Promise<Running> {
  const log = createLog({ program: 'console', level: config.logLevel })
  for (const [url, setting] of [
    [config.provisioningUrl, 'LOTWATCH_CONSOLE_PROVISIONING_URL'],
    [config.ingestUrl, 'LOTWATCH_CONSOLE_INGEST_URL'],
    [config.brokerUrl, 'LOTWATCH_CONSOLE_BROKER_URL'],
    ...(config.oidcIssuer === undefined
      ? []
      : [[config.oidcIssuer, 'LOTWATCH_CONSOLE_OIDC_ISSUER'] as const]),
  ] as const)
    requireTlsUrl(url, { setting, insecure: config.insecure })
  const ca = config.caFile === undefined ? undefined : readFileSync(config.caFile, 'utf8')
  const fetch = createFetch({ ca })
  const isSecure = config.tls !== undefined || config.publicUrl?.startsWith('https:') === true
  const urls = { provisioning: config.provisioningUrl, ingest: config.ingestUrl, broker: config.brokerUrl }

  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 })
  const store = openConsoleStore(config.databaseFile)
  const signIns = new SignIns({
    store,
    passwords: createPasswords(),
    throttle: new Throttle({
      free: 5,
      firstWaitMs: 1000,
      waitMsMax: 60_000,
      forgetMs: 15 * 60_000,
      keysMax: 10_000,
    }),
    takeLink: (token, nowMs) => takeLoginLink(config.dataDir, token, nowMs),
    idleMs: config.signInIdleSec * 1000,
    lifeMs: config.signInLifeSec * 1000,
    now: Date.now,
  })
  const credential = await awaitCredentialFile(config.credentialFile, { log, waitMs: credentialWaitMs })
  const upstream = (program: keyof typeof urls) => ({
    url: urls[program],
    tokens: createTokenSource({
      credential,
      audience: audiences[program],
      fetch,
      nowMs: monotonic,
      random: Math.random,
    }),
  })

  const server = createServer({ log, tls: config.tls })
  await addPages(server, { folder: join(dirname(fileURLToPath(import.meta.url)), 'console-pages'), isSecure })
  const { oidcIssuer, oidcClientId = '', oidcClientSecret = '' } = config
  const ownUrl = config.publicUrl ?? `${isSecure ? 'https' : 'http'}://${config.host}:${config.port}`
  await addRoutes(server, {
    signIns,
    store,
    provider:
      oidcIssuer === undefined
        ? undefined
        : createProvider({
            issuer: oidcIssuer,
            oauthClientId: oidcClientId,
            clientSecret: oidcClientSecret,
            scope: config.oidcScope,
            roleClaim: config.oidcRoleClaim,
            lotsClaim: config.oidcLotsClaim,
            roleDefault: config.oidcRoleDefault,
            redirectUri: `${ownUrl}/sign-in/return`,
            fetch: createFetch({ ca: authoritiesOfOthers(ca) }),
            nowMs: monotonic,
          }),
    relay: createRelay({
      upstreams: {
        provisioning: upstream('provisioning'),
        broker: upstream('broker'),
        ingest: upstream('ingest'),
      },
      fetch,
    }),
    services: () => askServices(urls, { fetch, nowMs: monotonic }),
    streams: new Streams(config.streamsMax),
    isSecure,
    publicUrl: config.publicUrl,
    me: { version: packageFile.version, urls: { provisioning: urls.provisioning, ingest: urls.ingest } },
    log,
  })
  const port = await listen(server, { ...config, portSetting: 'LOTWATCH_CONSOLE_PORT' }, config.tls)
  const certificate =
    config.tls === undefined
      ? undefined
      : reloadTls({
          files: config.tls,
          log,
          apply: (renewed) => (server.server as unknown as HttpsServer).setSecureContext(renewed), // TLS is set
        })
  const sweep = setInterval(() => signIns.sweep(), sweepMs)

  return {
    ready: { port },
    async stop() {
      clearInterval(sweep)
      certificate?.stop()
      await server.close()
      store.close()
    },
  }
}
