/** The agent as a program: started from its bundle, against a real broker and token endpoint on sockets. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FleetDevice, type FleetProgress, replayColumnsDefault } from '../../core/contract/fleet.ts'
import type { ReadingsMessage } from '../../core/contract/payload.ts'
import { parseStatus } from '../../core/contract/status.ts'
import packageFile from '../../package.json' with { type: 'json' }
import { eventually, makeDataDir, type Program, startProgram } from '../kit/program.ts'
import {
  startTestBroker,
  startTestIssuer,
  type TestBroker,
  type TestIssuer,
  writeCredential,
} from '../unit/agent/peers.ts'

const runs = process.env.LOTWATCH_TEST_LONG === 'true' ? 50 : 5
const rowCount = 4000

let data: ReturnType<typeof makeDataDir>
let broker: TestBroker
let issuer: TestIssuer
let programs: Program[]

beforeEach(async () => {
  data = makeDataDir()
  broker = await startTestBroker()
  issuer = await startTestIssuer()
  programs = []
})
afterEach(async () => {
  for (const program of programs) await program.kill()
  await broker.stop()
  issuer.stop()
  data.remove()
})

const credentialOf = (deviceId: string) =>
  writeCredential(join(data.path, `${deviceId}.json`), {
    deviceId,
    brokerUrl: broker.url,
    tokenEndpoint: issuer.tokenEndpoint,
  })

async function start(args: readonly string[], env: Record<string, string> = {}): Promise<Program> {
  const program = await startProgram('agent', {
    args,
    env: {
      LOT_AGENT_OUTBOX_DIR: join(data.path, 'outbox'),
      LOT_AGENT_FLUSH_EVERY_MS: '0',
      LOT_AGENT_RECONNECT_MIN_MS: '20',
      LOT_AGENT_RECONNECT_MAX_MS: '200',
      ...env,
    },
  })
  programs.push(program)
  return program
}

/** A recording of one car park, a row a minute, whose count is its place. */
function record(name: string, rows: number): string {
  const path = join(data.path, name)
  const lines = Array.from(
    { length: rows },
    (_, i) =>
      `A,${rows},${i},${new Date(Date.UTC(2016, 0, 1, 0, i)).toISOString().slice(0, 19).replace('T', ' ')}`,
  )
  writeFileSync(path, ['SystemCodeNumber,Capacity,Occupancy,LastUpdated', ...lines, ''].join('\n'))
  return path
}

function fleetOf(...devices: readonly FleetDevice[]): string {
  const path = join(data.path, 'fleet.json')
  writeFileSync(path, JSON.stringify({ v: 1, devices }))
  return path
}

function replayOf(deviceId: string, file: string, key = 'A'): FleetDevice {
  mkdirSync(join(data.path, 'outboxes'), { recursive: true })
  return {
    deviceId,
    credentialFile: credentialOf(deviceId),
    outboxDir: join(data.path, 'outboxes', deviceId),
    sensor: { type: 'replay', file, key, columns: replayColumnsDefault, tz: 'UTC', shiftToNow: false },
  }
}

const published = (kind: string) =>
  broker.published.filter(({ topic }) => topic.endsWith(`/${kind}`)).map(({ payload }) => payload)
const messages = () => published('readings').map((payload) => JSON.parse(payload) as ReadingsMessage)
const readings = () => messages().flatMap((message) => message.readings)

/** The last progress a fleet told. */
function watchProgress(program: Program): () => FleetProgress | undefined {
  let last: FleetProgress | undefined
  program.process.on('message', (message: { progress?: FleetProgress }) => {
    last = message.progress ?? last
  })
  return () => last
}

describe('a killed replay', () => {
  it('neither skips nor repeats a row, whenever it is killed and whatever happens to its connection', async () => {
    const file = record('parks.csv', rowCount)
    const env = {
      LOT_AGENT_CREDENTIAL_FILE: credentialOf('north-1'),
      LOT_AGENT_SENSOR_TYPE: 'replay',
      LOT_AGENT_REPLAY_FILE: file,
      LOT_AGENT_REPLAY_KEY: 'A',
      // A row a minute in some ten seconds.
      LOT_AGENT_REPLAY_SPEED: String((rowCount * 60) / 10),
    }
    const seen = () => new Set(readings().map(({ seq }) => seq)).size
    for (let run = 0; run < runs; run++) {
      const before = seen()
      const program = await start(['run'], env)
      broker.acknowledges = run % 2 === 0
      // Without PUBACKs no more messages come than the window has, and one may hold a single row.
      const more = Math.random() * (broker.acknowledges ? 200 : 25)
      await eventually(() => seen() >= Math.min(before + 20 + more, rowCount), 20_000)
      if (run % 3 === 1) broker.cut()
      await program.kill()
    }
    broker.acknowledges = true
    await start(['run'], env)
    await eventually(() => seen() === rowCount, 60_000, 100)

    const epochs = new Set(messages().map(({ epoch }) => epoch))
    expect(epochs.size).toBe(1)
    const bySeq = new Map(readings().map((reading) => [reading.seq, reading]))
    for (let seq = 0; seq < rowCount; seq++) {
      expect(bySeq.get(seq)).toMatchObject({
        occupied: seq,
        capacity: rowCount,
        timestampMs: Date.UTC(2016, 0, 1, 0, seq),
      })
    }
    expect(bySeq.size).toBe(rowCount)
  }, 300_000)
})

