/** A whole running system for tests: provisioning, ingest and broker as processes of their own, each to be killed and brought back. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createTokenSource, type TokenSource } from '../../core/auth/token-source.ts'
import type { IssuedCredential } from '../../core/contract/client.ts'
import type { CredentialFile } from '../../core/contract/credential.ts'
import { audiences } from '../../core/contract/principal.ts'
import type { ReadingRow } from '../../core/contract/query.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { type Api, createApi, createFetch } from '../../core/runtime/fetch.ts'
import { eventually, freePort, makeDataDir, type Program, startProgram } from './program.ts'

export type ServiceName = 'provisioning' | 'ingest' | 'broker'

export interface SystemOptions {
  /** Settings over those of a usual system, by program. */
  readonly env?: Partial<Record<ServiceName, Readonly<Record<string, string>>>>
  /** Options of Node itself, by program. */
  readonly nodeOptions?: Partial<Record<ServiceName, readonly string[]>>
  /** Another bundle for the broker, such as one that is built to lose. */
  readonly brokerBundle?: string
}

export class System {
  readonly data: string
  readonly issuer: string
  readonly ingestUrl: string
  readonly mqttPort: number
  /** Its HTTP face. */
  readonly brokerUrl: string
  readonly #options: SystemOptions
  readonly #removeData: () => void
  readonly #env: Record<ServiceName, Record<string, string>>
  readonly #programs = new Map<ServiceName, Program>()
  #registry: Api | undefined
  #queries: Api | undefined

