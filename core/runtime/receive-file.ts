/** A file that comes from elsewhere piece by piece. Where it breaks off, what came before is in the file. */
import { open } from 'node:fs/promises'

export interface ReceiveFileOptions {
  /** What the file holds stays, and the pieces come after it; otherwise it begins anew. */
  readonly appends: boolean
  /** Of a file that is new. */
  readonly mode?: number
}

/**
 * Each piece is written before the next is asked for. A stream to the file would be destroyed together with its source
 * and take along what it has not written yet.
 * @throws what `pieces` throws, after the file is closed
 */
export async function receiveFile(
  path: string,
  pieces: AsyncIterable<Uint8Array>,
  { appends, mode }: ReceiveFileOptions,
): Promise<void> {
  const file = await open(path, appends ? 'a' : 'w', mode)
  try {
    for await (const piece of pieces) await file.writeFile(piece)
  } finally {
    await file.close()
  }
}