describe('lot-agent run', () => {
  it('sends the past first, then stops within its time when it is asked to', async () => {
    const program = await start(['run'], {
      LOT_AGENT_CREDENTIAL_FILE: credentialOf('north-1'),
      LOT_AGENT_SIMULATED_HISTORY_DAYS: '1',
      LOT_AGENT_SCHEDULE: '* * * * * *',
    })
    expect(program.ready).toMatchObject({ deviceId: 'north-1', brokerUrl: broker.url })
    await eventually(() => readings().length > 24 * 12)
    const startedMs = performance.now()
    expect(await program.stop()).toBe(0)
    expect(performance.now() - startedMs).toBeLessThan(5000)
    expect(program.lines.join('\n')).not.toMatch(/token-\d|a-secret-of-the-test/)
  })

  it('waits for a broker that is away and sends everything when it is there', async () => {
    broker.connack = 3
    const program = await start(['run'], {
      LOT_AGENT_CREDENTIAL_FILE: credentialOf('north-1'),
      LOT_AGENT_SIMULATED_HISTORY_DAYS: '1',
    })
    await eventually(() => program.lines.some((line) => line.includes('device.unreachable')))
    expect(broker.published).toEqual([])
    broker.connack = 0
    await eventually(() => readings().length >= 24 * 12)
    expect(messages()[0]?.readings[0]?.seq).toBe(0)
  })

  it('says everything that is wrong with its settings and exits as misconfigured', async () => {
    const failing = start(['run'], {
      LOT_AGENT_WINDOW_MESSAGES: '0',
      LOT_AGENT_SCHEDUEL: '* * * * *',
      LOT_AGENT_INSECURE: 'maybe',
    })
    await expect(failing).rejects.toThrow(/ended with 78/)
    const text = String(await failing.catch((error: Error) => error.message))
    for (const setting of ['LOT_AGENT_WINDOW_MESSAGES', 'LOT_AGENT_SCHEDUEL', 'LOT_AGENT_INSECURE'])
      expect(text).toContain(setting)
  })

  it('exits as misconfigured when another agent uses its outbox', async () => {
    const env = { LOT_AGENT_CREDENTIAL_FILE: credentialOf('north-1') }
    await start(['run'], env)
    await expect(start(['run'], env)).rejects.toThrow(/ended with 78[\s\S]*another agent uses the outbox/)
  })
})

describe('lot-agent fleet', () => {
  it('plays a recording to its end and says so', async () => {
    const file = record('parks.csv', 1500)
    const program = await start(['fleet', fleetOf(replayOf('a-1', file), replayOf('a-2', file))])
    const progress = watchProgress(program)
    await eventually(() => progress()?.finished)
    expect(progress()).toMatchObject({ devices: 2, failed: 0, kept: 3000, settled: 3000, queued: 0 })
    expect(readings()).toHaveLength(3000)
  })

  it('names a broken line once, plays the rest, and counts it', async () => {
    const file = record('parks.csv', 10)
    writeFileSync(file, readFileSync(file, 'utf8').replace(',5,', ',five,'))
    const program = await start(['fleet', fleetOf(replayOf('a-1', file), replayOf('a-2', file))])
    const progress = watchProgress(program)
    await eventually(() => progress()?.finished)
    expect(progress()).toMatchObject({ kept: 18, brokenLines: 1 })
    const named = program.lines.filter((line) => line.includes('replay.line_broken'))
    expect(named.map((line) => JSON.parse(line))).toMatchObject([{ line: 7, file }])
  })

  it('goes on with its other devices when one cannot start and one has nothing to play', async () => {
    const file = record('parks.csv', 100)
    const good = replayOf('good', file)
    const lost = { ...replayOf('lost', file), credentialFile: join(data.path, 'none.json') }
    const program = await start(['fleet', fleetOf(lost, replayOf('empty', file, 'B'), good)])
    const progress = watchProgress(program)
    await eventually(() => progress()?.finished)
    expect(progress()).toMatchObject({ devices: 3, failed: 2, kept: 100, settled: 100 })
    const failed = program.lines.filter((line) => line.includes('device.failed'))
    expect(failed.map((line) => JSON.parse(line).deviceId).sort()).toEqual(['empty', 'lost'])
    expect(await program.stop()).toBe(0)
  })

  it('refuses a fleet file with every fault named', async () => {
    const file = record('parks.csv', 1)
    const twice = replayOf('a-1', file)
    const { deviceId: _, ...nameless } = twice
    writeFileSync(
      join(data.path, 'wrong.json'),
      JSON.stringify({ v: 1, devices: [nameless, { ...twice, x: 1 }] }),
    )
    await expect(start(['fleet', join(data.path, 'wrong.json')])).rejects.toThrow(/ended with 78/)
    await expect(start(['fleet', fleetOf(twice, twice)])).rejects.toThrow(/a-1 is there twice/)
  })
})

