/** What becomes of questions when the thread ends or hangs: a thread of its own kind, since no rule is known to do that. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { createLog } from '../../../../../core/runtime/log.ts'
import type { Rule } from '../../../../../provisioning/oauth/rules/rule.ts'
import { type RuleThread, startRuleThread } from '../../../../../provisioning/oauth/rules/rule-thread.ts'
import { makeDataDir } from '../../../../kit/program.ts'

/** Ends, or hangs beyond every limit, where it is told so; else answers with the question. */
const program = `
import { parentPort, workerData } from 'node:worker_threads'
const progress = new Int32Array(workerData.progress)
const obey = (what) => {
  if (what === 'end') process.exit(3)
  if (what === 'hang') for (;;) {}
  if (what === 'throw') throw new Error('thrown')
}
parentPort.on('message', ({ rules, batch }) => {
  if (rules !== undefined) {
    parentPort.postMessage({ faults: rules.map(({ source }, i) => {
      Atomics.store(progress, 1, i + 1)
      obey(source)
      Atomics.store(progress, 1, 0)
      return null
    }) })
    return
  }
  parentPort.postMessage({ answers: batch.map((request) => {
    Atomics.add(progress, 0, 1)
    obey(request)
    return { scopes: [request], claims: {}, ran: [] }
  }) })
})`

const data = makeDataDir()
const path = join(data.path, 'thread.mjs')
writeFileSync(path, program)
afterAll(() => data.remove())

let thread: RuleThread
afterEach(() => thread.stop())

function start(more: object = {}) {
  const lines: string[] = []
  const log = createLog({ program: 'provisioning', write: (line) => void lines.push(line) })
  thread = startRuleThread({ file: pathToFileURL(path), timeMs: 50, graceMs: 200, log, ...more })
  return lines
}

const rule = (source: string): Rule => ({ name: `${source}.js`, shape: 'rule', source })
const scopesOf = (asked: Awaited<ReturnType<RuleThread['ask']>>) =>
  typeof asked === 'string' ? asked : asked.scopes[0]

describe('a thread for rules', () => {
  it.each(['end', 'hang', 'throw'])(
    'that does %s is replaced: who asked that gets no, and the others their answers',
    async (what) => {
      const lines = start()
      await thread.load([rule('a')])
      const names = ['a', 'b', 'c', 'd', 'e', 'f']
      const answers = await Promise.all(
        names.map((name, i) => thread.ask(name, i === 3 ? what : `question ${i}`)),
      )
      expect(answers.map(scopesOf)).toEqual([
        ...['question 0', 'question 1', 'question 2', 'broken', 'question 4', 'question 5'],
      ])
      expect(scopesOf(await thread.ask('d', 'after'))).toBe('after')
      expect(lines.join()).toContain('rules.thread_ended')
    },
  )

  it.each(['end', 'hang', 'throw'])(
    'that does %s over a rule it reads never reads it again',
    async (what) => {
      start()
      expect(await thread.load([rule('a'), rule(what), rule('b')])).toEqual([
        undefined,
        'the sandbox ended while it was read',
        undefined,
      ])
      expect(scopesOf(await thread.ask('d', 'after'))).toBe('after')
    },
  )

  it('that cannot start says so, and starts when it can', async () => {
    const later = join(data.path, 'later.mjs')
    start({ file: pathToFileURL(later), waitMsMax: 100 })
    await expect(thread.load([rule('a')])).rejects.toThrow('later.mjs')
    expect(await thread.ask('d', 'meanwhile')).toBe('busy')
    writeFileSync(later, program)
    expect(await thread.load([rule('a')])).toEqual([undefined])
    expect(scopesOf(await thread.ask('d', 'after'))).toBe('after')
  })

  it('lets go who waited too long, and takes only so many', async () => {
    start({ waitMsMax: 100, waitingEachMax: 2, graceMs: 60_000 })
    await thread.load([])
    const stuck = thread.ask('a', 'hang')
    const behind = ['b', 'b', 'b', 'c'].map((who) => thread.ask(who, 'question'))
    expect((await Promise.all([stuck, ...behind])).map(scopesOf)).toEqual(Array(5).fill('busy'))
  })
})
