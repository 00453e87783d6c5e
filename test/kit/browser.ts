/** A real browser for tests: Debian's Chromium, in a profile of its own, asking nothing of anybody but our pages. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { root } from '../../scripts/build.mjs'
import { findCommand } from './needs.ts'

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: findCommand('chromium') ?? 'chromium', args: flags })
}

/** A person at a screen, and everything that their browser complains about. */
export interface Seat {
  readonly page: Page
  readonly context: BrowserContext
  /** Of the console. */
  readonly url: string
  /** Errors of the browser's console, exceptions, and requests to anywhere else. */
  readonly complaints: readonly string[]
  leave(): Promise<void>
}

export async function takeSeat(
  browser: Browser,
  options: { url: string; theme?: 'light' | 'dark'; width?: number; height?: number; zone?: string },
): Promise<Seat> {
  const context = await browser.newContext({
    colorScheme: options.theme ?? 'light',
    viewport: { width: options.width ?? 1280, height: options.height ?? 860 },
    reducedMotion: 'reduce',
    timezoneId: options.zone ?? 'Europe/Athens',
    locale: 'en-GB',
    acceptDownloads: true,
  })
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning')
      complaints.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => complaints.push(String(error.stack)))
  page.on('request', (request) => {
    const url = request.url()
    if (!url.startsWith(options.url) && !url.startsWith('blob:')) complaints.push(`a request to ${url}`)
  })
  return { page, context, url: options.url, complaints, leave: () => context.close() }
}

/**
 * Goes to a page of the console and waits until it has asked for all it shows. Whoever is in already goes as links do,
 * without loading anything anew.
 */
export async function visit({ page, url }: Seat, path: string): Promise<void> {
  const [from, to] = [page.url(), url + path].map((address) => new URL(address).pathname)
  const isIn = page.url().startsWith(`${url}/`) && from !== '/sign-in'
  // From one device to another the page stays: nothing would tell when it is the other's.
  const isOneOfMany = (pathname = '') => pathname.split('/').length > 2
  if (!isIn || (from !== to && isOneOfMany(from) && isOneOfMany(to))) await page.goto(url + path)
  else {
    if (from !== to) await page.evaluate("document.querySelector('main h1')?.setAttribute('data-left', '')")
    await page.evaluate(
      `history.pushState(null, '', ${JSON.stringify(path)}); dispatchEvent(new PopStateEvent('popstate'));
      new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))`,
    )
  }
  await page.locator('main h1:not([data-left])').waitFor()
  await page.locator('text=Loading').first().waitFor({ state: 'detached', timeout: 60_000 })
}

/** Uses a one-time link. */
export async function signIn({ page }: Seat, link: string): Promise<void> {
  await page.goto(link)
  await page.getByRole('navigation', { name: 'Pages' }).waitFor()
}

/**
 * What axe-core finds on the page, as text; nothing is best.
 * @param rules only these; absent: all
 */
export async function faultsOf(page: Page, rules?: readonly string[]): Promise<string[]> {
  // Not as a script of the page: its content security policy lets none in.
  if (!(await page.evaluate("'axe' in globalThis")))
    await page.evaluate(readFileSync(join(root, 'node_modules/axe-core/axe.min.js'), 'utf8'))
  return page.evaluate(async (only) => {
    const { axe } = globalThis as unknown as { axe: Axe }
    const options = only === undefined ? {} : { runOnly: only }
    // Its rules need no style sheets loaded once more.
    const { violations } = await axe.run({ ...options, resultTypes: ['violations'], preload: false })
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary = '' }) => `${id}: ${html.slice(0, 200)} ${failureSummary}`),
    )
  }, rules)
}

/** What is used of it, where it is loaded. */
interface Axe {
  run(
    options: object,
  ): Promise<{ violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[] }>
}
