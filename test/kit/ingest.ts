/** The real ingest beside an issuer that is the test's own. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FeedSnapshot } from '../../core/contract/feed.ts'
import { audiences } from '../../core/contract/principal.ts'
import { type Issuer, startIssuer } from './issuer.ts'
import { eventually, makeDataDir, type Program, startProgram } from './program.ts'

export interface IngestUnderTest {
  readonly issuer: Issuer
  readonly dataDir: string
  /** Changes with every start. */
  url(): string
  program(): Program
  /** As after a crash or a stop: another process on the same data. */
  restart(): Promise<void>
  /** A question with a token that may read; the path with its query. */
  ask(path: string, options?: { token?: string; headers?: Record<string, string> }): Promise<Response>
  writeToken(): Promise<string>
  stop(): Promise<void>
}

export async function startIngest(
  options: {
    snapshot?: Partial<FeedSnapshot>
    env?: Record<string, string>
    nodeOptions?: readonly string[]
    /** A folder that stays; absent: one that goes with it. */
    dataDir?: string
  } = {},
): Promise<IngestUnderTest> {
  const issuer = await startIssuer(options.snapshot)
  const { dataDir } = options
  const data = dataDir === undefined ? makeDataDir() : { path: dataDir, remove: () => undefined }
  mkdirSync(join(data.path, 'services'), { recursive: true })
  const credential = JSON.stringify(issuer.credential('ingest'))
  writeFileSync(join(data.path, 'services', 'ingest.json'), credential, { mode: 0o600 })
  let program: Program
  const url = () => String(program.ready.url)

  async function start(): Promise<void> {
    program = await startProgram('ingest', {
      env: ingestEnv(issuer, data.path, options.env),
      nodeOptions: options.nodeOptions ?? [],
    })
    await eventually(async () => (await fetch(`${url()}/readyz`)).ok)
  }

  await start()
  return {
    issuer,
    dataDir: data.path,
    url,
    program: () => program,
    restart: start,
    async ask(path, { token, headers = {} } = {}) {
      const bearer = token ?? (await issuer.token(audiences.ingest, 'read:readings'))
      return fetch(url() + path, { headers: { authorization: `Bearer ${bearer}`, ...headers } })
    },
    writeToken: () => issuer.token(audiences.ingest, 'write:readings'),
    async stop() {
      await program.stop()
      await issuer.stop()
      data.remove()
    },
  }
}

export function ingestEnv(
  issuer: Issuer,
  dataDir: string,
  env: Record<string, string> = {},
): Record<string, string> {
  return {
    LOTWATCH_DATA: dataDir,
    LOTWATCH_INGEST_PORT: '0',
    LOTWATCH_INGEST_ISSUER_URL: issuer.url,
    LOTWATCH_INGEST_PROVISIONING_URL: issuer.url,
    LOTWATCH_INGEST_LOG_LEVEL: 'warn',
    ...env,
  }
}
