/**
 * What comes down to the device and what it makes of it: configuration is taken on by whoever holds it, commands are
 * done one after the other and answered on `replies`, each once, however often it comes and whatever happens meanwhile.
 */
import { Value } from 'typebox/value'
import { CommandMessage, ConfigMessage, type ReplyMessage } from '../core/contract/downlink.ts'
import { isFleetError } from '../core/contract/errors.ts'
import { countMax } from '../core/contract/reading.ts'
import type { Log } from '../core/runtime/log.ts'
import type { CommandEntry, CommandLog } from './command-log.ts'
import type { ReceivedTopic } from './uplink.ts'

export interface DownlinkParts {
  readonly commands: CommandLog
  readonly onConfig: (message: ConfigMessage) => void
  /** Resolves to whether PUBACK came. */
  readonly reply: (payload: string) => Promise<boolean>
  readonly doings: Doings
  readonly nowMs: () => number
  readonly log: Log
}

/** What commands do; what they resolve to is told. */
export interface Doings {
  readonly ping: () => unknown
  /** Sends a status now. */
  readonly report: () => Promise<boolean>
  /** Absent: the sensor cannot be told. */
  readonly setCount: ((occupied: number) => Promise<void>) | undefined
  /** Gets a new credential, tried. */
  readonly rotate: () => Promise<{ credentialId: string | undefined }>
  /** Begins a restart; the answer is given by who comes back. */
  readonly restart: () => void
}

export interface Downlink {
  received(topic: ReceivedTopic, payload: string): void
  /** What was answered and not heard is told again; what an earlier process left is done. */
  connected(): void
  /** Nothing more is begun. */
  stop(): void
}

class Failed extends Error {}

export function createDownlink(parts: DownlinkParts): Downlink {
  const { commands, doings, log } = parts
  let turn: Promise<void> = Promise.resolve()
  let isStopped = false
  let left = commands.begun
  const telling = new Set<string>()

  function received(topic: ReceivedTopic, payload: string): void {
    const message = parse(payload)
    if (topic === 'config' && Value.Check(ConfigMessage, message)) parts.onConfig(message)
    else if (topic === 'commands' && Value.Check(CommandMessage, message)) take(message)
    else log.warn('downlink.invalid', { topic, bytes: payload.length })
  }

  function take(command: CommandMessage): void {
    try {
      if (!commands.begin(command, parts.nowMs())) return
    } catch (error) {
      // It stays with the broker's side and can be sent again.
      log.error('command.not_kept', { commandId: command.commandId, error })
      return
    }
    log.info('command.taken', { commandId: command.commandId, name: command.name })
    work(command, false)
  }

  function work(command: Omit<CommandEntry, 'told' | 'reply'>, isAgain: boolean): void {
    turn = turn.then(async () => {
      const { commandId } = command
      // It is noted, and whoever opens this device next answers for it.
      if (isStopped) return
      const outcome = await outcomeOf(command, isAgain).catch((error: unknown) => {
        if (!(error instanceof Failed)) log.warn('command.failed', { commandId, name: command.name, error })
        return failureOf(error)
      })
      if (outcome === undefined) return
      const reply: ReplyMessage = { v: 1, commandId, ...outcome }
      log.info('command.done', { commandId, name: command.name, state: reply.state, error: reply.error })
      commands.answer(reply)
      void tell(reply)
    })
    turn.catch((error: unknown) => log.error('command.not_kept', { commandId: command.commandId, error }))
    turn = turn.catch(() => undefined) // told above; the next in turn goes on
  }

  /** @returns undefined when the answer is not ours to give */
  async function outcomeOf(
    { name, arguments: given = {}, expiresAtMs }: Omit<CommandEntry, 'told' | 'reply'>,
    isAgain: boolean,
  ): Promise<Outcome | undefined> {
    if (!isAgain && expiresAtMs <= parts.nowMs()) throw new Failed('it had expired when it came')
    switch (name) {
      case 'ping':
        return { state: 'succeeded', result: doings.ping() }
      case 'report':
        if (!(await doings.report())) throw new Failed('the status was not acknowledged')
        return { state: 'succeeded' }
      case 'set-count': {
        if (isAgain) throw new Failed('the device was interrupted; whether the count was set is not known')
        const { occupied } = given
        if (
          typeof occupied !== 'number' ||
          !Number.isInteger(occupied) ||
          occupied < 0 ||
          occupied > countMax
        )
          throw new Failed('occupied: is not an integer, 0 or more')
        if (doings.setCount === undefined)
          throw new Failed('the sensor of this device measures and takes no count')
        await doings.setCount(occupied)
        return { state: 'succeeded', result: { occupied } }
      }
      case 'rotate':
        return { state: 'succeeded', result: await doings.rotate() }
      case 'restart':
        if (isAgain) return { state: 'succeeded', result: doings.ping() }
        isStopped = true
        doings.restart()
        return undefined
      default:
        throw new Failed('the device does not know this command')
    }
  }

  async function tell(reply: ReplyMessage): Promise<void> {
    if (telling.has(reply.commandId)) return
    telling.add(reply.commandId)
    try {
      if (await parts.reply(JSON.stringify(reply))) commands.told(reply.commandId)
    } catch (error) {
      log.error('command.not_kept', { commandId: reply.commandId, error })
    } finally {
      telling.delete(reply.commandId)
    }
  }

  return {
    received,
    connected() {
      for (const entry of left) work(entry, true)
      left = []
      for (const reply of commands.answers) void tell(reply)
    },
    stop() {
      isStopped = true
    },
  }
}

type Outcome = Pick<ReplyMessage, 'state' | 'result' | 'error'>

/** Of what nobody expected the log has more. */
function failureOf(error: unknown): Outcome {
  const words = error instanceof Failed || isFleetError(error) ? error.message : 'the device could not do it'
  return { state: 'failed', error: words.slice(0, 500) }
}

function parse(payload: string): unknown {
  try {
    return JSON.parse(payload)
  } catch {
    return undefined // said to be invalid by who asked
  }
}
