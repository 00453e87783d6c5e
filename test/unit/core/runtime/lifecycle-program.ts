/** A program that goes the way its first argument says; bundled and started by `lifecycle.test.ts`. */
import { FleetError } from '../../../../core/contract/errors.ts'
import { loadSettingsSource, type Running, runProgram } from '../../../../core/runtime/lifecycle.ts'
import { createLog } from '../../../../core/runtime/log.ts'

const log = createLog({ program: 'fixture' })

/** Runs until it is stopped, in the way `stop` says. */
function serve(stop: (alive: NodeJS.Timeout) => Promise<void>): Running {
  const alive = setInterval(() => undefined, 1000)
  return { ready: { port: 4711 }, stop: () => stop(alive) }
}

const ways: Readonly<Record<string, () => Running | Promise<Running>>> = {
  serves: () =>
    serve(async (alive) => {
      clearInterval(alive)
      log.info('work.settled')
    }),
  misconfigured() {
    const secret = `lotsec_${'a'.repeat(43)}_0123abcd`
    throw new FleetError('config.invalid', 'three wrong settings', {
      faults: ['A: one', 'B: two', `C: ${secret}`],
    })
  },
  readsSettings() {
    log.info('settings.read', { file: loadSettingsSource(process.env).file })
    return serve(async () => undefined)
  },
  unavailable() {
    throw new FleetError('store.unavailable', 'the disk is full')
  },
  fails() {
    throw new TypeError('a bug at start')
  },
  throwsLater() {
    setTimeout(() => {
      throw new TypeError('a bug later')
    })
    return serve(async () => undefined)
  },
  rejectsLater() {
    setTimeout(() => void Promise.reject(new TypeError('a bug later')))
    return serve(async () => undefined)
  },
  neverStarts() {
    log.info('starting')
    setInterval(() => undefined, 1000)
    return new Promise(() => undefined)
  },
  stopsSlowly: () => serve(() => new Promise(() => undefined)),
  neverSettles: () =>
    serve((alive) => {
      clearInterval(alive)
      return new Promise(() => undefined)
    }),
  failsToStop: () =>
    serve(async () => {
      throw new Error('the last batch is lost')
    }),
}

const [, , name = '', stopMs = '4000'] = process.argv
runProgram(
  log,
  async () => {
    const way = ways[name]
    if (way === undefined) throw new Error(`no way ${name}`)
    return way()
  },
  { stopMs: Number(stopMs) },
)
