/**
 * The thread for rules, from outside: questions go over in batches, each client in its turn, and a thread that hangs or
 * dies is replaced. Whoever asked the question it died of gets no; everybody else's is asked again.
 */
import { Worker } from 'node:worker_threads'
import type { Log } from '../../../core/runtime/log.ts'
import type { Rule, RulesAnswer } from './rule.ts'
import { marks, type ThreadOrder, type ThreadReport, type ThreadSetting } from './thread-words.ts'

export interface RuleThread {
  /**
   * From now on these are asked.
   * @returns what is wrong with each; undefined: nothing
   * @throws Error when there can be no thread
   */
  load(rules: readonly Rule[]): Promise<Faults>
  /**
   * @param who takes turns with others
   * @param request a RuleRequest as JSON
   */
  ask(who: string, request: string): Promise<Asked>
  stop(): Promise<void>
}

export type Faults = readonly (string | undefined)[]

/** `busy`: too many wait, or it waited too long. `broken`: the thread ended over it. */
export type Asked = RulesAnswer | 'busy' | 'broken'

export interface RuleThreadOptions {
  /** The bundle of `main.ts`. */
  readonly file: URL
  /** Of one rule and one request; also of reading one. */
  readonly timeMs: number
  readonly memoryBytes?: number
  readonly log: Log
  readonly waitingMax?: number
  /** Of one client. */
  readonly waitingEachMax?: number
  readonly waitMsMax?: number
  /** On top of `timeMs`, which should have held: a busy machine is late. */
  readonly graceMs?: number
}

interface Question {
  readonly who: string
  readonly request: string
  readonly sinceMs: number
  settle(answer: Asked): void
}

interface Loading {
  readonly rules: readonly Rule[]
  readonly tell: (faults: Faults) => void
  readonly fail: (error: unknown) => void
}

const batchMax = 32
/** One that is worked on, and one that waits, so that the thread never does. */
const batchesMax = 2
const watchMs = 250

