/**
 * A device that can be opened anew in the same process: with other settings, or because it was told to. What was
 * counted until then is counted together.
 */
import type { AgentProgress } from './agent.ts'
import type { Device } from './device.ts'

export interface Host extends Pick<Device, 'progress' | 'done' | 'stop' | 'line' | 'snapshot'> {
  readonly ready: Device['ready']
}

/** @param open called again at each restart; `restart` closes the device that is open, then opens another */
export async function hostDevice(open: (restart: () => void) => Promise<Device>): Promise<Host> {
  let before: Pick<AgentProgress, 'kept' | 'settled'> = { kept: 0, settled: 0 }
  let turn: Promise<void> = Promise.resolve()
  let isStopped = false
  let fail: (error: unknown) => void = () => undefined
  let finish: () => void = () => undefined
  const done = new Promise<void>((resolve, reject) => {
    fail = reject
    finish = resolve
  })

  function restart(): void {
    const closing = current
    turn = turn.then(async () => {
      // Asked for twice, it is done once.
      if (isStopped || closing !== current) return
      await closing.stop()
      const { kept, settled } = closing.progress()
      before = { kept: before.kept + kept, settled: before.settled + settled }
      if (isStopped) return
      current = await open(restart)
      current.done.catch(fail)
    })
    turn.catch(fail)
  }

  let current = await open(restart)
  current.done.catch(fail)
  return {
    ready: current.ready,
    done,
    line: () => current.line(),
    snapshot: () => current.snapshot(),
    progress() {
      const now = current.progress()
      return { ...now, kept: before.kept + now.kept, settled: before.settled + now.settled }
    },
    async stop() {
      isStopped = true
      await turn.catch(() => undefined) // `done` has told
      await current.stop()
      finish()
    },
  }
}
