/**
 * Tells when an outbox has gone back: a file beside the database whose text is the epoch and whose length is the next
 * sequence. LevelDB takes a log that lost its end for one whose writer died, and would give sequences away again that
 * stand for other readings already. A length costs no block on the disk, and its change travels with the sync of the
 * append; after a power cut it may be behind, never ahead.
 */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type Epoch, parseEpoch } from '../core/contract/device.ts'

export interface Testimony {
  readonly epoch: Epoch
  /** Sequences below it were given away. */
  readonly nextSeq: number
}

export interface Witness {
  /** What was seen before; undefined: nothing. */
  readonly testimony: Testimony | undefined
  begin(epoch: Epoch): void
  /** Never throws: a witness that cannot write is only behind. */
  see(nextSeq: number): void
  close(): void
}

const epochLength = 16

export function openWitness(dir: string): Witness {
  const file = openSync(join(dir, 'EPOCH'), 'a+', 0o600)
  const text = Buffer.alloc(epochLength)
  readSync(file, text, 0, epochLength, 0)
  const epoch = parseEpoch(text.toString('latin1'))
  const size = fstatSync(file).size
  return {
    testimony: epoch === undefined ? undefined : { epoch, nextSeq: size - epochLength },
    begin(newEpoch) {
      ftruncateSync(file, 0)
      writeSync(file, newEpoch)
      fsyncSync(file)
    },
    see(nextSeq) {
      try {
        ftruncateSync(file, epochLength + nextSeq)
      } catch {
        // A full disk or a file system with smaller files: the next one may be seen again.
      }
    },
    close: () => closeSync(file),
  }
}

/** What the witness of a closed outbox saw. */
export function readTestimony(dir: string): Testimony | undefined {
  const witness = openWitness(dir)
  witness.close()
  return witness.testimony
}
