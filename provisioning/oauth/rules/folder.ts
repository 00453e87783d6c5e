/**
 * The folder of rules: every `.js` file in it, in the order of their names, read again when something changes. A file
 * that cannot be read is a rule all the same, a broken one; a folder that cannot be read changes nothing.
 */
import { type FSWatcher, readdirSync, readFileSync, statSync, watch } from 'node:fs'
import { join } from 'node:path'
import { type Rule, shapeOf, sourceBytesMax } from './rule.ts'

export interface FolderRule extends Rule {
  /** Why it cannot be asked. */
  readonly fault?: string
}

export interface RuleFolder {
  stop(): void
}

export interface RuleFolderOptions {
  readonly path: string
  /** What is in it, at the start and whenever it has changed; one call after the other. */
  readonly changed: (rules: readonly FolderRule[]) => Promise<void>
  readonly failed: (error: Error) => void
  readonly pollMs?: number
}

const rulesMax = 50
/** Editors write in several steps. */
const settleMs = 100

/** @throws Error when the folder cannot be read at the start */
export async function openRuleFolder(options: RuleFolderOptions): Promise<RuleFolder> {
  const { path, changed, failed, pollMs = 2000 } = options
  let known = ''
  let wasReadable = true
  let reading: Promise<void> | undefined
  let settling: NodeJS.Timeout | undefined
  let isStopped = false

  async function look(): Promise<void> {
    const rules = readRules(path)
    wasReadable = true
    const text = JSON.stringify(rules)
    if (text === known) return
    await changed(rules)
    known = text
  }

  function lookAgain(): void {
    if (isStopped || reading !== undefined) return
    reading = look()
      .catch((error: unknown) => {
        if (wasReadable) failed(error as Error)
        wasReadable = false
      })
      .finally(() => {
        reading = undefined
      })
  }

  function soon(): void {
    clearTimeout(settling)
    settling = setTimeout(lookAgain, settleMs)
    settling.unref()
  }

  await look()
  // Asked again now and then: not every file system tells, and a folder that was replaced tells nothing more.
  const polling = setInterval(lookAgain, pollMs)
  polling.unref()
  const watcher = watchFolder(path, soon)
  return {
    stop() {
      isStopped = true
      clearInterval(polling)
      clearTimeout(settling)
      watcher?.close()
    },
  }
}

function watchFolder(path: string, tell: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(path, { persistent: false }, tell)
    watcher.on('error', () => watcher.close())
    return watcher
  } catch {
    return undefined // there is still the look now and then
  }
}

function readRules(path: string): FolderRule[] {
  const names = readdirSync(path)
    .filter((name) => name.endsWith('.js') && !name.startsWith('.'))
    .sort()
  return names.map((name, i) =>
    i < rulesMax ? readRule(path, name) : broken(name, `there are more than ${rulesMax} rules`),
  )
}

function readRule(path: string, name: string): FolderRule {
  const file = join(path, name)
  try {
    const { size } = statSync(file)
    // Not a pipe, which would be waited for.
    if (!statSync(file).isFile()) return broken(name, 'is no file')
    if (size > sourceBytesMax) return broken(name, `has more than ${sourceBytesMax} bytes`)
    const source = readFileSync(file, 'utf8')
    return { name, shape: shapeOf(source), source }
  } catch (error) {
    return broken(name, (error as Error).message)
  }
}

function broken(name: string, fault: string): FolderRule {
  return { name, shape: 'rule', source: '', fault }
}
