/**
 * Copies of what is stored, for those who may not work in the process that writes: segments as they are, and all the
 * rest in one Parquet file. A copy is shared for a while, and its file goes when the last who reads it is done.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Days } from './store/store.ts'

export interface SnapshotsOptions {
  readonly days: Days
  /** Of its own; what is in it goes at the start. */
  readonly folder: string
  /** An older copy is not used for another question. */
  readonly ageMaxMs: number
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
}

export interface Snapshot {
  /** Parquet in the columns of segments; together every reading once. */
  readonly files: readonly string[]
  readonly rowsInSegments: number
  /** To be called once, when nobody reads them any more. */
  release(): void
}

interface Copy {
  readonly file: string
  readonly madeAtMs: number
  readonly files: readonly string[]
  readonly rowsInSegments: number
  readers: number
}

export class Snapshots {
  readonly #options: SnapshotsOptions
  #latest: Copy | undefined
  #making: Promise<Copy> | undefined
  #number = 0

  constructor(options: SnapshotsOptions) {
    this.#options = options
    rmSync(options.folder, { recursive: true, force: true })
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
  }

  /** @throws FleetError `store.unavailable` */
  async take(): Promise<Snapshot> {
    const copy = await this.#current()
    copy.readers++
    return {
      files: copy.files,
      rowsInSegments: copy.rowsInSegments,
      release: () => {
        copy.readers--
        this.#tidy(copy)
      },
    }
  }

  /** The file of the latest copy goes as soon as nobody reads it. */
  close(): void {
    const latest = this.#latest
    this.#latest = undefined
    if (latest !== undefined) this.#tidy(latest)
  }

  async #current(): Promise<Copy> {
    const latest = this.#latest
    if (latest !== undefined && this.#options.nowMs() - latest.madeAtMs <= this.#options.ageMaxMs)
      return latest
    this.#making ??= this.#make().finally(() => {
      this.#making = undefined
    })
    return this.#making
  }

  async #make(): Promise<Copy> {
    const { days, folder, nowMs } = this.#options
    const file = join(folder, `${this.#number++}.parquet`)
    // Before it is made: what is committed meanwhile is not in it.
    const madeAtMs = nowMs()
    try {
      const segments = await days.snapshot(file)
      const files = [...(await Promise.all(segments.map((day) => days.segmentFile(day)))), file]
      const rowsInSegments = segments.reduce((sum, { rows }) => sum + rows, 0)
      const copy = { file, madeAtMs, files, rowsInSegments, readers: 0 }
      const before = this.#latest
      this.#latest = copy
      if (before !== undefined) this.#tidy(before)
      return copy
    } catch (error) {
      rmSync(file, { force: true })
      throw error
    }
  }

  #tidy(copy: Copy): void {
    if (copy !== this.#latest && copy.readers === 0) rmSync(copy.file, { force: true })
  }
}
