/** The thread that runs rules: reads them into the sandbox, asks them, and answers in the order of the questions. */
import { parentPort, workerData } from 'node:worker_threads'
import { askRules } from './chain.ts'
import type { Rule, RuleRequest, RulesAnswer } from './rule.ts'
import { openSandbox, type Sandbox } from './sandbox.ts'
import { marks, type ThreadOrder, type ThreadReport, type ThreadSetting } from './thread-words.ts'

const { timeMs, memoryBytes, progress: shared } = workerData as ThreadSetting
const progress = new Int32Array(shared)
/** How long answers are kept back for company. */
const companyMs = 2

let rules: readonly Rule[] = []
let sandbox: Sandbox = await openSandbox({ timeMs, memoryBytes })

function load(wanted: readonly Rule[]): (string | null)[] {
  rules = wanted
  return wanted.map((rule, place) => {
    Atomics.store(progress, marks.reading, place + 1)
    const fault = sandbox.load(place, rule)
    Atomics.store(progress, marks.reading, 0)
    return fault ?? null
  })
}

async function renew(): Promise<void> {
  sandbox = await openSandbox({ timeMs, memoryBytes })
  load(rules)
}

async function ask(batch: readonly string[]): Promise<void> {
  let answers: RulesAnswer[] = []
  let sinceMs = performance.now()
  for (const json of batch) {
    Atomics.add(progress, marks.asked, 1)
    answers.push(askRules(rules, JSON.parse(json) as RuleRequest, sandbox))
    if (sandbox.isSpent) await renew()
    if (performance.now() - sinceMs < companyMs) continue
    tell({ answers })
    answers = []
    sinceMs = performance.now()
  }
  if (answers.length > 0) tell({ answers })
}

function tell(report: ThreadReport): void {
  parentPort?.postMessage(report)
}

/** One after the other, also where one has to wait. */
let turn: Promise<void> = Promise.resolve()
parentPort?.on('message', (order: ThreadOrder) => {
  turn = turn.then(async () => {
    if (order.rules === undefined) await ask(order.batch)
    else {
      if (sandbox.isSpent) sandbox = await openSandbox({ timeMs, memoryBytes })
      tell({ faults: load(order.rules) })
    }
  })
})
