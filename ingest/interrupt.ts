/** Ends what a connection to DuckDB is at when nobody wants it any more. */

/** An interrupt that comes before DuckDB has begun with a statement is forgotten by it, so it is said again. */
const againMs = 20

/** @returns what to call once the statement is over */
export function interruptWhen(
  signal: AbortSignal | undefined,
  connection: { interrupt(): void },
): () => void {
  let again: ReturnType<typeof setInterval> | undefined
  const interrupt = () => {
    connection.interrupt()
    again = setInterval(() => connection.interrupt(), againMs)
  }
  signal?.addEventListener('abort', interrupt, { once: true })
  return () => {
    clearInterval(again)
    signal?.removeEventListener('abort', interrupt)
  }
}