export function startRuleThread(options: RuleThreadOptions): RuleThread {
  const { file, timeMs, memoryBytes = 8 * 1024 * 1024, log, graceMs = 2000 } = options
  const { waitingMax = 5000, waitingEachMax = 100, waitMsMax = 5000 } = options
  let rules: readonly Rule[] = []
  /** Sources over which a thread ended while it read them: never again. */
  const deadly = new Set<string>()
  const waiting = createTurns()
  /** In the order of their answers. */
  let inFlight: Question[] = []
  /** How many of each batch are in flight. */
  let batches: number[] = []
  let loading: Loading[] = []
  let worker: Worker | undefined
  let progress: Int32Array = new Int32Array()
  /** Questions that this thread has answered. */
  let answered = 0
  let wasHeard = false
  let seen = { asked: 0, reading: 0, sinceMs: 0 }
  let isSending = false

  function start(): void {
    const shared = new SharedArrayBuffer(8)
    progress = new Int32Array(shared)
    answered = 0
    seen = { asked: 0, reading: 0, sinceMs: performance.now() }
    const workerData: ThreadSetting = { timeMs, memoryBytes, progress: shared }
    const started = new Worker(file, {
      workerData,
      // Rules have WebAssembly's memory, not V8's; this is for what is around it.
      resourceLimits: { maxOldGenerationSizeMb: 128, stackSizeMb: 4 },
      env: {},
    })
    started.unref()
    worker = started
    started.on('message', (report: ThreadReport) => {
      if (worker === started) hear(report)
    })
    started.on('error', (error: unknown) => {
      // One that never did anything could not start: no rule's doing, and no use in starting it again and again.
      if (!wasHeard && Atomics.load(progress, marks.reading) === 0) cannotStart(started, error)
      else ended(started, error)
    })
    started.on('exit', () => ended(started, undefined))
  }

  function hear(report: ThreadReport): void {
    wasHeard = true
    if (report.faults !== undefined) {
      loading.shift()?.tell(report.faults.map((fault) => fault ?? undefined))
      return
    }
    const { length } = report.answers
    answered += length
    const [first = 0, ...others] = batches
    batches = first > length ? [first - length, ...others] : others
    const served = inFlight.slice(0, length)
    inFlight = inFlight.slice(length)
    send()
    for (const [i, answer] of report.answers.entries()) served[i]?.settle(answer)
  }

  function cannotStart(which: Worker, error: unknown): void {
    if (worker !== which) return
    worker = undefined
    const unread = loading
    loading = []
    for (const { fail } of unread) fail(error)
  }

  function ended(which: Worker, error: unknown): void {
    if (worker !== which) return
    const reading = Atomics.load(progress, marks.reading)
    const begun = Atomics.load(progress, marks.asked) - answered
    log.warn('rules.thread_ended', { error: error as Error | undefined })
    const deadlyRule = (loading[0]?.rules ?? rules)[reading - 1]
    if (deadlyRule !== undefined) deadly.add(deadlyRule.source)
    const culprit = begun > 0 && deadlyRule === undefined ? inFlight[begun - 1] : undefined
    const others = inFlight.filter((one) => one !== culprit)
    const unread = loading
    inFlight = []
    batches = []
    loading = []
    start()
    if (unread.length === 0) order({ rules, tell: () => undefined, fail: () => undefined })
    for (const one of unread) order(one)
    culprit?.settle('broken')
    waiting.addFirst(others)
    send()
  }

  function order({ rules: wanted, tell, fail }: Loading): void {
    const isDeadly = (rule: Rule | undefined) => rule !== undefined && deadly.has(rule.source)
    // In its place, and denying all.
    const safe = wanted.map((rule) =>
      isDeadly(rule) ? { ...rule, shape: 'rule' as const, source: '0' } : rule,
    )
    loading.push({
      rules: wanted,
      fail,
      tell: (faults) =>
        tell(
          faults.map((fault, place) =>
            isDeadly(wanted[place]) ? 'the sandbox ended while it was read' : fault,
          ),
        ),
    })
    post({ rules: safe })
  }

  function post(what: ThreadOrder): void {
    worker?.postMessage(what)
  }

  function send(): void {
    isSending = false
    while (worker !== undefined && batches.length < batchesMax && waiting.count > 0) {
      const batch = waiting.take(batchMax)
      inFlight.push(...batch)
      batches.push(batch.length)
      post({ batch: batch.map(({ request }) => request) })
    }
  }

  /** Who waited too long is let go; a thread that does not get on is ended. */
  function watch(): void {
    const nowMs = performance.now()
    const isOld = ({ sinceMs }: Question) => nowMs - sinceMs > waitMsMax
    for (const one of [...waiting.drop(isOld), ...inFlight.filter(isOld)]) one.settle('busy')
    const asked = Atomics.load(progress, marks.asked)
    const reading = Atomics.load(progress, marks.reading)
    const isIdle = inFlight.length === 0 && loading.length === 0
    if (isIdle || asked !== seen.asked || reading !== seen.reading) seen = { asked, reading, sinceMs: nowMs }
    else if (nowMs - seen.sinceMs > timeMs * Math.max(1, rules.length) + graceMs) void worker?.terminate()
  }

  start()
  const watching = setInterval(watch, watchMs)
  watching.unref()

  return {
    load(wanted) {
      rules = wanted
      if (worker === undefined) start()
      return new Promise((tell, fail) => order({ rules: wanted, tell, fail }))
    },
    ask(who, request) {
      if (waiting.count >= waitingMax || waiting.countOf(who) >= waitingEachMax)
        return Promise.resolve('busy')
      return new Promise((settle) => {
        waiting.add({ who, request, sinceMs: performance.now(), settle })
        if (isSending) return
        isSending = true
        setImmediate(send)
      })
    },
    async stop() {
      clearInterval(watching)
      const last = worker
      worker = undefined
      await last?.terminate()
      for (const one of [...inFlight, ...waiting.drop(() => true)]) one.settle('busy')
    },
  }
}

/** Who waits, each with a line of their own: the next batch has one of each, so that nobody waits for another's many. */
function createTurns() {
  const lines = new Map<string, Question[]>()
  let count = 0
  return {
    get count() {
      return count
    },
    countOf: (who: string) => lines.get(who)?.length ?? 0,
    add(question: Question): void {
      const line = lines.get(question.who)
      if (line === undefined) lines.set(question.who, [question])
      else line.push(question)
      count++
    },
    addFirst(questions: readonly Question[]): void {
      for (const question of questions.toReversed()) {
        lines.set(question.who, [question, ...(lines.get(question.who) ?? [])])
        count++
      }
    },
    take(max: number): Question[] {
      const batch: Question[] = []
      for (let turns = Math.min(max, lines.size); turns > 0; turns--) {
        const [who, line] = lines.entries().next().value as [string, Question[]] // so many there are
        batch.push(line.shift() as Question) // no line is empty
        lines.delete(who)
        if (line.length > 0) lines.set(who, line)
      }
      count -= batch.length
      return batch
    },
    drop(isWanted: (question: Question) => boolean): Question[] {
      const dropped: Question[] = []
      for (const [who, line] of lines) {
        const left = line.filter((one) => !isWanted(one))
        if (left.length === line.length) continue
        dropped.push(...line.filter(isWanted))
        if (left.length === 0) lines.delete(who)
        else lines.set(who, left)
      }
      count -= dropped.length
      return dropped
    },
  }
}
