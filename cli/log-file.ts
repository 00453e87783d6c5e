/** A log file of bounded size: when it is full it becomes `<name>.1`, the one before that goes. */
import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

export class LogFile {
  readonly path: string
  readonly #bytesMax: number
  #bytes: number

  constructor(path: string, bytesMax = 8 * 1024 * 1024) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    this.path = path
    this.#bytesMax = bytesMax
    this.#bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  }

  write(line: string): void {
    const bytes = Buffer.byteLength(line) + 1
    if (this.#bytes > 0 && this.#bytes + bytes > this.#bytesMax) {
      renameSync(this.path, `${this.path}.1`)
      this.#bytes = 0
    }
    appendFileSync(this.path, `${line}\n`)
    this.#bytes += bytes
  }
}
