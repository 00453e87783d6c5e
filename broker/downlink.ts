/**
 * What goes down: for each device its desired configuration and the commands that wait for it, as the feed tells, and
 * what of that its connection has been sent. Pure; the connection sends. A device that takes nothing holds up nobody:
 * so many messages go to it without PUBACK, so many commands wait behind them, and the oldest goes when there are more.
 */
import { type DeviceId, parseDeviceId } from '../core/contract/device.ts'
import type { Command, CommandMessage, ConfigMessage, DesiredConfig } from '../core/contract/downlink.ts'
import type { FeedEvent } from '../core/contract/feed.ts'
import { type receivedTopics, topicOf } from '../core/contract/topic.ts'
import type { Delivered } from './engine/engine.ts'

type Kind = (typeof receivedTopics)[number]

/** The connection of a device, as far as it takes messages. */
export interface Receiver {
  readonly deviceId: DeviceId
  deliver(topic: string, payload: Uint8Array, acknowledged: () => void): Delivered
}

export interface DownlinkLimits {
  /** Messages sent to a device and not acknowledged at most. */
  readonly windowMax: number
  /** Commands that wait for a device at most. */
  readonly waitingMax: number
}

export const downlinkLimits: DownlinkLimits = { windowMax: 8, waitingMax: 64 }

export interface DownlinkOptions {
  readonly limits?: DownlinkLimits
  /** Unix milliseconds, by which commands expire. */
  readonly now: () => number
  /** PUBACK of a command has come. */
  readonly onDelivered: (deviceId: DeviceId, commandId: string) => void
  readonly onSent?: (kind: Kind) => void
  /** A command was forgotten here because too many wait for its device; the registry still has it. */
  readonly onDropped?: (deviceId: DeviceId, commandId: string) => void
}

interface WaitingCommand {
  readonly payload: Uint8Array
  readonly expiresAtMs: number
}

/** What one connection has been sent. */
interface Outgoing {
  readonly receiver: Receiver
  unacknowledged: number
  configVersion: number | undefined
  /** In the window; or told, which is not said to have arrived and comes again with the next SUBSCRIBE. */
  readonly commands: Map<string, 'sent' | 'told'>
}

export class Downlink {
  readonly #limits: DownlinkLimits
  readonly #options: DownlinkOptions
  /** As many as the registry has; each as the bytes that go out. */
  readonly #configs = new Map<DeviceId, { readonly version: number; readonly payload: Uint8Array }>()
  /** By command identifier, oldest first. */
  readonly #waiting = new Map<DeviceId, Map<string, WaitingCommand>>()
  /** Acknowledged by the device, and until when the feed may still call it pending. */
  readonly #delivered = new Map<string, number>()
  /** Of the devices that have subscribed. */
  readonly #outgoing = new Map<DeviceId, Outgoing>()

  constructor(options: DownlinkOptions) {
    this.#options = options
    this.#limits = options.limits ?? downlinkLimits
  }

