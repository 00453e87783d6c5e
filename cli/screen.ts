/**
 * The terminal of a command that runs for a while: lines that stay, and one live line that is redrawn in place.
 * Where there is no terminal the live line becomes an ordinary line every ten seconds.
 */
export interface Screen {
  /** A line that stays, above the live line. */
  say(text: string): void
  live(text: string): void
  /** Leaves the cursor on a fresh line. */
  end(): void
}

const plainEveryMs = 10_000
const clearLine = '\r\u001b[K'

export function createScreen(options: {
  write: (text: string) => void
  /** Undefined where there is no terminal. */
  columns: () => number | undefined
  nowMs: () => number
}): Screen {
  let shown = ''
  let plainAtMs = Number.NEGATIVE_INFINITY

  return {
    say(text) {
      options.write(shown === '' ? `${text}\n` : `${clearLine}${text}\n${shown}`)
    },
    live(text) {
      const columns = options.columns()
      if (columns === undefined) {
        if (options.nowMs() < plainAtMs + plainEveryMs) return
        plainAtMs = options.nowMs()
        options.write(`${text}\n`)
        return
      }
      shown = text.slice(0, Math.max(0, columns - 1))
      options.write(clearLine + shown)
    },
    end() {
      if (shown !== '') options.write('\n')
      shown = ''
    },
  }
}
