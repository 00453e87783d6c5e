/** A device without network, to be killed: keeps and settles as fast as it can, and says what is promised. */
import { once } from 'node:events'
import { ClassicLevel } from 'classic-level'
import { enoughRoom, Outbox } from '../../../agent/outbox.ts'
import { openOutboxStore } from '../../../agent/outbox-store.ts'
import { type Epoch, parseEpoch } from '../../../core/contract/device.ts'
import { placeOf, takenOf } from './taken.ts'

/** What the parent hears. */
export type Said =
  | { readonly ready: object }
  | { readonly durable: number }
  | { readonly settled: readonly number[] }

/** Resolves when the word has left this process: a kill cannot take it back. */
const say = (word: Said) => new Promise((said) => process.send?.(word, said))
// The control that must lose: the same device, whose disk is never told to sync.
if (process.argv[3] === 'unsynced') {
  const batch: (this: unknown, operations: unknown, options: object) => unknown = ClassicLevel.prototype
    .batch as never
  Object.assign(ClassicLevel.prototype, {
    batch(operations: unknown, options: object) {
      return batch.call(this, operations, { ...options, sync: false })
    },
  })
}
const store = await openOutboxStore(process.argv[2] ?? '', {
  newEpoch: () => parseEpoch('9f0c3a77d1e2b465') as Epoch,
  previous: undefined,
})
const outbox = new Outbox(store.contents, { windowMessages: 5, bytesMax: 2 ** 30, whenFull: 'drop_oldest' })
let next = Number(store.contents.place.position ?? 0)
// Nothing is said before someone listens.
const begin = once(process, 'message')
await say({ ready: {} })
await begin
for (let turn = 0; ; turn++) {
  const observations = Array.from({ length: 1 + (turn % 40) }, () => ({ timestampMs: next++, occupied: 1 }))
  const append = outbox.keep(takenOf(observations), placeOf(String(next)))
  await store.append(append, enoughRoom, outbox.notes())
  outbox.committed(append)
  await say({ durable: append.nextSeq })
  const want = outbox.wants()
  if (want !== undefined) outbox.loaded(want, await store.load(want))
  // Every other message is settled, so that holes are left behind.
  const settled = [outbox.take(), outbox.take()].map((message) =>
    message === undefined || message.id % 2 === 0 ? undefined : outbox.settle(message.id),
  )
  for (const done of settled) {
    if (done === undefined) continue
    await say({ settled: done.sequences })
    void store.forget(done.sequences, undefined)
  }
  if (turn % 7 === 0) outbox.fail()
}
