/** The agent's front door (`lot-agent`): picks the parts, starts them, stops them. */
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Epoch, parseEpoch } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { ReplaySensor } from '../core/contract/fleet.ts'
import { isZone } from '../core/contract/zone.ts'
import { readCredentialFile } from '../core/runtime/credential.ts'
import { exitCodes, type Running, runProgram } from '../core/runtime/lifecycle.ts'
import { createLog, type Log, type LogLevel } from '../core/runtime/log.ts'
import packageFile from '../package.json' with { type: 'json' }
import { createBoardFetch, createBoardFetches } from './board-fetch.ts'
import { readBoot } from './boot.ts'
import { createSystemClock } from './clock.ts'
import { runCommand } from './command.ts'
import { commandLineOf } from './command-line.ts'
import type { AgentConfig } from './config.ts'
import { type FoundConfig, findConfig } from './config-files.ts'
import { askAgent, socketOf } from './control.ts'
import { type DeviceOptions, openDevice } from './device.ts'
import { createConnectTurns, readFleetFile, startFleet } from './fleet.ts'
import { takeGivenCredential } from './given-credential.ts'
import { type Host, hostDevice } from './host.ts'
import { identityOf, readIdentity } from './identity.ts'
import { createNotifier } from './notify.ts'
import { setOutboxAside } from './outbox-owner.ts'
import { openRemote, readRemote } from './remote.ts'
import { tryCredential } from './rotation.ts'
import { createTicks } from './schedule.ts'
import type { SensorRow } from './sensor-list.ts'
import { createExecSensor, openExec } from './sensors/exec.ts'
import type { GaugeOptions } from './sensors/gauge.ts'
import { type GpioOptions, openGpio } from './sensors/gpio.ts'
import { createHttpSensor, openHttp } from './sensors/http.ts'
import { createMergedSensor, type Part } from './sensors/merged.ts'
import type { Recording } from './sensors/recording.ts'
import { createRecordings } from './sensors/recordings.ts'
import { createReplaySensor } from './sensors/replay.ts'
import type { Sensor } from './sensors/sensor.ts'
import { createSimulatedSensor } from './sensors/simulated.ts'
import { createTimeSync, runProgramOnce, type TimeSync, timeAssumed } from './time-sync.ts'
import { checkedConfig, shownConfig } from './verbs/config.ts'
import { examine } from './verbs/doctor.ts'
import { type EnrolFlags, enrolBoard } from './verbs/enrol.ts'
import { reachable } from './verbs/reach.ts'
import { installService, type ServiceFlags, type ServiceParts, uninstallService } from './verbs/service.ts'
import { showFindings, shownCredential, showStatus } from './verbs/show.ts'
import { createZone } from './zone.ts'

const program = commandLineOf({
  run: () => runProgram(createLog({ program: 'agent' }), runDevice),
  fleet: (file) => runProgram(createLog({ program: 'agent' }), () => runFleet(file)),
  testSensor: () => runProgram(createLog({ program: 'agent' }), testSensor),
  enrol: (url, flags) => runCommand((signal) => enrolHere(url, flags, signal)),
  status: ({ json }) =>
    runCommand(async () => {
      const { outboxDir } = readConfig()
      return showStatus(await askAgent(socketOf(outboxDir)), { json: json === true, write: toStdout })
    }),
  doctor: () => runCommand(seeDoctor),
  install: (flags) => doing(() => installService(servicePartsOf(flags))),
  uninstall: (flags) => doing(() => uninstallService(servicePartsOf(flags))),
  showCredential: () =>
    doing(() => {
      const { credentialFile } = readConfig()
      toStdout(`${JSON.stringify(shownCredential(readCredentialFile(credentialFile)), undefined, 2)}\n`)
    }),
  checkConfig: () => doing(() => toStdout(checkedConfig(findHere()))),
  showConfig: ({ origin }) =>
    doing(() => {
      const found = findHere()
      toStdout(shownConfig(found, readRemote(found.config.outboxDir), { origin: origin === true }))
    }),
})
await program.parseAsync()

