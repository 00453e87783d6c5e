/** `demo` and `replay`: a fleet against a system that runs already; `demo` until it is interrupted, `replay` until all is stored. */
import { resolve } from 'node:path'
import type { FleetProgress } from '../core/contract/fleet.ts'
import { type Exit, exits } from './exit.ts'
import { type FleetOptions, type PlayOptions, type PreparedFleet, prepareFleet, runFleet } from './fleet.ts'
import { type Home, untilInterrupted } from './home.ts'
import { LogFile } from './log-file.ts'
import { shownLine } from './log-line.ts'
import { counted, grouped, type Output } from './output.ts'
import { createScreen } from './screen.ts'
import { devicesOf } from './stored.ts'

const stopMs = 4500
/** Of broken lines and the like so many are shown; the log file has all. */
const noticesMax = 20

export async function demo(home: Home, options: FleetOptions): Promise<Exit> {
  const ended = untilInterrupted()
  const fleet = await startFleet(home, options, { restarts: true })
  await Promise.race([ended, fleet.failed]).finally(fleet.stop)
  return exits.ok
}

/** What `replay` tells at its end. */
interface ReplayAnswer {
  readonly devices: number
  /** Of them, those that could not go on. */
  readonly failed: number
  readonly kept: number
  readonly settled: number
  readonly brokenLines: number
  readonly seconds: number
}

export async function replay(
  home: Home,
  options: FleetOptions & { replay: { file: string } & PlayOptions; output: Output },
): Promise<Exit> {
  const startedAtMs = performance.now()
  const ended = untilInterrupted().then(() => undefined)
  const fleet = await startFleet(home, options, { restarts: false })
  const last = await Promise.race([fleet.finished, ended, fleet.failed]).finally(fleet.stop)
  if (last === undefined) {
    home.voice.note('stopped before the end; the same command goes on from here')
    return exits.partial
  }
  const { devices, failed, kept, settled, brokenLines } = last
  const seconds = Math.round((performance.now() - startedAtMs) / 100) / 10
  const answer: ReplayAnswer = { devices, failed, kept, settled, brokenLines, seconds }
  home.voice.answer(spoken(answer, options.output))
  return brokenLines + failed === 0 ? exits.ok : exits.partial
}

interface StartedFleet {
  readonly failed: Promise<never>
  readonly finished: Promise<FleetProgress>
  readonly stop: () => Promise<void>
}

async function startFleet(
  home: Home,
  options: FleetOptions,
  { restarts }: { restarts: boolean },
): Promise<StartedFleet> {
  const fleet = await prepareFleet(home, options)
  home.voice.note(registrationLine(fleet))
  const screen = createScreen({
    write: (text) => process.stderr.write(text),
    columns: () => (process.stderr.isTTY ? process.stderr.columns : undefined),
    nowMs: () => performance.now(),
  })
  const log = new LogFile(resolve(home.config.dataDir, 'logs', 'fleet.log'))
  let notices = 0
  let finish: (progress: FleetProgress) => void = () => undefined
  const finished = new Promise<FleetProgress>((yes) => {
    finish = yes
  })
  const running = runFleet(home, fleet, {
    restarts,
    line: (line) => {
      log.write(line)
      const shown = shownLine(line)
      if (shown === undefined) return
      notices++
      if (notices <= noticesMax) screen.say(shown.text)
      if (notices === noticesMax + 1) screen.say(`more of this is in ${log.path}`)
    },
    progress: (progress) => {
      screen.live(progressLine(progress))
      if (progress.finished) finish(progress)
    },
    crashed: (how, waitMs) => screen.say(`fleet ${how}; again in ${(waitMs / 1000).toFixed(1)} s`),
  })
  return {
    failed: running.failed,
    finished,
    async stop() {
      await running.stop(stopMs)
      screen.end()
      fleet.hold.release()
    },
  }
}

/** Of devices, what the fleet itself knows: settled means acknowledged by the broker after ingest's verdict. */
export function progressLine(progress: FleetProgress): string {
  const { settled, queued } = progress
  return `${grouped(settled)} readings acknowledged · ${devicesOf(progress)} · ${grouped(queued)} queued`
}

export function registrationLine({ plan, registered }: Pick<PreparedFleet, 'plan' | 'registered'>): string {
  const { devicesNew, lotsNew, credentialsNew } = registered
  const known = plan.devices.length - devicesNew
  return [
    `${counted(devicesNew, 'device')} and ${counted(lotsNew, 'lot')} registered`,
    ...(known > 0 ? [`${counted(known, 'device')} known already`] : []),
    ...(credentialsNew > 0 ? [`${counted(credentialsNew, 'credential')} issued again`] : []),
  ].join(', ')
}

function spoken(answer: ReplayAnswer, output: Output): string {
  const { devices, failed, kept, settled, brokenLines, seconds } = answer
  switch (output) {
    case 'json':
    case 'ndjson':
      return JSON.stringify(answer)
    case 'csv':
      return `${Object.keys(answer).join(',')}\r\n${Object.values(answer).join(',')}`
    case 'table':
      if (kept + settled + brokenLines + failed === 0)
        return `nothing was left to play: every device had come to the end before`
      return [
        `${counted(kept, 'reading')} of ${counted(devices, 'device')} played, ${grouped(settled)} acknowledged, in ${seconds} s`,
        ...(brokenLines > 0 ? [`${counted(brokenLines, 'broken line')} left out; the log names each`] : []),
        ...(failed > 0 ? [`${counted(failed, 'device')} could not go on; the log says why`] : []),
      ].join('\n')
    default: {
      const never: never = output
      return never
    }
  }
}
