/** Size and SHA-256 of a file, read once from end to end; and files that are on disk before anybody relies on them. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'

/** What makes sure that it is the same file. */
export interface FileSum {
  readonly bytes: number
  /** In hex. */
  readonly sha256: string
}

export async function sumOf(path: string): Promise<FileSum> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Buffer) // no encoding is set
    bytes += (chunk as Buffer).length
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** What was written to a file, or which files are in a folder, survives a power cut from then on. */
export async function syncToDisk(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
