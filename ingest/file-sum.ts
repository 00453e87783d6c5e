/** Size and SHA-256 of a file, read once from end to end. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { FileSum } from './archive/archive.ts'

export async function sumOf(path: string): Promise<FileSum> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Buffer) // no encoding is set
    bytes += (chunk as Buffer).length
  }
  return { bytes, sha256: hash.digest('hex') }
}
