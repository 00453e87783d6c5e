/**
 * Which commands this device knows, and how far it is with each: begun, answered, told. On disk before anything is done,
 * so that a command that comes twice, or a power cut in the middle, neither does it twice nor leaves it without an answer.
 */
import { type Static, Type } from 'typebox'
import { type CommandMessage, ReplyMessage } from '../core/contract/downlink.ts'
import { Identifier, TimestampMs } from '../core/contract/registry.ts'
import { readKept, writeKept } from './kept-file.ts'

const Entry = Type.Object({
  commandId: Identifier,
  name: Type.String(),
  arguments: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  expiresAtMs: TimestampMs,
  /** Absent: begun. */
  reply: Type.Optional(ReplyMessage),
  /** The broker has acknowledged the reply. */
  told: Type.Boolean(),
})
export type CommandEntry = Static<typeof Entry>

const LogFile = Type.Object({ v: Type.Literal(1), commands: Type.Array(Entry) })

/** Beyond it those that expire first are forgotten, which were told long ago. */
const entriesMax = 256

export interface CommandLog {
  /** @returns false when it is known already */
  begin(command: CommandMessage, nowMs: number): boolean
  answer(reply: ReplyMessage): void
  told(commandId: string): void
  /** Not answered yet. */
  readonly begun: readonly CommandEntry[]
  /** Answered, and not told. */
  readonly answers: readonly ReplyMessage[]
}

/** What the file system says is thrown: a command that cannot be noted must not be begun. */
export function openCommandLog(outboxDir: string): CommandLog {
  const path = `${outboxDir}.commands.json`
  let commands = readKept(path, LogFile)?.commands ?? []

  function keep(next: CommandEntry[]): void {
    writeKept(path, { v: 1, commands: next })
    commands = next
  }
  const change = (commandId: string, by: (entry: CommandEntry) => CommandEntry) =>
    keep(commands.map((entry) => (entry.commandId === commandId ? by(entry) : entry)))

  return {
    begin({ commandId, name, arguments: given, expiresAtMs }, nowMs) {
      if (commands.some((entry) => entry.commandId === commandId)) return false
      const entry: CommandEntry = {
        commandId,
        name,
        ...(given === undefined ? {} : { arguments: given }),
        expiresAtMs,
        told: false,
      }
      // Nobody sends it after its time.
      const kept = commands.filter((one) => !one.told || one.expiresAtMs > nowMs)
      const spare = kept.filter(({ told }) => told).toSorted((a, b) => a.expiresAtMs - b.expiresAtMs)
      const gone = new Set(spare.slice(0, Math.max(0, kept.length + 1 - entriesMax)))
      keep([...kept.filter((one) => !gone.has(one)), entry])
      return true
    },
    answer: (reply) => change(reply.commandId, (entry) => ({ ...entry, reply })),
    told: (commandId) => change(commandId, (entry) => ({ ...entry, told: true })),
    get begun() {
      return commands.filter(({ reply }) => reply === undefined)
    },
    get answers() {
      return commands.flatMap(({ reply, told }) => (reply === undefined || told ? [] : [reply]))
    },
  }
}
