/**
 * The console in a real browser, on a system as `npm start` starts it: from the first sign-in to a live chart, a device
 * from its registration to its suspension, files that hold what the API answers, each page for who cannot see or point.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { DuckDBConnection } from '@duckdb/node-api'
import type { Browser, Request } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { createTokenSource } from '../../core/auth/token-source.ts'
import { audiences } from '../../core/contract/principal.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { type Api, createApi, createFetch } from '../../core/runtime/fetch.ts'
import { root } from '../../scripts/build.mjs'
import { faultsOf, type Seat, signIn, startBrowser, takeSeat, visit } from '../kit/browser.ts'
import { type RunningCommand, startCommand } from '../kit/command.ts'
import { lotctlUpEnv, runLotctl, startLotctl } from '../kit/lotctl.ts'
import { describeWithCommand } from '../kit/needs.ts'
import { eventually, makeDataDir } from '../kit/program.ts'

/** What is promised; on a machine with more to do than it can, that cannot be measured. */
const firstChartMsMax = (loadavg()[0] ?? 0) > 2 * cpus().length ? 40_000 : 10_000
const goneMsMax = 1000
const firstLoadBytesMax = 100 * 1024
const pages = [
  '/',
  '/?kiosk',
  '/lots',
  '/lots/Omonia-Central',
  '/lots/Omonia-Central?range=own&from=2026-01-01T08:00',
  '/explore',
  '/explore?tab=sql',
  '/quality',
  '/quality?tab=missing',
  '/quality?tab=quarantine',
  '/devices',
  '/devices?new=1',
  '/devices?import=1',
  '/devices/Omonia-Central',
  '/enrolment',
  '/access',
  '/access?tab=clients&client=operator',
  '/access?tab=apis',
  '/access?tab=rules',
  '/access?tab=log',
  '/access?tab=explain',
  '/access?tab=people',
  '/system',
  '/system?tab=keys',
  '/system?tab=backups',
  '/system?tab=audit',
  '/system?tab=people',
  '/account',
  '/nowhere',
] as const

/** Each part of a page is on one of these: colours of high contrast are looked at there. */
const pagesWithAllParts: readonly string[] = [
  '/',
  '/lots/Omonia-Central',
  '/explore',
  '/quality',
  '/devices',
  '/devices/Omonia-Central',
  '/enrolment',
  '/access?tab=clients&client=operator',
  '/system',
  '/account',
]

