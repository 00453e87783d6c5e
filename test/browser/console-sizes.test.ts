/** The pages with no device, with one, and with ten thousand that are really in the registry. */
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Seat, signIn, startBrowser, takeSeat, visit } from '../kit/browser.ts'
import { type RunningConsole, startConsole } from '../kit/console.ts'
import { describeWithCommand } from '../kit/needs.ts'
import { System } from '../kit/system.ts'

const many = 10_000
const lots = Array.from({ length: 100 }, (_, i) => `lot-${i}`)
const pages = [
  '/',
  '/?kiosk',
  '/lots',
  '/lots/gate-0',
  '/explore',
  '/explore?tab=sql',
  '/quality',
  '/quality?tab=missing',
  '/devices',
  '/devices/gate-0',
  '/enrolment',
  '/access',
  '/system',
] as const

describeWithCommand('chromium')('the console over fleets of any size', { timeout: 120_000 }, () => {
  let system: System
  let console: RunningConsole
  let browser: Browser
  let seat: Seat
  beforeAll(async () => {
    system = await System.start()
    console = await startConsole(system)
    browser = await startBrowser()
    seat = await takeSeat(browser, { url: console.url })
    await signIn(seat, console.link())
  }, 90_000)
  afterAll(async () => {
    await browser?.close()
    await console?.program.stop()
    await system?.stop()
  })

  it('teaches the next step where there is nothing yet', async () => {
    for (const [path, title] of [
      ['/', 'There are no lots yet'],
      ['/lots', 'There are no lots yet'],
      ['/explore', 'There is nothing to explore yet'],
      ['/quality', 'There is nothing to judge yet'],
      ['/quality?tab=missing', 'No reading of the last 30 days is missing'],
      ['/quality?tab=quarantine', 'The quarantine is empty'],
      ['/devices', 'There are no devices yet'],
      ['/enrolment', 'There are no enrolment keys'],
      ['/access?tab=rules', 'There are no rules'],
      ['/lots/none', 'There is no lot none'],
      ['/devices/none', 'There is no device none'],
    ] as const) {
      await visit(seat, path)
      await seat.page.getByRole('heading', { name: title }).waitFor()
    }
  })

  /** Each has something to show, and nothing to complain of. */
  const renderAll = async (paths: readonly string[]) => {
    for (const path of paths) {
      await visit(seat, path)
      expect(await seat.page.getByRole('alert').allTextContents(), path).toEqual([])
    }
    expect(seat.complaints).toEqual([])
  }

  it('shows one device that never spoke as just that', async () => {
    await system.register('gate-0')
    await visit(seat, '/devices')
    const row = seat.page.getByRole('row', { name: /gate-0/ })
    await row.waitFor()
    expect(await row.textContent()).toContain('never seen')
    await visit(seat, '/')
    await seat.page.getByText('no readings yet').waitFor()
    await renderAll(pages)
  })

  it('scrolls and searches ten thousand as it does ten', async () => {
    const body = { name: 'One of many', capacities: [{ fromMs: 0, capacity: 500 }] }
    await Promise.all(lots.map((lotId) => system.registry.json(`/v1/lots/${lotId}`, { method: 'PUT', body })))
    const rows = Array.from({ length: many - 1 }, (_, i) => `gate-${i + 1},${lots[i % lots.length]}`)
    const imported = await system.registry.response('/v1/devices/import', {
      method: 'POST',
      text: { type: 'text/csv', content: `device,lot\n${rows.join('\n')}\n` },
      timeoutMs: 60_000,
    })
    // Verdicts come row by row: it is done when the last has come.
    await imported.text()
    await visit(seat, '/devices')
    const table = seat.page.locator('table').first()
    await table.waitFor()
    expect(await table.getAttribute('aria-rowcount')).toBe(String(many + 1))
    const inPage = () => seat.page.locator('tbody tr').count()
    expect(await inPage()).toBeLessThan(200)
    await seat.page.evaluate("document.querySelector('.scroll').scrollTop = 1e9")
    await seat.page.getByRole('link', { name: `gate-${many - 1}`, exact: true }).waitFor()
    expect(await inPage()).toBeLessThan(200)
    await seat.page.getByRole('searchbox').fill('gate-4711')
    await seat.page.getByRole('link', { name: 'gate-4711', exact: true }).waitFor()
    expect(await inPage()).toBeLessThan(20)
    await renderAll(['/', '/lots', '/lots/lot-1', '/quality', '/devices/gate-4711'])
  })
})