function doing(work: () => void): Promise<void> {
  return runCommand(async () => {
    work()
    return exitCodes.ok
  })
}

function readConfig(): AgentConfig {
  return findHere().config
}

function findHere(): FoundConfig {
  const ifThere = <T>(read: () => T): T | undefined => {
    try {
      return read()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }
  return findConfig({
    env: process.env,
    flags: program.opts<{ set: string[] }>().set,
    readFile: (path) => ifThere(() => readFileSync(path, 'utf8')),
    list: (folder) => ifThere(() => readdirSync(folder)) ?? [],
  })
}

async function runDevice(): Promise<Running> {
  const { config, log, open } = prepare()
  takeGivenCredential(process.env.CREDENTIALS_DIRECTORY, config.credentialFile, log)
  const device = await open(config, { sync: await timeSyncOf(config, log), isAlone: true })
  // A device that cannot go on ends the program; `runProgram` hears of it as an unhandled rejection.
  void device.done
  const notifier = createNotifier(process.env, log)
  notifier.start(() => device.line())
  return {
    ready: device.ready,
    async stop() {
      await Promise.all([notifier.stopping(), device.stop()])
    },
  }
}

function timeSyncOf({ clockSource, clockFile }: AgentConfig, log: Log): Promise<TimeSync> {
  return createTimeSync({
    source: clockSource,
    file: clockFile,
    hasSystemd: existsSync('/run/systemd/system'),
    run: runProgramOnce,
    lookEveryMs: 2000,
    log,
  })
}

async function enrolHere(url: string | undefined, flags: EnrolFlags, signal: AbortSignal): Promise<number> {
  const { config, parts, open } = prepare((line) => void process.stderr.write(line), 'error')
  await enrolBoard(url, flags, {
    ...parts,
    credentialFile: config.credentialFile,
    insecure: config.insecure,
    nowMs: parts.clock.nowMs,
    tryCredential: (file) => tryCredential(identityOf(file, config.credentialFile, config), config, parts),
    wait: (ms, stop) => delay(ms, undefined, { signal: stop }).catch(() => undefined), // aborted: whoever waits looks
    ask: () => askAgent(socketOf(config.outboxDir)),
    open: async () =>
      open(
        { flushEveryMs: 0, logLevel: 'error' },
        { sync: await timeSyncOf(config, parts.log), isAlone: true, ticks: everySecond },
      ),
    mayNotOpen: () => ownerOtherThanUs(dirname(resolve(config.outboxDir))),
    setOutboxAside: () => setOutboxAside(config.outboxDir, parts.clock.nowMs()),
    say: (line) => toStdout(`${line}\n`),
    signal,
  })
  return exitCodes.ok
}

async function seeDoctor(): Promise<number> {
  const parts = {
    clock: createSystemClock(),
    boot: readBoot(),
    random: Math.random,
    log: createLog({ program: 'agent', level: 'silent' }),
    fetchOf: createBoardFetches(),
  }
  const findings = examine({
    readConfig,
    readIdentity: (config) => readIdentity(config.credentialFile, config),
    timeSync: (config) => timeSyncOf(config, parts.log),
    tryCredential: (file, config) =>
      tryCredential(identityOf(file, config.credentialFile, config), config, parts),
    ask: ({ outboxDir }) => askAgent(socketOf(outboxDir)),
    reach: reachable,
    nodeVersion: process.versions.node,
  })
  return showFindings(findings, toStdout)
}

function servicePartsOf({ dryRun, root, enrolFile }: ServiceFlags): ServiceParts {
  return {
    node: process.execPath,
    program: realpathSync(process.argv[1] ?? ''),
    enrolFile,
    root: root === undefined ? undefined : resolve(root),
    isDry: dryRun === true,
    isRoot: process.getuid?.() === 0,
    say: (line) => toStdout(`${line}\n`),
  }
}

/** Nobody who enrols a board waits for its schedule. */
function everySecond(signal: AbortSignal): AsyncIterable<number> {
  return createTicks('* * * * * *', signal)
}

/** Root would leave files behind that the service cannot read. */
function ownerOtherThanUs(folder: string): string | undefined {
  const owner = statSync(folder, { throwIfNoEntry: false })?.uid
  if (process.getuid?.() !== 0 || owner === undefined || owner === 0) return undefined
  return 'the agent does not run (systemctl start lot-agent)'
}

function toStdout(text: string): void {
  process.stdout.write(text)
}

async function runFleet(path: string): Promise<Running> {
  const { log, open, brokenLines } = prepare()
  const { devices } = readFleetFile(path)
  const inTurn = createConnectTurns(Math.random)
  const fleet = await startFleet({
    devices,
    openDevice: (device) =>
      open(device, { sync: timeAssumed, inTurn, deviceId: device.deviceId, isAlone: false }),
    brokenLines,
    report: (progress) => {
      // The one who asked may be gone before we are.
      if (process.connected) process.send?.({ progress }, () => undefined)
      log.debug('fleet.progress', { ...progress })
    },
    log,
  })
  return { ready: { devices: devices.length }, stop: () => fleet.stop() }
}

async function testSensor(): Promise<Running> {
  const config = readConfig()
  const log = createLog({ program: 'agent', level: config.logLevel })
  const write = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)
  const recordingOf = createRecordings(log).of
  // Edges are shown as they come: to drive over a loop and see whether it counts.
  const sensor = createSensor(config.sensor, { config, log, recordingOf, onEdge: (edge) => write({ edge }) })
  const stopping = new AbortController()
  const { signal } = stopping
  const kept = async () => undefined
  const start = { position: undefined, ticks: everySecond(signal), kept, signal }
  const show = async () => {
    for await (const { observations } of sensor.observe({ ...start, clock: createSystemClock() }))
      for (const observation of observations) write(observation)
  }
  // A sensor that cannot go on ends the program; `runProgram` hears of it as an unhandled rejection.
  const shown = show()
  return {
    ready: { sensor: config.sensor.type },
    stop() {
      stopping.abort()
      return shown
    },
  }
}

