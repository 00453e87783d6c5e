/**
 * An outbox on its way to the broker: it sends what the window allows, reads ahead what it will allow next, and forgets
 * what is settled. Nothing is kept here, and nothing is let go of.
 */
import { isFleetError } from '../core/contract/errors.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Outbox } from './outbox.ts'
import type { OutboxStore } from './outbox-store.ts'
import type { Uplink } from './uplink.ts'

export interface LaneParts {
  readonly outbox: Outbox
  readonly store: Pick<OutboxStore, 'load' | 'forget'>
  readonly uplink: Pick<Uplink, 'isConnected' | 'send'>
  readonly log: Log
  /** What was read is not as it was written: nothing more is sent of it. */
  readonly onCorrupt: () => void
  /** Something else is wrong that cannot be. */
  readonly onBroken: (error: unknown) => void
}

export interface Lane {
  pump(): void
  /** @returns how many readings the message had; undefined: it is none of this lane */
  settle(id: number): number | undefined
  /** The connection is gone. */
  fail(): void
  /** Sends nothing more; what is settled is forgotten still. */
  stop(): void
}

export function createLane(parts: LaneParts): Lane {
  const { log, outbox, store, uplink } = parts
  let isLoading = false
  let isStopped = false

  function pump(): void {
    if (!uplink.isConnected || isStopped) return
    for (let message = outbox.take(); message !== undefined; message = outbox.take())
      uplink.send(message.id, message.payload)
    // Asked only when it can be read: another question would make what is being read worthless, and a sensor that is
    // quicker than the disk asks again each time.
    const want = isLoading ? undefined : outbox.wants()
    if (want === undefined) return
    isLoading = true
    store.load(want).then(
      (records) => {
        isLoading = false
        outbox.loaded(want, records)
        pump()
      },
      (error: unknown) => {
        isLoading = false
        if (isStopped) return
        // A disk that is away now is asked again when something is kept or settled.
        if (isFleetError(error, 'outbox.unavailable')) return log.error('outbox.unavailable', { error })
        isStopped = true
        if (isFleetError(error, 'outbox.corrupt')) parts.onCorrupt()
        else parts.onBroken(error)
      },
    )
  }

  return {
    pump,
    settle(id) {
      const done = outbox.settle(id)
      if (done === undefined) return undefined
      store.forget(done.sequences, done.notesChanged ? outbox.notes() : undefined).catch((error: unknown) => {
        // What could not be deleted is sent again after a restart, and recognised.
        log.error('outbox.unavailable', { error })
      })
      pump()
      return done.sequences.length
    },
    fail: () => outbox.fail(),
    stop() {
      isStopped = true
    },
  }
}
