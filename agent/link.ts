/**
 * The connection of whoever the device is now: waits for a credential where there is none, and takes on a new one
 * when the file changes, by a new token where only the credential is another, by a new connection otherwise.
 * To the flow it is an uplink like any other: counting never waits for it.
 */
import { statSync } from 'node:fs'
import type { AccessToken, TokenSource } from '../core/auth/token-source.ts'
import { isFleetError } from '../core/contract/errors.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Identity } from './identity.ts'
import type { SideTopic, Uplink, UplinkEvents } from './uplink.ts'

export interface LinkState {
  readonly identity: Identity | undefined
  /** Why there is none that is good. */
  readonly identityFault: string | undefined
  /** Whether the last request for a token got one, and why not; undefined: none was made. */
  readonly token: 'ok' | { readonly fault: string } | undefined
  readonly isConnected: boolean
  /** Why the last attempt to connect failed; undefined while connected, or before the first. */
  readonly connectFault: string | undefined
  readonly clockOffsetMs: number | undefined
  /** Messages with readings that were acknowledged under this credential. */
  readonly acknowledged: number
  /** When the credential file was written, Unix milliseconds. */
  readonly credentialAtMs: number | undefined
}

export interface Link extends Uplink {
  state(): LinkState
  /** Looks at the credential file now. */
  look(): void
}

export interface LinkOptions {
  readonly credentialFile: string
  /** @throws FleetError when the file is missing or wrong */
  readonly readIdentity: () => Identity
  readonly createTokens: (identity: Identity) => TokenSource
  readonly createUplink: (
    identity: Identity,
    tokens: TokenSource,
    onFault: (reason: string) => void,
  ) => Uplink
  readonly lookEveryMs: number
  readonly log: Log
}

interface Current {
  identity: Identity
  tokens: TokenSource
  readonly uplink: Uplink
  isStarted: boolean
  token: LinkState['token']
  connectFault: string | undefined
  acknowledged: number
}

export function createLink(options: LinkOptions): Link {
  const { log } = options
  let current: Current | undefined
  let seen: string | undefined
  let identityFault: string | undefined
  let events: UplinkEvents | undefined
  let timer: NodeJS.Timeout | undefined
  let isStopped = false
  /** One uplink at a time: a new one begins when the old one has ended. */
  let turn: Promise<void> = Promise.resolve()

  function look(): void {
    const stamp = stampOf(options.credentialFile)
    if (stamp === seen || isStopped) return
    seen = stamp
    try {
      take(options.readIdentity())
      identityFault = undefined
    } catch (error) {
      // Whoever is connected stays so: a file that is gone or wrong takes nothing away.
      identityFault = error instanceof Error ? error.message : String(error)
      if (stamp !== undefined) log.error('credential.invalid', { error })
    }
  }

  function take(identity: Identity): void {
    const before = current
    if (before !== undefined && isSamePlace(before.identity, identity)) {
      before.identity = identity
      before.tokens = options.createTokens(identity)
      before.acknowledged = 0
      before.uplink.renew()
      log.info('credential.changed', { credentialId: identity.credential.credentialId })
      return
    }
    const next = open(identity)
    current = next
    if (before !== undefined) turn = turn.then(() => before.uplink.stop())
    turn = turn.then(() => begin(next))
    log.info('credential.taken', {
      enrolledAs: identity.deviceId,
      credentialId: identity.credential.credentialId,
    })
  }

  function begin(entry: Current): void {
    if (entry !== current || events === undefined || isStopped || entry.isStarted) return
    entry.isStarted = true
    entry.uplink.start(heardBy(entry, events))
  }

  function open(identity: Identity): Current {
    const tokens: TokenSource = {
      get: () => noted(entry, entry.tokens.get()),
      invalidate: (token) => entry.tokens.invalidate(token),
    }
    const onFault = (reason: string) => {
      entry.connectFault = reason
    }
    const entry: Current = {
      identity,
      tokens: options.createTokens(identity),
      uplink: options.createUplink(identity, tokens, onFault),
      isStarted: false,
      token: undefined,
      connectFault: undefined,
      acknowledged: 0,
    }
    return entry
  }

  look()
  return {
    get isConnected() {
      return current?.uplink.isConnected ?? false
    },
    start(given) {
      events = given
      if (current !== undefined) begin(current)
      timer = setInterval(look, options.lookEveryMs)
    },
    send: (id, payload) => current?.uplink.send(id, payload),
    publish: async (topic: SideTopic, payload) => current?.uplink.publish(topic, payload) ?? false,
    renew: () => current?.uplink.renew(),
    look,
    state: () => ({
      identity: current?.identity,
      identityFault,
      token: current?.token,
      isConnected: current?.uplink.isConnected ?? false,
      connectFault: current?.uplink.isConnected ? undefined : current?.connectFault,
      clockOffsetMs: current?.tokens.clockOffsetMs,
      acknowledged: current?.acknowledged ?? 0,
      credentialAtMs: mtimeOf(options.credentialFile),
    }),
    async stop() {
      isStopped = true
      clearInterval(timer)
      await turn
      await current?.uplink.stop()
    },
  }
}

function heardBy(entry: Current, events: UplinkEvents): UplinkEvents {
  return {
    ...events,
    onSettled(id) {
      entry.acknowledged++
      events.onSettled(id)
    },
  }
}

async function noted(entry: Current, asking: Promise<AccessToken>): Promise<AccessToken> {
  try {
    const token = await asking
    entry.token = 'ok'
    return token
  } catch (error) {
    entry.token = { fault: isFleetError(error) ? error.message : String(error) }
    throw error
  }
}

/** Only the credential may differ: everything that a connection is made with is the same. */
function isSamePlace(a: Identity, b: Identity): boolean {
  return a.deviceId === b.deviceId && JSON.stringify(a.broker) === JSON.stringify(b.broker)
}

function stampOf(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat === undefined ? undefined : `${stat.ino} ${stat.mtimeMs} ${stat.size} ${stat.mode}`
}

function mtimeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs
}
