/** Room in a full outbox, by its policy: what goes is looked up on the disk, and said in the log and to the store. */
import type { Log } from '../core/runtime/log.ts'
import { type Append, enoughRoom, type Outbox, type Room, type WhenFull } from './outbox.ts'
import type { OutboxStore } from './outbox-store.ts'

export interface MadeRoom extends Room {
  /** Where thinning stands after it; undefined: as before. */
  readonly thinFrom?: number
}

/** No reading is smaller, and for each that goes another stays. */
const readingBytesMin = 50
const lookedAtMax = 4000

/** To be made durable with the append that needs it. */
export async function makeRoom(
  { outbox, store }: { outbox: Outbox; store: Pick<OutboxStore, 'load' | 'oldest'> },
  whenFull: WhenFull,
  { overflowBytes }: Append,
  log: Log,
): Promise<MadeRoom> {
  const thinned = whenFull === 'thin_oldest' ? await thin() : enoughRoom
  // Too short to be thinned, or all of it is in flight.
  const room = thinned.deleted.length > 0 ? thinned : await dropOldest()
  if (room.deleted.length > 0)
    log.warn('outbox.dropped', {
      epoch: outbox.epoch,
      readings: room.deleted.length,
      fromSeq: room.deleted[0],
      toSeq: room.deleted.at(-1),
    })
  return room

  async function thin(): Promise<MadeRoom> {
    const want = outbox.thinnable(Math.min(lookedAtMax, 8 + Math.ceil((2 * overflowBytes) / readingBytesMin)))
    return want === undefined ? enoughRoom : outbox.thin(want, await store.load(want), overflowBytes)
  }

  async function dropOldest(): Promise<Room> {
    const fromSeq = outbox.droppableFrom
    return outbox.drop(fromSeq, await store.oldest(fromSeq, overflowBytes))
  }
}