describe('status', () => {
  const statuses = () => published('status').map((payload) => parseStatus(payload))
  const env = () => ({
    LOT_AGENT_CREDENTIAL_FILE: credentialOf('north-1'),
    LOT_AGENT_SIMULATED_HISTORY_DAYS: '0',
    LOT_AGENT_SCHEDULE: '* * * * * *',
    LOT_AGENT_STATUS_EVERY_MS: '1000',
  })

  it('is sent at each connect and every while, in the words of the contract', async () => {
    await start(['run'], env())
    await eventually(() => statuses().some((status) => (status?.nextSeq ?? 0) > 0))
    for (const status of statuses()) expect(status).toBeDefined()
    expect(statuses().at(-1)).toMatchObject({
      version: packageFile.version,
      schedule: { cron: '* * * * * *' },
      queue: { bytesMax: 256 * 1024 * 1024, lossWindowMs: 0 },
      dropped: 0,
      sensors: [{ type: 'simulated', state: 'ok' }],
      credential: { ageSec: expect.any(Number) },
      disk: { freeBytes: expect.any(Number) },
    })

    const before = statuses().length
    broker.cut()
    await eventually(() => broker.passwords.length === 2 && statuses().length > before)
  })

  it('says since when the schedule holds, over restarts, and how old what waits is', async () => {
    broker.connack = 3
    const first = await start(['run'], env())
    await eventually(() => first.lines.some((line) => line.includes('device.unreachable')))
    await first.stop()
    broker.connack = 0
    broker.acknowledges = false
    await start(['run'], env())
    const [again] = await eventually(() => statuses().length > 0 && statuses())
    await eventually(() => (statuses().at(-1)?.queue.oldestAgeSec ?? 0) >= 1)
    expect(again?.schedule.sinceMs).toBeLessThan(Date.now() - (again?.uptimeSec ?? 0) * 1000)
    const sinceMs = new Set(statuses().map((status) => status?.schedule.sinceMs))
    expect(sinceMs.size).toBe(1)
    const noted = JSON.parse(readFileSync(join(data.path, 'outbox.schedule.json'), 'utf8'))
    expect(noted).toEqual(again?.schedule)
  })
})

describe('configuration from afar', () => {
  const latest = () => parseStatus(published('status').at(-1) ?? '')
  const env = () => ({
    LOT_AGENT_CREDENTIAL_FILE: credentialOf('north-1'),
    LOT_AGENT_SIMULATED_HISTORY_DAYS: '0',
    LOT_AGENT_SCHEDULE: '0 0 1 1 *',
    LOT_AGENT_CONFIG_TRIAL_MS: '1000',
  })
  const configure = (version: number, config: Record<string, unknown>) =>
    broker.say('devices/north-1/config', JSON.stringify({ v: 1, version, config }))

  it('is taken on without a restart of the process, reported, and holds over one', async () => {
    const first = await start(['run'], env())
    await eventually(() => latest()?.schedule.cron === '0 0 1 1 *')
    configure(1, { schedule: '* * * * * *', flushEveryMs: 0 })
    await eventually(() => latest()?.config?.state === 'applied' && readings().length > 0)
    expect(latest()).toMatchObject({ schedule: { cron: '* * * * * *' }, config: { version: 1 } })
    await first.kill()

    const before = published('status').length
    await start(['run'], env())
    await eventually(() => published('status').length > before)
    expect(latest()).toMatchObject({
      schedule: { cron: '* * * * * *' },
      config: { version: 1, state: 'applied' },
    })
  })

  it('that is wrong is rejected with every fault, and nothing changes', async () => {
    await start(['run'], env())
    await eventually(() => latest() !== undefined)
    configure(1, { schedule: 'whenever', statusEveryMs: 1 })
    await eventually(() => latest()?.config !== undefined)
    expect(latest()?.config).toMatchObject({ version: 1, state: 'rejected' })
    expect(latest()?.config?.reason).toMatch(/statusEveryMs/)
    configure(2, { brokerUrl: 'mqtt://127.0.0.1:1' })
    await eventually(() => latest()?.config?.version === 2)
    expect(latest()?.config?.reason).toBe('brokerUrl: may not be set from afar')
    expect(broker.passwords).toHaveLength(1)
  })

  it('with which the device is not connected is rolled back, and so is one that ends the process', async () => {
    const first = await start(['run'], env())
    await eventually(() => latest() !== undefined)
    broker.connack = 3
    configure(1, { schedule: '* * * * * *' })
    await eventually(() => first.lines.some((line) => line.includes('"state":"rolled_back"')))
    broker.connack = 0
    await eventually(() => latest()?.config?.state === 'rolled_back')
    expect(latest()?.schedule.cron).toBe('0 0 1 1 *')
    // It comes again at each connection, and is not tried again.
    configure(1, { schedule: '* * * * * *' })

    broker.connack = 3
    configure(2, { schedule: '*/2 * * * * *' })
    const remote = () => JSON.parse(readFileSync(join(data.path, 'outbox.remote.json'), 'utf8'))
    await eventually(() => remote().trial?.starts === 1)
    await first.kill()
    for (const starts of [2, undefined]) {
      const again = await start(['run'], { ...env(), LOT_AGENT_CONFIG_TRIAL_MS: '60000' })
      expect(remote().trial?.starts).toBe(starts)
      await again.kill()
    }
    broker.connack = 0
    await start(['run'], env())
    await eventually(() => latest()?.config?.version === 2)
    expect(latest()).toMatchObject({ schedule: { cron: '0 0 1 1 *' }, config: { state: 'rolled_back' } })
  })
})

