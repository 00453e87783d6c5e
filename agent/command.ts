/** A command that ends: its errors in words, its exit code, and Ctrl-C as a signal to stop. */
import { isFleetError } from '../core/contract/errors.ts'
import { exitCodes } from '../core/runtime/lifecycle.ts'
import { redact } from '../core/runtime/log.ts'

/** @param work resolves to the exit code */
export async function runCommand(work: (signal: AbortSignal) => Promise<number>): Promise<void> {
  // What a command writes is its owner's alone.
  process.umask(0o077)
  const stopping = new AbortController()
  const stop = () => stopping.abort()
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  try {
    process.exitCode = await work(stopping.signal)
  } catch (error) {
    process.stderr.write(redact(`${wordsOf(error)}\n`))
    process.exitCode =
      isFleetError(error) && error.kind === 'misconfigured' ? exitCodes.misconfigured : exitCodes.failed
  }
  // Connections that are kept alive would hold the process.
  process.exit()
}

/** A stack only for what nobody expected. */
function wordsOf(error: unknown): string {
  if (!isFleetError(error)) return error instanceof Error ? (error.stack ?? error.message) : String(error)
  return [`${error.message} (${error.code})`, ...error.faults.map((fault) => `  ${fault}`)].join('\n')
}