describeWithCommand('chromium')('the console in a browser', { timeout: 300_000 }, () => {
  const data = makeDataDir()
  let env: Record<string, string>
  let running: RunningCommand
  let url: string
  let browser: Browser
  let admin: Seat
  let firstLink: string

  const program = (name: 'provisioning' | 'ingest' | 'broker'): Api => {
    const port = env[`LOTWATCH_${name.toUpperCase()}_PORT`]
    const credential = readCredentialFile(join(data.path, 'operator.json'))
    const fetch = createFetch()
    const tokens = createTokenSource({
      credential,
      audience: audiences[name],
      fetch,
      nowMs: () => performance.now(),
      random: Math.random,
    })
    return createApi({ baseUrl: `http://127.0.0.1:${port}`, tokens, fetch, unavailable: 'system.busy' })
  }
  const linkFor = async (...more: string[]) => (await runLotctl(['login-link', ...more], env)).stdout.trim()

  beforeAll(async () => {
    env = await lotctlUpEnv(data.path)
    url = `http://127.0.0.1:${env.LOTWATCH_CONSOLE_PORT}`
    browser = await startBrowser()
    running = startLotctl(['up', '--demo'], env)
    const [, link = ''] = await running.says(/(http:\S+\/sign-in#\S+)/)
    firstLink = link
    admin = await takeSeat(browser, { url })
  }, 90_000)
  afterAll(async () => {
    await browser?.close()
    running?.process.kill('SIGINT')
    await running?.ended
    data.remove()
  })
  afterEach(() => {
    expect(admin.complaints).toEqual([])
  })

  it('comes from the printed link to a live chart in a few seconds, by few bytes', async () => {
    const { page } = admin
    const sizes: Promise<number>[] = []
    const weigh = (request: Request) => {
      if (!request.url().startsWith(`${url}/api/`))
        sizes.push(request.sizes().then(({ responseBodySize }) => responseBodySize))
    }
    page.on('requestfinished', weigh)
    const sinceMs = performance.now()
    await page.goto(firstLink)
    await page.locator('.card.lot').first().waitFor()
    expect(page.url()).toBe(`${url}/`)
    await page.getByRole('link', { name: 'Omonia Central' }).click()
    await page.locator('.chart canvas').first().waitFor()
    expect(performance.now() - sinceMs).toBeLessThan(firstChartMsMax)
    await page.waitForLoadState('load')
    page.off('requestfinished', weigh)
    const bytes = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
    expect(bytes).toBeGreaterThan(10_000)
    expect(bytes).toBeLessThan(firstLoadBytesMax)
  })

  it('shows what comes in without being asked', async () => {
    const { page } = admin
    await visit(admin, '/devices/Omonia-Central')
    const newest = page.locator('table tbody tr').first()
    const before = await newest.textContent()
    await eventually(async () => (await newest.textContent()) !== before, 40_000, 500)
  })

  it('takes a device from its registration to its first reading', async () => {
    const { page } = admin
    await visit(admin, '/devices')
    await page.getByRole('button', { name: 'New device' }).first().click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('Gate West')
    await dialog.getByLabel('Counts for').selectOption('Omonia-Central')
    await dialog.getByRole('button', { name: 'Register' }).click()
    const key = (await dialog.locator('pre').first().textContent()) ?? ''
    expect(key).toMatch(/^lotenr_/)
    await dialog.getByRole('button', { name: 'I have saved it' }).click()
    expect(await page.content()).not.toContain(key)

    await visit(admin, '/devices/Gate-West')
    await page.getByText('The first appears here by itself').waitFor()
    const board = makeDataDir()
    const agent = startCommand(
      join(root, 'dist/agent.mjs'),
      ['enrol', `http://127.0.0.1:${env.LOTWATCH_PROVISIONING_PORT}`, '--key', key],
      {
        LOT_AGENT_CONFIG: '/dev/null',
        LOT_AGENT_CREDENTIAL_FILE: join(board.path, 'credentials.json'),
        LOT_AGENT_OUTBOX_DIR: join(board.path, 'outbox'),
        LOT_AGENT_SIMULATED_HISTORY_DAYS: '0',
        LOT_AGENT_SCHEDULE: '* * * * * *',
      },
    )
    await page.locator('table[aria-rowcount] tbody tr').first().waitFor({ timeout: 40_000 })
    expect((await agent.ended).exit).toBe(0)
    board.remove()
  })

  it('closes the connection of a device that is suspended, within a second', async () => {
    const { page } = admin
    const broker = program('broker')
    const isConnected = async () => {
      const { connections } = await broker.json<{ connections: { deviceId: string }[] }>('/v1/connections')
      return connections.some(({ deviceId }) => deviceId === 'Syntagma-Square')
    }
    await eventually(isConnected)
    await visit(admin, '/devices/Syntagma-Square')
    await page.getByRole('button', { name: 'Suspend', exact: true }).click()
    const answered = page.waitForResponse((response) => response.url().endsWith('/suspend'))
    await page.getByRole('button', { name: 'Suspend Syntagma-Square' }).click()
    await answered
    await eventually(async () => !(await isConnected()), goneMsMax)
    await page.locator('.badge', { hasText: 'suspended' }).waitFor()
    await page.getByRole('button', { name: 'Resume', exact: true }).click()
    await page.getByRole('button', { name: 'Resume Syntagma-Square' }).click()
    // When it comes back is its own affair: an issuer that has refused is asked ever more slowly.
    await page.getByRole('button', { name: 'Suspend', exact: true }).waitFor()
  })

  it.each(['CSV', 'Parquet'])('gives a file that holds what the API answers: %s', async (format) => {
    const { page } = admin
    await visit(admin, '/lots/Kolonaki-Garage?range=-7d')
    const downloading = page.waitForEvent('download')
    await page.getByRole('link', { name: format, exact: true }).click()
    const download = await downloading
    const file = readFileSync(await download.path())
    const asked = new URL(download.url())
    const path = asked.pathname.replace('/api/ingest', '') + asked.search
    const answer = await program('ingest').response(path)
    expect(download.suggestedFilename()).toMatch(new RegExp(`^Kolonaki-Garage-.*\\.${format.toLowerCase()}$`))
    expect(file.length).toBeGreaterThan(1000)
    const stored = Buffer.from(await answer.arrayBuffer())
    const contentOf = format === 'CSV' ? linesOf : rowsOf
    const [ofFile, ofAnswer] = [await contentOf(file), await contentOf(stored)]
    expect(ofFile.length).toBeGreaterThan(7 * 24)
    // The last window is still being filled.
    expect(ofFile.slice(0, -1)).toEqual(ofAnswer.slice(0, -1))
  })

  it('answers a SELECT, with what may be asked beside it', async () => {
    const { page } = admin
    await visit(admin, '/explore?tab=sql')
    await page
      .getByLabel('One SELECT')
      .fill('SELECT deviceId, count(*) AS readings FROM readings GROUP BY ALL ORDER BY 1')
    await page.getByRole('button', { name: 'Run' }).click()
    const table = page.getByRole('table')
    await table.waitFor()
    expect(await table.textContent()).toContain('Airport-Long-Stay')
    await page.getByLabel('One SELECT').fill('DELETE FROM readings')
    await page.getByRole('button', { name: 'Run' }).click()
    await page.getByRole('alert').waitFor()
    // The browser itself writes a line for each answer that is no success.
    ;(admin.complaints as string[]).length = 0
  })

  it('draws cars in and out beside the taken spaces, with one cursor, and says the same in a table', async () => {
    const { page } = admin
    await visit(admin, '/lots/Kolonaki-Garage?range=-24h')
    const charts = page.locator('figure:has(.chart)')
    await charts.nth(1).locator('canvas').waitFor()
    expect(await charts.locator('h2').allTextContents()).toEqual(['Taken spaces', 'Cars in and out'])
    const shownAt = (i: number) => charts.nth(i).locator('.u-legend tr').first().textContent()
    expect(await shownAt(1)).toContain('–')
    await charts.nth(0).locator('.u-over').hover()
    await eventually(async () => /\d\d:\d\d/.test((await shownAt(1)) ?? ''))
    expect(await shownAt(0)).toBe(await shownAt(1))
    await page.keyboard.press('t')
    const table = page.getByRole('region', { name: 'Taken spaces' })
    await table.waitFor()
    // The week that the demonstration brought along came late, and that is said.
    expect(await table.textContent()).toContain('over an hour late')
  })

  it('does one thing to several devices by the keyboard, with a verdict for each', async () => {
    const { page } = admin
    await visit(admin, '/devices?search=kolonaki')
    const boxes = page.getByRole('checkbox')
    await boxes.first().focus()
    await page.keyboard.press('Space')
    await page.getByText('1 device chosen').waitFor()
    await visit(admin, '/devices?search=a')
    const count = (await boxes.count()) - 1
    await boxes.first().focus()
    await page.keyboard.press('Space')
    await page.getByText(`${count} devices chosen`).waitFor()
    await page.getByRole('button', { name: 'Tag', exact: true }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('textbox', { name: /^Tag/ }).fill('by-hand')
    await page.keyboard.press('Enter')
    await page.getByText(`All have an answer: ${count} done`).waitFor()
    expect(await page.getByRole('dialog').locator('tbody tr').count()).toBe(count)
    await page.getByRole('button', { name: 'Done' }).click()
    const { devices } = await program('provisioning').json<{ devices: object[] }>('/v1/devices?tag=by-hand')
    expect(devices.length).toBe(count)
  })

  it('makes a long export and a backup, and gives the file', async () => {
    const { page } = admin
    await visit(admin, '/lots/Kolonaki-Garage?range=-24h')
    const box = page.getByRole('region', { name: 'Every reading of this time' })
    await box.getByLabel('Format of the file').selectOption('csv')
    await box.getByRole('button', { name: 'Make the file' }).click()
    const downloading = page.waitForEvent('download')
    await box.getByRole('link', { name: 'Fetch' }).click()
    const lines = linesOf(readFileSync(await (await downloading).path()))
    expect(lines[0]).toContain('time,deviceId,lotId,occupied')
    expect(lines.length).toBeGreaterThan(200)
    await visit(admin, '/system?tab=backups')
    await page.getByRole('button', { name: 'Make a backup' }).click()
    await page.getByRole('region', { name: 'Backups' }).getByRole('row').nth(1).waitFor()
  })

  it('lets somebody enrol boards by the keyboard alone', async () => {
    const { page } = admin
    await visit(admin, '/')
    await page.keyboard.press('g')
    await page.keyboard.press('e')
    await page.locator('h1', { hasText: 'Enrolment' }).waitFor()
    const tabTo = async (name: string) => {
      for (let i = 0; i < 60; i++) {
        const focused = await page.evaluate(() => {
          const { activeElement: element } = (
            globalThis as unknown as {
              document: { activeElement: { textContent: string; labels?: { textContent: string }[] } | null }
            }
          ).document
          return element?.labels?.[0]?.textContent ?? element?.textContent ?? ''
        })
        if (focused.startsWith(name)) return
        await page.keyboard.press('Tab')
      }
      throw new Error(`${name} cannot be reached by Tab`)
    }
    await tabTo('New key')
    await page.keyboard.press('Enter')
    await tabTo('What it is for')
    await page.keyboard.type('By keyboard')
    await page.keyboard.press('Enter')
    await page.locator('.sheet article').waitFor()
    await tabTo('I have saved it')
    await page.keyboard.press('Enter')
    await page.getByRole('cell', { name: 'By keyboard', exact: true }).waitFor()
    await page.keyboard.press('?')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  })

  it('shows a role what it may, and says so where it may not', async () => {
    await visit(admin, '/access?tab=people')
    await admin.page.getByRole('button', { name: 'New account' }).click()
    await admin.page.getByLabel(/^Name/).fill('maria')
    await admin.page.getByRole('button', { name: 'Save' }).click()
    await admin.page.getByRole('cell', { name: 'maria', exact: true }).waitFor()

    const maria = await takeSeat(browser, { url })
    await maria.page.goto(await linkFor('--account', 'maria'))
    await maria.page.locator('.card.lot').first().waitFor()
    expect(await maria.page.getByRole('navigation').getByRole('link', { name: 'Devices' }).count()).toBe(0)
    expect(maria.complaints).toEqual([])
    await visit(maria, '/devices')
    await maria.page.getByText('Your role does not allow this').waitFor()
    const status = (path: string, method = 'GET') =>
      maria.page.evaluate(
        async ([to, how]) => (await fetch(to, { method: how, headers: { 'lotwatch-page': '1' } })).status,
        [path, method] as const,
      )
    expect(await status('/api/provisioning/v1/devices')).toBe(403)
    expect(await status('/api/provisioning/v1/devices/Omonia-Central/suspend', 'POST')).toBe(403)
    expect(await status('/api/broker/v1/connections/Omonia-Central', 'DELETE')).toBe(403)
    expect(await status('/api/accounts')).toBe(403)
    await maria.leave()
  })

  it('limits an analyst to the lots that an administrator names', async () => {
    const { page } = admin
    await visit(admin, '/access?tab=people')
    await page.getByRole('button', { name: 'New account' }).click()
    await page.getByLabel(/^Name/).fill('lina')
    await page.getByLabel('Limited to lots').selectOption('Kolonaki-Garage')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('row', { name: 'lina' }).getByText('Kolonaki-Garage').waitFor()

    const lina = await takeSeat(browser, { url })
    await signIn(lina, await linkFor('--account', 'lina'))
    await lina.page.locator('.card.lot').first().waitFor()
    expect(await lina.page.locator('.card.lot h2').allTextContents()).toEqual(['Kolonaki Garage'])
    await visit(lina, '/lots/Kolonaki-Garage?range=-24h')
    await lina.page.locator('.chart canvas').first().waitFor()
    await visit(lina, '/quality')
    expect(await lina.page.getByRole('rowheader').allTextContents()).toEqual(['Kolonaki-Garage'])
    await visit(lina, '/lots/Omonia-Central')
    await lina.page.getByText('There is no lot Omonia-Central').waitFor()
    expect(lina.complaints).toEqual([])
    await lina.leave()
  })

  it('leaves axe nothing to find on any page, light, dark, in high contrast or in forced colours, and fits a telephone', async () => {
    const seat = await takeSeat(browser, { url, theme: 'light' })
    await signIn(seat, await linkFor())
    const found: string[] = []
    for (const path of pages) {
      await visit(seat, path)
      for (const fault of await faultsOf(seat.page)) found.push(`${path}: ${fault}`)
      await seat.page.emulateMedia({ colorScheme: 'dark' })
      for (const fault of await faultsOf(seat.page, ['color-contrast'])) found.push(`dark ${path}: ${fault}`)
      await seat.page.emulateMedia({ colorScheme: 'light' })
      if (pagesWithAllParts.includes(path)) found.push(...(await highContrastFaultsOf(seat, path)))
      await seat.page.setViewportSize({ width: 360, height: 740 })
      // Charts are drawn anew after they have seen that they are smaller.
      const widthOf = async () => Number(await seat.page.evaluate('document.documentElement.scrollWidth'))
      await eventually(async () => (await widthOf()) <= 360, 5000).catch(async () =>
        found.push(`${path} is ${await widthOf()} px wide`),
      )
      await seat.page.setViewportSize({ width: 1280, height: 860 })
    }
    expect(found).toEqual([])
    expect(seat.complaints).toEqual([])
    await seat.leave()
  })
})

async function highContrastFaultsOf({ page }: Seat, path: string): Promise<string[]> {
  await page.emulateMedia({ forcedColors: 'active' })
  const forced = await faultsOf(page, ['color-contrast'])
  await page.emulateMedia({ forcedColors: 'none' })
  await page.evaluate("document.documentElement.dataset.contrast = 'more'")
  const high = await faultsOf(page, ['color-contrast'])
  await page.evaluate('delete document.documentElement.dataset.contrast')
  return [
    ...forced.map((fault) => `forced colours ${path}: ${fault}`),
    ...high.map((fault) => `high contrast ${path}: ${fault}`),
  ]
}

/** Of CSV. */
function linesOf(file: Buffer): string[] {
  return file.toString('utf8').trimEnd().split('\n')
}

/** Of Parquet, read by DuckDB: its columns, and each row as text. */
async function rowsOf(file: Buffer): Promise<string[]> {
  const folder = makeDataDir()
  const path = join(folder.path, 'content.parquet')
  writeFileSync(path, file)
  const connection = await DuckDBConnection.create()
  try {
    const reader = await connection.runAndReadAll(`SELECT * FROM read_parquet('${path}')`)
    const rows = reader.getRowsJson().map((row) => JSON.stringify(row))
    return [JSON.stringify(reader.columnNames()), ...rows]
  } finally {
    connection.closeSync()
    folder.remove()
  }
}
