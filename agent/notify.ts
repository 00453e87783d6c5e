/**
 * What systemd hears of the agent: that it runs, that it is alive, and the line in `systemctl status`. Node has no
 * datagram sockets of this kind, so the program `systemd-notify` says it; the unit has `NotifyAccess=all` for that.
 * Without systemd nothing happens.
 */
import { spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '../core/runtime/log.ts'

export interface Notifier {
  /** The line is looked at every second, and told when it has changed. */
  start(line: () => string): void
  stopping(): Promise<void>
}

const lookMs = 1000
const sayMs = 10_000
/** Whoever stops has something better to do than to wait until that is known. */
const stoppingMs = 1000

export function createNotifier(env: Readonly<Record<string, string | undefined>>, log: Log): Notifier {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: watchdogUsec, PATH } = env
  let timer: NodeJS.Timeout | undefined
  let isSaying = false
  let hasFailed = false

  /** One at a time: what is said twice would come in any order. */
  function say(words: readonly string[]): Promise<void> {
    isSaying = true
    return new Promise<void>((resolve) => {
      const child = spawn('systemd-notify', words, {
        env: { PATH, NOTIFY_SOCKET: socket },
        stdio: 'ignore',
        timeout: sayMs,
        killSignal: 'SIGKILL',
      })
      const done = (fault: unknown) => {
        isSaying = false
        if (fault !== undefined && !hasFailed) log.warn('systemd.not_told', { fault: String(fault) })
        hasFailed = fault !== undefined
        resolve()
      }
      child.once('error', done)
      child.once('exit', (code) => done(code === 0 ? undefined : `exit ${code}`))
    })
  }

  if (socket === undefined || socket === '')
    return { start: () => undefined, stopping: () => Promise.resolve() }
  /** Half of what systemd waits: one may be late. */
  const aliveMs = watchdogUsec === undefined ? undefined : Number(watchdogUsec) / 2000
  return {
    start(line) {
      let told: string | undefined
      let aliveAtMs = performance.now()
      const look = () => {
        if (isSaying) return
        const now = line()
        const isDue = aliveMs !== undefined && performance.now() - aliveAtMs >= aliveMs
        if (now === told && !isDue) return
        if (isDue) aliveAtMs = performance.now()
        void say([
          ...(told === undefined ? ['--ready'] : []),
          ...(now === told ? [] : [`--status=${now}`]),
          ...(isDue ? ['WATCHDOG=1'] : []),
        ])
        told = now
      }
      look()
      timer = setInterval(look, lookMs)
    },
    async stopping() {
      clearInterval(timer)
      // Bookworm's systemd-notify (252) has no option for it.
      await Promise.race([say(['STOPPING=1']), delay(stoppingMs, undefined, { ref: false })])
    },
  }
}
