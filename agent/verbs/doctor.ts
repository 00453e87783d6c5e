/**
 * `lot-agent doctor`: goes through everything a device needs, one after the other, and says of the first that is missing
 * what to do next. It asks the agent that runs; where none does it looks for itself, and takes nothing over.
 */
import { accessSync, constants, existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { CredentialFile } from '../../core/contract/credential.ts'
import { isFleetError } from '../../core/contract/errors.ts'
import type { AgentConfig } from '../config.ts'
import type { Snapshot } from '../control.ts'
import type { Identity } from '../identity.ts'
import { toEnrol } from '../steps.ts'
import type { TimeSync } from '../time-sync.ts'

export interface Finding {
  readonly name: string
  readonly state: 'ok' | 'failed' | 'unknown'
  readonly detail?: string
  readonly next?: string
}

export interface DoctorParts {
  readonly readConfig: () => AgentConfig
  readonly readIdentity: (config: AgentConfig) => Identity
  readonly timeSync: (config: AgentConfig) => Promise<TimeSync>
  readonly tryCredential: (credential: CredentialFile, config: AgentConfig) => Promise<unknown>
  readonly ask: (config: AgentConfig) => Promise<Snapshot>
  /** Whether somebody answers there. @returns why not */
  readonly reach: (url: string) => Promise<string | undefined>
  readonly nodeVersion: string
}

const ok = (name: string, detail?: string): Finding =>
  detail === undefined ? { name, state: 'ok' } : { name, state: 'ok', detail }

/** Each finding as soon as it is made; ends early where nothing after it could be right. */
export async function* examine(parts: DoctorParts): AsyncGenerator<Finding> {
  yield nodeFinding(parts.nodeVersion)
  let config: AgentConfig
  try {
    config = parts.readConfig()
  } catch (error) {
    return yield {
      name: 'settings',
      state: 'failed',
      ...wordsOf(error),
      next: 'put these right, then run doctor again',
    }
  }
  yield ok('settings')
  yield folderFinding(config.outboxDir)
  const snapshot = await parts.ask(config).catch((error: unknown) => wordsOf(error).detail)
  if (typeof snapshot !== 'string') {
    yield ok('agent', `runs, process ${snapshot.pid}`)
    for (const { name, state, detail, next } of snapshot.steps)
      yield {
        name,
        state: state === 'ok' ? 'ok' : 'failed',
        ...(detail === undefined ? {} : { detail }),
        ...(next === undefined ? {} : { next }),
      }
    return yield queueFinding(snapshot)
  }
  yield {
    name: 'agent',
    state: 'failed',
    detail: snapshot,
    next: 'systemctl start lot-agent, or lot-agent run',
  }
  yield* withoutAgent(config, parts)
}

async function* withoutAgent(config: AgentConfig, parts: DoctorParts): AsyncGenerator<Finding> {
  let identity: Identity
  try {
    identity = parts.readIdentity(config)
  } catch (error) {
    return yield {
      name: 'enrolled',
      state: 'failed',
      ...wordsOf(error),
      next: toEnrol(existsSync(config.credentialFile)),
    }
  }
  yield ok('enrolled', identity.deviceId)
  const { isSynced } = await parts.timeSync(config)
  yield isSynced
    ? ok('clock')
    : {
        name: 'clock',
        state: 'failed',
        detail: 'not synchronized yet',
        next: 'timedatectl timesync-status; is a time server reachable (UDP 123)?',
      }
  yield { name: 'sensor', state: 'unknown', detail: 'not looked at', next: 'lot-agent sensor test' }
  try {
    await parts.tryCredential(identity.credential, config)
    yield ok('token', identity.credential.token_endpoint)
  } catch (error) {
    const isAway = isFleetError(error) && error.kind === 'unavailable'
    yield {
      name: 'token',
      state: 'failed',
      ...wordsOf(error),
      next: isAway
        ? 'is the server reachable from here?'
        : 'is the device suspended or its credential revoked? Else: lot-agent enrol --again',
    }
  }
  const fault = await parts.reach(identity.broker.url)
  yield fault === undefined
    ? ok('MQTT', `${identity.broker.url} answers`)
    : {
        name: 'MQTT',
        state: 'failed',
        detail: `${identity.broker.url}: ${fault}`,
        next: 'is it reachable from here?',
      }
}

function nodeFinding(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return ok('node', version)
  return { name: 'node', state: 'failed', detail: version, next: 'Node 20.19 or newer' }
}

/** The service may own it: then only root and the service can say. */
function folderFinding(outboxDir: string): Finding {
  const folder = dirname(resolve(outboxDir))
  try {
    accessSync(folder, constants.R_OK | constants.W_OK)
    return ok('folder', folder)
  } catch (error) {
    return {
      name: 'folder',
      state: 'failed',
      detail: `${folder}: ${(error as NodeJS.ErrnoException).code ?? 'cannot be used'}`,
      next: 'make it, for the user of the agent alone; or run this as root',
    }
  }
}

function queueFinding({ status: { queue, dropped } }: Snapshot): Finding {
  const detail = `${queue.readings} readings wait`
  if (dropped > 0)
    return {
      name: 'queue',
      state: 'failed',
      detail: `${detail}; ${dropped} were dropped: it was full`,
      next: 'was the device away for long? outboxBytesMax',
    }
  return ok('queue', detail)
}

function wordsOf(error: unknown): { detail: string } {
  if (!isFleetError(error)) return { detail: error instanceof Error ? error.message : String(error) }
  return { detail: [error.message, ...error.faults].join('; ') }
}