  /** Commands that wait for their devices. */
  get waitingCount(): number {
    let count = 0
    for (const commands of this.#waiting.values()) count += commands.size
    return count
  }

  hear(event: FeedEvent): void {
    if (event.type === 'snapshot') {
      this.#configs.clear()
      this.#waiting.clear()
      for (const config of event.data.configs) this.#noteConfig(config)
      for (const command of event.data.commands) this.#noteCommand(command)
      for (const outgoing of this.#outgoing.values()) this.#send(outgoing)
    } else if (event.type === 'config') {
      this.#sendTo(this.#noteConfig(event.data))
    } else if (event.type === 'command') {
      this.#sendTo(this.#noteCommand(event.data))
    }
  }

  /** A SUBSCRIBE was granted. The configuration is sent, also when this connection had it before. */
  subscribed(receiver: Receiver): void {
    let outgoing = this.#outgoing.get(receiver.deviceId)
    if (outgoing?.receiver !== receiver) {
      outgoing = { receiver, unacknowledged: 0, configVersion: undefined, commands: new Map() }
      this.#outgoing.set(receiver.deviceId, outgoing)
    }
    outgoing.configVersion = undefined
    for (const [commandId, how] of outgoing.commands) if (how === 'told') outgoing.commands.delete(commandId)
    this.#send(outgoing)
  }

  /** The connection is gone: what it did not acknowledge waits for the next one. */
  closed(receiver: Receiver): void {
    if (this.#outgoing.get(receiver.deviceId)?.receiver === receiver) this.#outgoing.delete(receiver.deviceId)
  }

  /** Forgets what has expired. */
  sweep(): void {
    const nowMs = this.#options.now()
    for (const [deviceId, commands] of this.#waiting) {
      for (const [commandId, { expiresAtMs }] of commands)
        if (expiresAtMs <= nowMs) commands.delete(commandId)
      if (commands.size === 0) this.#waiting.delete(deviceId)
    }
    for (const [commandId, untilMs] of this.#delivered)
      if (untilMs <= nowMs) this.#delivered.delete(commandId)
  }

  #noteConfig(desired: DesiredConfig): DeviceId | undefined {
    const deviceId = parseDeviceId(desired.deviceId)
    if (deviceId === undefined) return undefined
    const { version, config } = desired
    this.#configs.set(deviceId, {
      version,
      payload: encode({ v: 1, version, config } satisfies ConfigMessage),
    })
    return deviceId
  }

  #noteCommand(command: Command): DeviceId | undefined {
    const deviceId = parseDeviceId(command.deviceId)
    if (deviceId === undefined) return undefined
    const { commandId, name, expiresAtMs } = command
    const waiting = this.#waiting.get(deviceId) ?? new Map<string, WaitingCommand>()
    if (command.state !== 'pending' || this.#delivered.has(commandId)) {
      waiting.delete(commandId)
      if (command.state !== 'pending') this.#delivered.delete(commandId)
      if (waiting.size === 0) this.#waiting.delete(deviceId)
      return undefined
    }
    const given = command.arguments === undefined ? {} : { arguments: command.arguments }
    const message: CommandMessage = { v: 1, commandId, name, ...given, expiresAtMs }
    waiting.set(commandId, { payload: encode(message), expiresAtMs })
    this.#waiting.set(deviceId, waiting)
    const [oldest] = waiting.keys()
    if (waiting.size > this.#limits.waitingMax && oldest !== undefined) {
      waiting.delete(oldest)
      this.#options.onDropped?.(deviceId, oldest)
    }
    return deviceId
  }

  #sendTo(deviceId: DeviceId | undefined): void {
    const outgoing = deviceId === undefined ? undefined : this.#outgoing.get(deviceId)
    if (outgoing !== undefined) this.#send(outgoing)
  }

  /** As much as the window allows: the newest configuration first, then commands in the order in which they were given. */
  #send(outgoing: Outgoing): void {
    const { deviceId } = outgoing.receiver
    const config = this.#configs.get(deviceId)
    if (config !== undefined && config.version !== outgoing.configVersion && this.#hasRoom(outgoing)) {
      const sent = this.#deliver(outgoing, 'config', config.payload, () => undefined)
      if (sent !== 'unheard') outgoing.configVersion = config.version
    }
    const nowMs = this.#options.now()
    for (const [commandId, { payload, expiresAtMs }] of this.#waiting.get(deviceId) ?? []) {
      if (!this.#hasRoom(outgoing)) return
      if (outgoing.commands.has(commandId) || expiresAtMs <= nowMs) continue
      const delivered = this.#deliver(outgoing, 'commands', payload, () => {
        outgoing.commands.delete(commandId)
        this.#acknowledged(deviceId, commandId, expiresAtMs)
      })
      if (delivered === 'unheard') return
      outgoing.commands.set(commandId, delivered)
    }
  }

  #hasRoom({ unacknowledged }: Outgoing): boolean {
    return unacknowledged < this.#limits.windowMax
  }

  #deliver(outgoing: Outgoing, kind: Kind, payload: Uint8Array, acknowledged: () => void): Delivered {
    const { receiver } = outgoing
    const delivered = receiver.deliver(topicOf(receiver.deviceId, kind), payload, () => {
      outgoing.unacknowledged--
      acknowledged()
      // A connection that was replaced meanwhile has nothing more to get.
      if (this.#outgoing.get(receiver.deviceId) === outgoing) this.#send(outgoing)
    })
    if (delivered === 'sent') outgoing.unacknowledged++
    if (delivered !== 'unheard') this.#options.onSent?.(kind)
    return delivered
  }

  #acknowledged(deviceId: DeviceId, commandId: string, expiresAtMs: number): void {
    this.#waiting.get(deviceId)?.delete(commandId)
    this.#delivered.set(commandId, expiresAtMs)
    this.#options.onDelivered(deviceId, commandId)
  }
}

function encode(message: ConfigMessage | CommandMessage): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message))
}
