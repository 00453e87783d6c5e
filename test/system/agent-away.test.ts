/** Whatever a device needs may be away for as long as it likes: it counts, and comes back by itself. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../kit/program.ts'
import { type Fleet, nothingAmiss, outcome, record } from '../kit/replayed-fleet.ts'
import { startWiredSystem, type WiredSystem } from '../kit/wired-system.ts'

const isLong = process.env.LOTWATCH_TEST_LONG === 'true'
const awayMs = isLong ? 600_000 : 2000
const carParks = 3

let wired: WiredSystem
let fleet: Fleet | undefined

beforeEach(async () => {
  // A name, so that somebody has to be asked for its address.
  wired = await startWiredSystem('localhost')
}, 60_000)
afterEach(() => wired.stop(), 60_000)

const settled = () => fleet?.progress?.settled ?? 0
const kept = () => fleet?.progress?.kept ?? 0

/** With it away for its time, the fleet keeps more and more, and has nothing acknowledged. */
async function countAlone(): Promise<void> {
  // What is told now may be from before.
  await eventually(() => fleet?.progress?.connected === 0, 30_000)
  const [keptBefore, settledBefore] = [kept(), settled()]
  // How long it is away is the fault itself.
  await delay(awayMs)
  await eventually(() => kept() > keptBefore, 30_000)
  expect(settled()).toBe(settledBefore)
}

describe('a device goes on counting, loses nothing and comes back by itself', () => {
  it('when first the token server, then its broker, then its names are away', async () => {
    const { system, wire } = wired
    const recording = record(system.data, 3 * awayMs + 180_000, carParks, 100)
    const namesAway = join(system.data, 'names-away')
    fleet = await wired.prepareFleet(recording, { nodeOptions: ['--import', namesFrom(namesAway)] })
    await system.kill('provisioning')
    await fleet.start()
    await countAlone()
    await system.restart('provisioning')
    await eventually(() => settled() > 0, 60_000)

    await system.kill('broker')
    await countAlone()
    await system.restart('broker')
    await fleet.acknowledgedMore()

    writeFileSync(namesAway, '')
    wire.cut()
    await countAlone()
    expect(readFileSync(`${namesAway}.asked`, 'utf8')).toContain('localhost')
    rmSync(namesAway)
    await fleet.acknowledgedMore()

    await fleet.hurry()
    expect(await outcome(system, fleet, recording)).toEqual(nothingAmiss)
  }, 3_600_000)
})

/** What Node loads first: while the file is there, it asks nobody for addresses and says what it says without DNS. */
function namesFrom(file: string): string {
  const source = `
    import dns from 'node:dns'
    import { appendFileSync, existsSync } from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    const { lookup } = dns
    dns.lookup = (name, ...rest) => {
      if (!existsSync(${JSON.stringify(file)})) return lookup(name, ...rest)
      appendFileSync(${JSON.stringify(`${file}.asked`)}, name + '\\n')
      const error = Object.assign(new Error('getaddrinfo EAI_AGAIN ' + name), { code: 'EAI_AGAIN', syscall: 'getaddrinfo', hostname: name })
      process.nextTick(rest.at(-1), error)
    }
    syncBuiltinESMExports()
  `
  return `data:text/javascript,${encodeURIComponent(source)}`
}