describe('a restart', () => {
  it('goes on with the token it had, and asks for another once it is refused', async () => {
    const env = { LOT_AGENT_CREDENTIAL_FILE: credentialOf('north-1'), LOT_AGENT_SIMULATED_HISTORY_DAYS: '0' }
    const first = await start(['run'], env)
    await eventually(() => broker.passwords.length === 1)
    await first.kill()

    const second = await start(['run'], env)
    await eventually(() => broker.passwords.length === 2)
    await second.kill()
    expect(broker.passwords).toEqual(['token-1', 'token-1'])
    expect(issuer.given).toBe(1)

    broker.connack = 5
    await start(['run'], env)
    await eventually(() => broker.passwords.length >= 4)
    expect(broker.passwords.slice(2, 4)).toEqual(['token-1', 'token-2'])
  })

  it('counts on while the issuer refuses the device', async () => {
    issuer.status = 401
    const program = await start(['run'], {
      LOT_AGENT_CREDENTIAL_FILE: credentialOf('north-1'),
      LOT_AGENT_SIMULATED_HISTORY_DAYS: '0',
      LOT_AGENT_SCHEDULE: '* * * * * *',
      LOT_AGENT_REFUSED_MIN_MS: '100',
      LOT_AGENT_LOG_LEVEL: 'debug',
    })
    await eventually(() => program.lines.filter((line) => line.includes('readings.kept')).length >= 2)
    expect(program.lines.filter((line) => line.includes('token.refused'))).toHaveLength(1)

    issuer.status = 200
    await eventually(() => readings().length >= 2)
    expect(readings().map(({ seq }) => seq)).toContain(1)
  })
})

describe('a board that starts without the time', () => {
  it('counts at once and calls nobody until the time service has set the clock', async () => {
    const clockFile = join(data.path, 'synchronized')
    const program = await start(['run'], {
      LOT_AGENT_CREDENTIAL_FILE: credentialOf('north-1'),
      LOT_AGENT_CLOCK_SOURCE: 'file',
      LOT_AGENT_CLOCK_FILE: clockFile,
      LOT_AGENT_SENSOR_TYPE: 'exec',
      LOT_AGENT_EXEC_COMMAND: '/bin/echo,7',
      LOT_AGENT_SCHEDULE: '* * * * * *',
      LOT_AGENT_LOG_LEVEL: 'debug',
    })
    const kept = () => program.lines.filter((line) => line.includes('readings.kept')).length
    await eventually(() => kept() >= 2)
    expect(issuer.given).toBe(0)
    expect(broker.passwords).toEqual([])

    const atMs = Date.now()
    writeFileSync(clockFile, '')
    await eventually(() => readings().length >= kept())
    for (const { timestampMs, clock, occupied } of readings().slice(0, 2)) {
      expect([occupied, clock]).toEqual([7, 'synced'])
      expect(Math.abs(timestampMs - atMs)).toBeLessThan(60_000)
    }
    expect(new Set(readings().map(({ timestampMs }) => timestampMs)).size).toBe(readings().length)
  })
})
