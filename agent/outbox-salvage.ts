/**
 * An outbox that cannot be trusted any more: set aside beside the new one, whose epoch names it, and remembered until
 * everything that can be read of it has been sent as what it was. Folders are its memory: `<outbox>.corrupt-<time>` as
 * it was found, `<outbox>.salvage-<time>` what can be read of it and is still to be sent. Of the former only the newest
 * is kept once its readings are sent, for whoever wants to know what happened.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Epoch } from '../core/contract/device.ts'
import { isFleetError } from '../core/contract/errors.ts'
import { type OutboxStore, openOutboxStore, rebuildOutbox } from './outbox-store.ts'
import { readTestimony } from './outbox-witness.ts'

export interface OpenedOutbox {
  readonly store: OutboxStore
  /** Where the one before it was moved just now. */
  readonly setAside: string | undefined
}

/** Where the outbox of a device lies, with what was set aside. */
export interface OutboxFolder {
  /**
   * Opens the outbox; one that is not as it was written is set aside, and a new epoch begins that names it.
   * @param isCorrupt that was seen already
   * @throws FleetError `store.locked`, `outbox.unavailable`
   */
  open(isCorrupt?: boolean): Promise<OpenedOutbox>
  /** The oldest outbox that was set aside and is not sent yet. */
  nextSalvage(): Promise<Salvage | undefined>
}

export interface Salvage {
  readonly dir: string
  readonly store: OutboxStore
  /** All of it is sent: it is closed and goes. */
  done(): Promise<void>
}

/** @param options.newEpoch 64 random bits */
export function createOutboxFolder(
  dir: string,
  options: { newEpoch: () => Epoch; nowMs: () => number },
): OutboxFolder {
  const { newEpoch } = options

  /** Unfinished work is a folder `….part`, so that a crash in between leaves it to be done again. */
  async function setAside(): Promise<string> {
    const time = new Date(options.nowMs()).toISOString().replace(/[:.]/g, '-')
    const corrupt = `${dir}.corrupt-${time}`
    await mkdir(`${dir}.salvage-${time}.part`)
    await rename(dir, corrupt)
    for (const other of await siblings(dir, 'corrupt'))
      if (other !== corrupt) await rm(other, { recursive: true })
    await salvage()
    return corrupt
  }

  async function salvage(): Promise<void> {
    for (const part of (await siblings(dir, 'salvage')).filter(isPart)) {
      const whole = part.slice(0, -partEnding.length)
      const corrupt = whole.replace(/\.salvage-([^/]*)$/, '.corrupt-$1')
      await rm(part, { recursive: true })
      if (!existsSync(corrupt)) continue
      // Beyond reading: the new epoch begins without naming it.
      if (await rebuildOutbox(corrupt, part)) await rename(part, whole)
      else await rm(part, { recursive: true })
    }
  }

  async function openStore(): Promise<OutboxStore> {
    const latest = existsSync(dir) ? undefined : (await siblings(dir, 'salvage')).at(-1)
    const testimony = latest === undefined ? undefined : readTestimony(latest)
    const previous =
      testimony === undefined || testimony.nextSeq === 0
        ? undefined
        : { epoch: testimony.epoch, lastSeq: testimony.nextSeq - 1 }
    return openOutboxStore(dir, { newEpoch, previous })
  }

  return {
    async open(isCorrupt = false) {
      await salvage()
      try {
        if (!isCorrupt) return { store: await openStore(), setAside: undefined }
      } catch (error) {
        if (!isFleetError(error, 'outbox.corrupt')) throw error
      }
      const corrupt = await setAside()
      return { store: await openStore(), setAside: corrupt }
    },
    async nextSalvage() {
      const oldest = (await siblings(dir, 'salvage')).find((name) => !isPart(name))
      if (oldest === undefined) return undefined
      const store = await openOutboxStore(oldest, { newEpoch, previous: undefined })
      return {
        dir: oldest,
        store,
        async done() {
          await store.close()
          await rm(oldest, { recursive: true })
        },
      }
    },
  }
}

const partEnding = '.part'
const isPart = (name: string) => name.endsWith(partEnding)

/** Oldest first: their names end with the time. */
async function siblings(dir: string, kind: 'corrupt' | 'salvage'): Promise<string[]> {
  const parent = dirname(dir)
  const names = await readdir(parent).catch(() => []) // not there yet
  return names
    .filter((name) => name.startsWith(`${basename(dir)}.${kind}-`))
    .sort()
    .map((name) => join(parent, name))
}
