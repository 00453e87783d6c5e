/**
 * Pictures of each page for `docs/screenshots/`, of a fleet that plays three made-up weeks; written by `npm run screenshots`
 * and not otherwise, since each run would make other ones.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from '../../scripts/build.mjs'
import { startBrowser, takeSeat } from '../kit/browser.ts'
import { type RunningCommand, startCommand } from '../kit/command.ts'
import { lotctlUpEnv, runLotctl, startLotctl } from '../kit/lotctl.ts'
import { eventually, makeDataDir } from '../kit/program.ts'

const isWanted = process.env.LOTWATCH_TEST_SCREENSHOTS === 'true'
const folder = join(root, 'docs/screenshots')
const stepMs = 10 * 60_000
const dayMs = 86_400_000
const weeks = 3

/** Name, spaces, how full at noon, how early. */
const lots: readonly (readonly [string, number, number, number])[] = [
  ['Harbour East', 420, 0.97, 0],
  ['Harbour West', 380, 0.7, 1],
  ['Old Market', 140, 1, 0.5],
  ['Central Station', 650, 0.88, -1],
  ['University', 320, 0.94, -1.5],
  ['Hospital', 240, 0.82, -2],
  ['Opera', 180, 0.35, 6],
  ['Stadium', 900, 0.18, 3],
  ['Riverside', 210, 0.76, 0],
  ['Museum Quarter', 95, 0.9, 1],
  ['Park and Ride North', 540, 0.91, -2.5],
  ['Airport Long Stay', 1250, 0.64, 0],
]

/** A zone in which it is the middle of the morning now, when lots fill. */
function morningZone(nowMs: number): string {
  const zones = [
    'Etc/UTC',
    'Europe/Athens',
    'Asia/Dubai',
    'Asia/Dhaka',
    'Asia/Shanghai',
    'Australia/Brisbane',
    'Pacific/Auckland',
    'America/New_York',
    'America/Denver',
    'Pacific/Honolulu',
    'America/Sao_Paulo',
    'Atlantic/Azores',
  ]
  const far = (zone: string) => Math.abs(localHour(nowMs, zone) - 10)
  return zones.toSorted((a, b) => far(a) - far(b))[0] ?? 'Etc/UTC'
}

function localHour(atMs: number, zone: string): number {
  const [hour = '0', minute = '0'] = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hour: '2-digit',
    minute: '2-digit',
  })
    .format(atMs)
    .split(':')
  return (Number(hour) % 24) + Number(minute) / 60
}

/** @param time `2026-11-25 10:35:00`, local */
function taken([, spaces, share, early]: (typeof lots)[number], time: string): number {
  const hour = Number(time.slice(11, 13)) + Number(time.slice(14, 16)) / 60 + early
  const day = new Date(`${time.slice(0, 10)}T00:00:00Z`).getUTCDay()
  const week = day === 0 ? 0.35 : day === 6 ? 0.6 : 1
  const morning = 1 / (1 + Math.exp(-(hour - 9) * 1.4))
  const evening = 1 / (1 + Math.exp((hour - 17.5) * 1.1))
  const wave = 0.03 * Math.sin(hour * 5 + spaces)
  // No day is like another: a typical week is a band.
  const mood = 1 + 0.12 * Math.sin(Number(time.slice(8, 10)) * 2.4 + spaces)
  const full = 0.06 + (share - 0.06) * mood * morning * evening * week + wave
  return Math.max(0, Math.min(spaces, Math.round(spaces * full)))
}

function recording(nowMs: number, zone: string): string {
  const local = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' })
  const lines = ['SystemCodeNumber,Capacity,Occupancy,LastUpdated']
  for (let atMs = nowMs - weeks * 7 * dayMs; atMs <= nowMs; atMs += stepMs) {
    const time = local.format(atMs)
    for (const lot of lots) {
      // One is silent since a while: pages show how that looks.
      if (lot[0] === 'Riverside' && atMs > nowMs - 40 * 60_000) continue
      // And one was away for a night.
      if (lot[0] === 'University' && atMs > nowMs - 2.5 * dayMs && atMs < nowMs - 2.1 * dayMs) continue
      lines.push(`${lot[0]},${lot[1]},${taken(lot, time)},${time}`)
    }
  }
  return `${lines.join('\n')}\n`
}