  private constructor(
    options: SystemOptions,
    ports: Record<'provisioning' | 'ingest' | 'broker' | 'mqtt', number>,
  ) {
    const folder = makeDataDir()
    this.data = folder.path
    this.#removeData = folder.remove
    this.#options = options
    this.issuer = `http://127.0.0.1:${ports.provisioning}`
    this.ingestUrl = `http://127.0.0.1:${ports.ingest}`
    this.mqttPort = ports.mqtt
    this.brokerUrl = `http://127.0.0.1:${ports.broker}`
    const shared = { LOTWATCH_DATA: this.data }
    this.#env = {
      provisioning: {
        ...shared,
        LOTWATCH_PROVISIONING_PORT: String(ports.provisioning),
        LOTWATCH_PROVISIONING_BROKER_URL: `mqtt://127.0.0.1:${ports.mqtt}`,
      },
      ingest: {
        ...shared,
        LOTWATCH_INGEST_PORT: String(ports.ingest),
        LOTWATCH_INGEST_ISSUER_URL: this.issuer,
        LOTWATCH_INGEST_PROVISIONING_URL: this.issuer,
      },
      broker: {
        ...shared,
        LOTWATCH_BROKER_PORT: String(ports.broker),
        LOTWATCH_BROKER_MQTT_PORT: String(ports.mqtt),
        LOTWATCH_BROKER_ISSUER_URL: this.issuer,
        LOTWATCH_BROKER_PROVISIONING_URL: this.issuer,
        LOTWATCH_BROKER_INGEST_URL: this.ingestUrl,
      },
    }
  }

  static async start(options: SystemOptions = {}): Promise<System> {
    const ports = {
      provisioning: await freePort(),
      ingest: await freePort(),
      broker: await freePort(),
      mqtt: await freePort(),
    }
    const system = new System(options, ports)
    await Promise.all([system.restart('provisioning'), system.restart('ingest'), system.restart('broker')])
    // They are up in any order, and until they have heard of each other devices are told to come back.
    for (const url of [system.ingestUrl, system.brokerUrl])
      await eventually(async () => (await fetch(`${url}/readyz`)).ok, 20_000)
    const { operator } = system
    const api = (baseUrl: string, audience: string) =>
      createApi({
        baseUrl,
        tokens: system.tokensOf(operator, audience),
        fetch: createFetch(),
        unavailable: 'system.busy',
      })
    system.#registry = api(system.issuer, audiences.provisioning)
    system.#queries = api(system.ingestUrl, audiences.ingest)
    return system
  }

  get operator(): CredentialFile {
    return readCredentialFile(join(this.data, 'operator.json'))
  }

  /** Provisioning, as the operator. */
  get registry(): Api {
    if (this.#registry === undefined) throw new Error('not started')
    return this.#registry
  }

  /** Ingest, as the operator. */
  get queries(): Api {
    if (this.#queries === undefined) throw new Error('not started')
    return this.#queries
  }

  program(name: ServiceName): Program {
    const program = this.#programs.get(name)
    if (program === undefined) throw new Error(`${name} does not run`)
    return program
  }

  /** Starts a program (again) on its own port, and waits until it is ready. */
  async restart(name: ServiceName): Promise<void> {
    const bundle = name === 'broker' ? (this.#options.brokerBundle ?? name) : name
    const program = await startProgram(bundle, {
      env: { ...this.#env[name], ...this.#options.env?.[name] },
      nodeOptions: this.#options.nodeOptions?.[name] ?? [],
    })
    this.#programs.set(name, program)
  }

  /** One more broker, on a port of its own; the caller stops it. */
  startAnotherBroker(mqttPort: number): Promise<Program> {
    const env = { ...this.#env.broker, ...this.#options.env?.broker }
    return startProgram('broker', {
      env: { ...env, LOTWATCH_BROKER_PORT: '0', LOTWATCH_BROKER_MQTT_PORT: String(mqttPort) },
    })
  }

  async kill(name: ServiceName): Promise<void> {
    await this.program(name).kill()
    this.#programs.delete(name)
  }

  tokensOf(credential: CredentialFile, audience: string): TokenSource {
    return createTokenSource({
      credential,
      audience,
      fetch: createFetch(),
      nowMs: () => performance.now(),
      random: Math.random,
    })
  }

  /** Registers a device that counts for a lot of its own name since ever. @returns its credential and the file it is in */
  async register(deviceId: string, lotId = deviceId): Promise<{ credential: CredentialFile; file: string }> {
    await this.registry.json(`/v1/lots/${lotId}`, { method: 'PUT', body: { name: lotId, capacities: [] } })
    const { credential } = await this.registry.json<IssuedCredential>('/v1/devices', {
      method: 'POST',
      body: { deviceId, lotId, assignedFromMs: 0 },
    })
    const folder = join(this.data, 'devices')
    mkdirSync(folder, { recursive: true })
    const file = join(folder, `${deviceId}.json`)
    writeFileSync(file, JSON.stringify(credential), { mode: 0o600 })
    return { credential, file }
  }

  /** An access token with which the device may CONNECT. */
  async deviceToken(credential: CredentialFile): Promise<string> {
    return (await this.tokensOf(credential, audiences.broker).get()).token
  }

  /** Every reading stored, oldest first, page by page; and whether the ledger knows of any that is missing. */
  async stored(
    query: Readonly<Record<string, string>> = {},
  ): Promise<{ rows: ReadingRow[]; complete: boolean }> {
    const rows: ReadingRow[] = []
    let cursor: string | undefined
    for (;;) {
      const page = await this.queries.json<{ rows: ReadingRow[]; complete: boolean; nextCursor?: string }>(
        '/v1/readings',
        {
          query: { from: '2000-01-02', limit: 10_000, cursor, ...query },
          timeoutMs: 30_000,
        },
      )
      rows.push(...page.rows)
      cursor = page.nextCursor
      if (cursor === undefined) return { rows, complete: page.complete }
    }
  }

  /** Everything any of the programs that run now has written. */
  lines(): string[] {
    return [...this.#programs.values()].flatMap((program) => program.lines)
  }

  async stop(): Promise<void> {
    for (const name of ['broker', 'ingest', 'provisioning'] as const) await this.#programs.get(name)?.stop()
    this.#removeData()
  }
}
