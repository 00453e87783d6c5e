import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LotId } from '../../../core/contract/device.ts'
import { FleetError } from '../../../core/contract/errors.ts'
import { createLog } from '../../../core/runtime/log.ts'
import { Exports, type ExportsOptions, type NewExport, type Owner } from '../../../ingest/exports.ts'
import type { SqlAnswer, SqlQuestion, SqlRunner } from '../../../ingest/sql.ts'
import { eventually, makeDataDir } from '../../kit/program.ts'

const owner: Owner = { oauthClientId: 'analyst', lots: undefined }
const asked: NewExport = { owner, sql: 'SELECT 1', format: 'csv', tz: 'UTC' }
const text = 'one\n1\n'

/** Work that is under way, to be ended as the test wants it. */
class Works implements SqlRunner {
  readonly questions: SqlQuestion[] = []
  #end: { resolve: (answer: SqlAnswer) => void; reject: (error: unknown) => void } | undefined
  progress: (percent: number) => void = () => undefined

  run(question: SqlQuestion, signal: AbortSignal, onProgress: (percent: number) => void = () => undefined) {
    this.questions.push(question)
    this.progress = onProgress
    return new Promise<SqlAnswer>((resolve, reject) => {
      this.#end = { resolve, reject }
      signal.addEventListener('abort', () => reject(signal.reason))
    })
  }

  succeed(content = text): void {
    const file = join(this.questions.at(-1)?.folder ?? '', 'result')
    writeFileSync(file, content)
    this.#end?.resolve({ file, bytes: content.length, rows: 1, columns: [] })
  }

  fail(error: unknown): void {
    this.#end?.reject(error)
  }
}

let folder: ReturnType<typeof makeDataDir>
let works: Works
let clockMs = 0

beforeEach(() => {
  folder = makeDataDir()
  works = new Works()
  clockMs = 1_000_000
})
afterEach(() => folder.remove())

function open(more: Partial<ExportsOptions> = {}): Exports {
  return new Exports({
    runner: works,
    folder: folder.path,
    limits: { timeoutMs: 1, memoryMb: 1, spillMb: 1, resultMb: 1, rowsMax: 1, threads: 1 },
    perClientMax: 3,
    jobsMax: 4,
    keptMb: 1,
    keptMs: 1000,
    log: createLog({ program: 'test', level: 'silent' }),
    now: () => clockMs,
    ...more,
  })
}

const stateOf = (exports: Exports, id: string) => exports.show(id, owner).state