describe.skipIf(!isWanted)('pictures of the console', { timeout: 300_000 }, () => {
  const data = makeDataDir()
  const nowMs = Math.floor(Date.now() / 60_000) * 60_000
  const zone = morningZone(nowMs)
  let env: Record<string, string>
  let running: RunningCommand
  let browser: Browser
  let url: string

  beforeAll(async () => {
    env = await lotctlUpEnv(data.path)
    url = `http://127.0.0.1:${env.LOTWATCH_CONSOLE_PORT}`
    const file = join(data.path, 'week.csv')
    writeFileSync(file, recording(nowMs, zone))
    browser = await startBrowser()
    running = startLotctl(['up', '--replay', file, '--tz', zone], env)
    await running.says(/^ready in/m)
  }, 180_000)
  afterAll(async () => {
    await browser?.close()
    running?.process.kill('SIGINT')
    await running?.ended
    data.remove()
  })

  it('are written', async () => {
    mkdirSync(folder, { recursive: true })
    const seat = await takeSeat(browser, { url, zone, height: 820 })
    const { page } = seat
    await page.goto((await runLotctl(['login-link'], env)).stdout.trim())
    const expected = lots.length
    // All of the past has arrived when every card but the silent one has a number.
    await eventually(
      async () => (await page.locator('.card.lot .figure:not(.unknown)').count()) >= expected - 1,
      180_000,
      1000,
    )
    const provisioning = `http://127.0.0.1:${env.LOTWATCH_PROVISIONING_PORT}`
    await makeKeys()
    const shoot = async (
      name: string,
      path: string,
      theme: 'light' | 'dark' = 'light',
      before: () => Promise<void> = async () => undefined,
    ) => {
      await page.emulateMedia({ colorScheme: theme })
      await page.goto(url + path)
      await page.locator('main h1').waitFor()
      await page.locator('text=Loading').first().waitFor({ state: 'detached' })
      await before()
      // What changes its colour or its place gently has done so.
      await page.evaluate('Promise.all(document.getAnimations().map(({ finished }) => finished))')
      await page.screenshot({ path: join(folder, `${name}.png`) })
    }
    await shoot('now', '/')
    await shoot('now-dark', '/', 'dark')
    await shoot('lot', '/lots/University?range=-7d')
    await shoot('explore', '/explore?lots=Central-Station,Harbour-East,Stadium&compare=week&range=-7d')
    await shoot('sql', '/explore?tab=sql', 'dark')
    await shoot('quality', '/quality')
    await shoot('devices', '/devices', 'light', async () => {
      for (const name of ['Choose Harbour-East', 'Choose Harbour-West'])
        await page.getByRole('checkbox', { name }).check()
    })
    await shoot('device', '/devices/University', 'dark')
    await shoot('enrolment', '/enrolment')
    await shoot('access', '/access?tab=clients&client=operator')
    await shoot('system', '/system', 'dark')
    await shoot('account', '/account')
    await page.setViewportSize({ width: 390, height: 820 })
    await shoot('telephone', '/', 'dark')
    expect(seat.complaints).toEqual([])
    await seat.leave()

    /** A key of each kind, and a board that waits to be let in. */
    async function makeKeys(): Promise<void> {
      const ask = (body: object) =>
        page.evaluate(async (asked) => {
          const answer = await fetch('/api/provisioning/v1/enrol-keys', {
            method: 'POST',
            headers: { 'content-type': 'application/json', 'lotwatch-page': '1' },
            body: JSON.stringify(asked),
          })
          return ((await answer.json()) as { key: string }).key
        }, body)
      await ask({ name: 'Riverside, second gate', lotId: 'Riverside', usesMax: 1 })
      await ask({ name: 'Stadium, match days', lotId: 'Stadium', usesMax: 24, lifeSec: 7 * 86_400 })
      const key = await ask({ name: 'Workshop', usesMax: 5, approval: 'manual' })
      const board = makeDataDir()
      const agent = startCommand(
        join(root, 'dist/agent.mjs'),
        ['enrol', provisioning, '--key', key, '--name', 'Gate South'],
        {
          LOT_AGENT_CONFIG: '/dev/null',
          LOT_AGENT_CREDENTIAL_FILE: join(board.path, 'credentials.json'),
          LOT_AGENT_OUTBOX_DIR: join(board.path, 'outbox'),
        },
      )
      await agent.says(/approval of/)
      agent.process.kill('SIGKILL')
      await agent.ended
      board.remove()
    }
  })
})