/** What all devices of this process share, and how to open one. */
function prepare(write?: (line: string) => void, level?: LogLevel) {
  const config = readConfig()
  const log = createLog({
    program: 'agent',
    level: level ?? config.logLevel,
    ...(write === undefined ? {} : { write }),
  })
  const recordings = createRecordings(log)
  const parts = {
    clock: createSystemClock(),
    boot: readBoot(),
    random: Math.random,
    log,
    version: packageFile.version,
    newEpoch,
    fetchOf: createBoardFetches(),
  }
  const open = (
    device: Partial<AgentConfig>,
    more: Pick<DeviceOptions, 'sync' | 'inTurn' | 'deviceId' | 'isAlone' | 'ticks'>,
  ): Promise<Host> => {
    const ofDevice = { ...config, ...device }
    return hostDevice((reopen) =>
      openDevice(
        {
          remote: openRemote(ofDevice, log),
          createSensor: (now, deviceLog) =>
            createSensor(now.sensor, { config: now, log: deviceLog, recordingOf: recordings.of }),
          schedule: scheduleOf(ofDevice.sensor),
          reopen,
          // Under systemd, which starts it again, the whole process ends.
          restart: more.isAlone && process.env.INVOCATION_ID !== undefined ? endProcess : reopen,
          ...more,
        },
        parts,
      ),
    )
  }
  return { config, log, parts, open, brokenLines: recordings.brokenLines }
}

/** As an operator would at the terminal: everything is settled first. */
function endProcess(): void {
  process.kill(process.pid, 'SIGTERM')
}

