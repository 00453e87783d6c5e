/** Hooks that load and reload what a page shows, and let people change it. */
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { Problem } from './api.ts'
import { useApp } from './app-state.ts'
import { oneAtATime } from './one-at-a-time.ts'

export interface Loaded<T> {
  /** The newest there is; stays while it is loaded anew, and when that fails. */
  readonly value: T | undefined
  readonly problem: Problem | undefined
  readonly isLoading: boolean
  /** When the value came, Unix milliseconds. */
  readonly atMs: number | undefined
  /** At once; what was under way is given up. */
  reload(): Promise<void>
  /** After what is under way: for news that come faster than answers. */
  refresh(): Promise<void>
}

/**
 * Loads when the page opens and when `key` changes, then each `everyMs` while the page is seen.
 * @param key whatever the loading depends on; undefined: nothing is loaded
 */
export function useLoad<T>(
  key: string | undefined,
  load: (signal: AbortSignal) => Promise<T>,
  options: { everyMs?: number } = {},
): Loaded<T> {
  const [state, setState] = useState<Omit<Loaded<T>, 'reload' | 'refresh'>>({
    value: undefined,
    problem: undefined,
    isLoading: key !== undefined,
    atMs: undefined,
  })
  const latest = useRef(load)
  latest.current = load
  const running = useRef<AbortController | undefined>(undefined)

  const reload = useCallback(async () => {
    running.current?.abort()
    const own = new AbortController()
    running.current = own
    setState((before) => ({ ...before, isLoading: true }))
    try {
      const value = await latest.current(own.signal)
      if (!own.signal.aborted) setState({ value, problem: undefined, isLoading: false, atMs: Date.now() })
    } catch (error) {
      if (own.signal.aborted) return
      if (!(error instanceof Problem)) throw error
      setState((before) => ({ ...before, problem: error, isLoading: false }))
    } finally {
      if (running.current === own) running.current = undefined
    }
  }, [])

  const { everyMs } = options
  useEffect(() => {
    if (key === undefined) return
    setState((before) => ({ ...before, value: undefined, problem: undefined }))
    void reload()
    return () => running.current?.abort()
  }, [key, reload])
  useEffect(() => {
    if (key === undefined || everyMs === undefined) return
    const timer = setInterval(() => {
      // One that takes longer than that is not begun anew, or it would never end.
      if (document.visibilityState === 'visible' && running.current === undefined) void reload()
    }, everyMs)
    return () => clearInterval(timer)
  }, [key, everyMs, reload])
  const refresh = useMemo(() => oneAtATime(reload), [reload])
  return { ...state, reload, refresh }
}

export interface Doing {
  readonly isBusy: boolean
  readonly problem: Problem | undefined
  /** Does it, says so, and is true when it went well. */
  run(what: () => Promise<unknown>, done?: string): Promise<boolean>
  clear(): void
}

/** One change at a time, with its fault. */
export function useDoing(): Doing {
  const { say } = useApp()
  const [isBusy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem>()
  const run = useCallback(
    async (what: () => Promise<unknown>, done?: string) => {
      setBusy(true)
      setProblem(undefined)
      try {
        await what()
        if (done !== undefined) say(done)
        return true
      } catch (error) {
        if (!(error instanceof Problem)) throw error
        setProblem(error)
        return false
      } finally {
        setBusy(false)
      }
    },
    [say],
  )
  const clear = useCallback(() => setProblem(undefined), [])
  return { isBusy, problem, run, clear }
}

/** The time, again each `everyMs`: for words such as “4 min ago”. */
export function useNow(everyMs = 10_000): number {
  const [nowMs, setNow] = useState(Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return nowMs
}
