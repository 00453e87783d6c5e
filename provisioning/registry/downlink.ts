/** What goes down to devices: desired configuration, commands and what became of them. */
import { isDeepStrictEqual } from 'node:util'
import {
  argumentsCharsMax,
  type Command,
  type CommandOutcome,
  type CommandRequest,
  configCharsMax,
  type DesiredConfig,
} from '../../core/contract/downlink.ts'
import type { RegistryRepository } from '../repository/repository.ts'
import { type By, type Changes, conflict, invalid, notFound, requireMatch } from './changes.ts'
import { refuseRetired, requireDevice } from './devices.ts'

export interface Downlink {
  /** What the device is to be configured with; the version counts up when it changes. */
  setConfig(by: By, deviceId: string, config: DesiredConfig['config']): Promise<DesiredConfig>
  /** @throws FleetError `request.not_found` */
  findConfig(deviceId: string): Promise<DesiredConfig>
  command(by: By, deviceId: string, request: CommandRequest): Promise<Command>
  /** @throws FleetError `request.not_found` */
  findCommand(commandId: string): Promise<Command>
  /** Newest first. */
  commandsOf(deviceId: string, limit: number): Promise<readonly Command[]>
  /** What became of a command; one that has come to its end stays as it is. */
  settle(commandId: string, outcome: CommandOutcome): Promise<Command>
}

const commandLifeSec = 24 * 3600

export function createDownlink(options: {
  repository: RegistryRepository
  changes: Changes
  newId: (prefix: string) => string
  /** Wall clock, Unix milliseconds. */
  now: () => number
}): Downlink {
  const { repository, changes, now } = options
  /** A command that nobody delivered in time is shown as what it is; the record follows when something happens to it. */
  const asNow = (command: Command): Command =>
    command.state === 'pending' && command.expiresAtMs <= now()
      ? { ...command, state: 'expired', changedAtMs: command.expiresAtMs }
      : command

  return {
    setConfig(by, deviceId, config) {
      if (JSON.stringify(config).length > configCharsMax)
        throw invalid(`the configuration is longer than ${configCharsMax} characters`)
      return changes.make(by, async (view) => {
        refuseRetired(await requireDevice(view, deviceId))
        const before = await view.findConfig(deviceId)
        requireMatch(by, before)
        if (before !== undefined && isDeepStrictEqual(before.config, config)) return { answer: before }
        const version = (before?.version ?? 0) + 1
        const after: DesiredConfig = { deviceId, version, config, setAtMs: now() }
        const audit = {
          actor: by.actor,
          verb: 'device.configured',
          subject: deviceId,
          before,
          after,
        } as const
        return { changes: [{ audit, config: after }], answer: after }
      })
    },
    async findConfig(deviceId) {
      const config = await repository.findConfig(deviceId)
      if (config === undefined) throw notFound(`no configuration was set for ${deviceId}`)
      return config
    },
    command(by, deviceId, { lifeSec = commandLifeSec, ...request }) {
      if (JSON.stringify(request.arguments ?? {}).length > argumentsCharsMax)
        throw invalid(`the arguments are longer than ${argumentsCharsMax} characters`)
      return changes.make(by, async (view) => {
        refuseRetired(await requireDevice(view, deviceId))
        const createdAtMs = now()
        const command: Command = {
          commandId: options.newId('cmd'),
          deviceId,
          ...request,
          createdAtMs,
          expiresAtMs: createdAtMs + lifeSec * 1000,
          state: 'pending',
          changedAtMs: createdAtMs,
        }
        const audit = {
          actor: by.actor,
          verb: 'device.commanded',
          subject: deviceId,
          after: command,
        } as const
        return { changes: [{ audit, command }], answer: command }
      })
    },
    async findCommand(commandId) {
      const command = await repository.findCommand(commandId)
      if (command === undefined) throw notFound(`there is no command ${commandId}`)
      return asNow(command)
    },
    async commandsOf(deviceId, limit) {
      await requireDevice(repository, deviceId)
      return (await repository.commandsOf(deviceId, limit)).map(asNow)
    },
    settle(commandId, { deviceId, state, reply }) {
      return repository.change(async (view) => {
        const before = await view.findCommand(commandId)
        if (before?.deviceId !== deviceId) throw notFound(`there is no command ${commandId}`)
        if (before.state === state) return { answer: before }
        if (before.state !== 'pending' && before.state !== 'delivered')
          throw conflict(`${commandId} is ${before.state}`)
        const command: Command = {
          ...before,
          state,
          ...(reply === undefined ? {} : { reply }),
          changedAtMs: now(),
        }
        return { changes: [{ command }], answer: command }
      })
    },
  }
}