interface SensorParts {
  readonly config: AgentConfig
  readonly log: Log
  readonly recordingOf: (sensor: ReplaySensor) => Promise<Recording>
  readonly onEdge?: GpioOptions['onEdge']
}

function createSensor(options: AgentConfig['sensor'], parts: SensorParts): Sensor {
  const { config, log, recordingOf } = parts
  const gauge: GaugeOptions = {
    timeoutMs: config.sensorTimeoutMs,
    silentAfterMs: config.sensorSilentAfterMs,
    stuckAfterMs: config.sensorStuckAfterSec * 1000,
    capacity: config.sensorCapacity,
    log,
  }
  if (options.type === 'several') return createSeveral(options.rows, { ...parts, gauge })
  if (options.type === 'http') return createHttpSensor({ ...gauge, ...options, fetch: createBoardFetch() })
  if (options.type === 'exec')
    return createExecSensor({ ...gauge, ...createProgramParts(), command: options.command })
  const tz = options.tz ?? 'UTC'
  if (!isZone(tz)) throw new FleetError('config.invalid', `${tz} is not a time zone`)
  const zone = createZone(tz)
  switch (options.type) {
    case 'simulated':
      return createSimulatedSensor({
        seed: options.seed,
        capacity: options.capacity,
        offsetMs: zone.offsetMs,
        historyDays: options.historyDays ?? 7,
        historyEverySec: options.historyEverySec ?? 300,
      })
    case 'replay':
      return createReplaySensor(() => recordingOf(options), {
        key: options.key,
        zone,
        shiftToNow: options.shiftToNow,
        speed: options.speed,
      })
    default: {
      const never: never = options
      return never
    }
  }
}

/** What a sensor's program is started with, and how it is started again. */
function createProgramParts() {
  const { PATH, HOME, LANG, TZ } = process.env
  return {
    env: { PATH, HOME, LANG, TZ },
    restartMinMs: 1000,
    restartMaxMs: 60_000,
    random: Math.random,
  }
}

function createSeveral(
  rows: readonly SensorRow[],
  { config, log, gauge, onEdge }: Pick<SensorParts, 'config' | 'log' | 'onEdge'> & { gauge: GaugeOptions },
): Sensor {
  const program = createProgramParts()
  const parts = rows.map((row): Part => {
    const { name, type } = row
    switch (type) {
      case 'exec':
        return {
          name,
          type,
          openGauge: ({ clock, signal }) =>
            openExec({ ...gauge, ...program, command: row.command ?? [] }, clock.monotonicMs, signal),
        }
      case 'http': {
        const options = {
          ...gauge,
          url: row.url ?? '',
          pointer: row.pointer ?? '',
          fetch: createBoardFetch(),
        }
        return { name, type, openGauge: ({ signal }) => openHttp(options, signal) }
      }
      case 'gpio': {
        const { chip = '', entry, exit, outer, inner, active = 'high', bias = 'as-is', debounceMs = 30 } = row
        const gate = { ...(entry === undefined ? {} : { entry }), ...(exit === undefined ? {} : { exit }) }
        const lines = outer === undefined || inner === undefined ? gate : { outer, inner }
        const more = onEdge === undefined ? {} : { onEdge }
        const options = { ...program, ...more, name, chip, lines, active, bias, debounceMs, log }
        return {
          name,
          type,
          openGate: ({ clock }) =>
            openGpio(
              { ...options, stuckAfterMs: gauge.stuckAfterMs, run: runProgramOnce },
              clock.monotonicMs,
            ),
        }
      }
      default: {
        const never: never = type
        return never
      }
    }
  })
  return createMergedSensor({ ...gauge, parts, startCount: config.sensorStartCount })
}

function scheduleOf(sensor: AgentConfig['sensor']): string | undefined {
  return sensor.type === 'simulated' ? sensor.schedule : undefined
}

function newEpoch(): Epoch {
  return parseEpoch(randomBytes(8).toString('hex')) as Epoch // 16 hex digits
}