describe('an export', () => {
  test('waits, runs and is done, and its file is what the checksum says', async () => {
    const exports = open()
    const { id, state } = exports.add(asked)
    expect(state).toBe('running')
    works.progress(40)
    expect(exports.show(id, owner).progress).toBe(40)
    expect(() => exports.file(id, owner)).toThrow(expect.objectContaining({ code: 'request.conflict' }))

    works.succeed()
    await eventually(() => stateOf(exports, id) === 'done')

    const { path, bytes, sha256 } = exports.file(id, owner)
    expect(readFileSync(path, 'utf8')).toBe(text)
    expect([bytes, sha256]).toEqual([text.length, createHash('sha256').update(text).digest('hex')])
    expect(readdirSync(join(folder.path, id)).toSorted()).toEqual(['job.json', 'result'])
  })

  test('has a byte order mark for Excel, within its size and checksum', async () => {
    const exports = open()
    const { id } = exports.add({ ...asked, format: 'csv-excel' })
    works.succeed()
    await eventually(() => stateOf(exports, id) === 'done')

    const { path, bytes, sha256 } = exports.file(id, owner)
    const content = readFileSync(path)
    expect(content.toString()).toBe(`\ufeff${text}`)
    expect([bytes, sha256]).toEqual([content.length, createHash('sha256').update(content).digest('hex')])
  })

  test('that fails says why', async () => {
    const exports = open()
    const { id } = exports.add(asked)
    works.fail(new FleetError('query.limit', 'too much', { safeDetail: 'it takes too much' }))
    await eventually(() => stateOf(exports, id) === 'failed')

    expect(exports.show(id, owner)).toMatchObject({
      code: 'query.limit',
      detail: 'it takes too much',
      bytes: null,
    })
  })

  test('waits for the one before it, in the order in which they came', async () => {
    const exports = open()
    const first = exports.add(asked)
    clockMs++
    const second = exports.add({ ...asked, sql: 'SELECT 2' })
    expect(second.state).toBe('waiting')
    works.succeed()
    await eventually(() => works.questions.length === 2)

    expect(works.questions.map(({ sql }) => sql)).toEqual(['SELECT 1', 'SELECT 2'])
    expect(stateOf(exports, first.id)).toBe('done')
  })

  test('that was broken off begins anew after a restart, and is given up after a few', async () => {
    const { id } = open().add(asked)
    for (let attempt = 2; attempt <= 3; attempt++) {
      // As after a kill: nothing is told to the one before.
      const again = open()
      expect([attempt, stateOf(again, id)]).toEqual([attempt, 'running'])
      expect(() => again.file(id, owner)).toThrow(expect.objectContaining({ code: 'request.conflict' }))
    }
    const last = open()

    expect(last.show(id, owner)).toMatchObject({ state: 'failed', detail: 'it was broken off 3 times' })
    expect(works.questions).toHaveLength(3)
  })

  test('that is done is there after a restart; one whose file has gone says so', async () => {
    const before = open()
    const kept = before.add(asked)
    works.succeed()
    await eventually(() => stateOf(before, kept.id) === 'done')
    expect(stateOf(open(), kept.id)).toBe('done')

    writeFileSync(join(folder.path, kept.id, 'result'), 'half')
    expect(open().show(kept.id, owner)).toMatchObject({ state: 'failed', bytes: null })
  })

  test('that was killed before it was taken in leaves nothing', () => {
    mkdirSync(join(folder.path, 'half'))
    writeFileSync(join(folder.path, 'half', 'job.json.tmp'), '{')
    expect(open().list(owner)).toEqual([])
    expect(existsSync(join(folder.path, 'half'))).toBe(false)
  })

  test('is stopped with the program without being counted as failed', async () => {
    const exports = open()
    const { id } = exports.add(asked)
    await exports.stop()

    expect(stateOf(open(), id)).toBe('running')
  })

  test('is kept for its time and then gone', async () => {
    const exports = open()
    const { id } = exports.add(asked)
    works.succeed()
    await eventually(() => stateOf(exports, id) === 'done')
    clockMs += 999
    exports.sweep()
    expect(stateOf(exports, id)).toBe('done')

    clockMs += 1
    exports.sweep()
    expect(() => exports.show(id, owner)).toThrow(expect.objectContaining({ code: 'request.not_found' }))
    await eventually(() => readdirSync(folder.path).length === 0)
  })

  test('that is removed while it runs is ended, and makes room for the next', async () => {
    const exports = open()
    const { id } = exports.add(asked)
    const next = exports.add(asked)
    await exports.remove(id, owner)

    expect(readdirSync(folder.path)).toEqual([next.id])
    await eventually(() => stateOf(exports, next.id) === 'running')
  })

  test('is refused beyond what a client may have, and what all may', () => {
    const exports = open()
    for (let i = 0; i < 3; i++) exports.add(asked)
    expect(() => exports.add(asked)).toThrow(expect.objectContaining({ code: 'system.busy' }))

    const other = { ...asked, owner: { oauthClientId: 'other', lots: undefined } }
    exports.add(other)
    expect(() => exports.add(other)).toThrow(expect.objectContaining({ code: 'system.busy' }))
  })

  test('is refused while the kept ones fill their share of the disk', async () => {
    const exports = open({ keptMb: 1 })
    const { id } = exports.add(asked)
    works.succeed('x'.repeat(1024 * 1024))
    await eventually(() => stateOf(exports, id) === 'done')
    expect(() => exports.add(asked)).toThrow(expect.objectContaining({ code: 'system.busy' }))

    await exports.remove(id, owner)
    expect(exports.add(asked).state).toBe('running')
  })

  test('is its client’s alone, and never wider than the token that looks at it', () => {
    const exports = open()
    const [north, south] = ['north' as LotId, 'south' as LotId]
    const whole = exports.add(asked)
    const part = exports.add({ ...asked, owner: { ...owner, lots: [north] } })
    const seenBy = (who: Owner) =>
      exports
        .list(who)
        .map(({ id }) => id)
        .toSorted()

    expect(seenBy(owner)).toEqual([whole.id, part.id].toSorted())
    expect(seenBy({ oauthClientId: 'other', lots: undefined })).toEqual([])
    expect(seenBy({ ...owner, lots: [north, south] })).toEqual([part.id])
    expect(seenBy({ ...owner, lots: [south] })).toEqual([])
    expect(() => exports.file(whole.id, { ...owner, lots: [south] })).toThrow(
      expect.objectContaining({ code: 'request.not_found' }),
    )
  })
})
