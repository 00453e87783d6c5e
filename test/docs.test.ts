/**
 * Pages are as true as the code: what is written from it is fresh, and what people wrote names only files, tests,
 * routes, settings and scripts that exist.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import packageFile from '../package.json' with { type: 'json' }
import { root } from '../scripts/build.mjs'
import { generatedFiles } from '../scripts/generated.ts'
import { settingDefaults } from '../scripts/settings.ts'
import { readSources } from './kit/imports.ts'

const read = (path: string) => readFileSync(join(root, path), 'utf8')
const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...markdownBelow('docs')]
const folders = /^(agent|bench|bin|broker|cli|core|deploy|docs|ingest|provisioning|scripts|test|\.ci)\//

function markdownBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name))
}

/** What stands between backticks, outside blocks of code. */
function codeIn(page: string): string[] {
  return [...page.replace(/^```.*?^```/gms, '').matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '')
}

describe('what is written from the code', async () => {
  const generated = await generatedFiles(root)

  it.each([...generated.keys()])('%s is fresh (else: npm run schemas)', (path) => {
    expect(existsSync(join(root, path)) ? read(path) : '').toBe(generated.get(path))
  })

  it('has no schema of what no longer is', () => {
    const schemas = readdirSync(join(root, 'docs/schemas')).map((name) => `docs/schemas/${name}`)
    expect(schemas.filter((path) => !generated.has(path))).toEqual([])
  })
})

describe('the settings', () => {
  const defaults = settingDefaults()

  it('are all in .env.example and in docs/settings.md', () => {
    const inExample = [...read('.env.example').matchAll(/^#([A-Z0-9_]+)=/gm)].map((match) => match[1])
    expect(inExample).toEqual([...defaults.keys()])
    const inPage = [...read('docs/settings.md').matchAll(/\| `(LOT[A-Z0-9_]+)` \|/g)].map((match) => match[1])
    expect(inPage).toEqual([...defaults.keys()])
  })

  it('stand in the README with the defaults they have', () => {
    const rows = [...read('README.md').matchAll(/^\| `(LOT[A-Z0-9_]+)` \| (?:`(.*?)`)? ?\|/gm)]
    expect(rows.length).toBeGreaterThan(5)
    for (const [, name = '', byDefault] of rows)
      expect({ name, byDefault }).toEqual({ name, byDefault: defaults.get(name) })
  })

  it.each(pages)('that %s names exist', (path) => {
    const named = codeIn(read(path)).flatMap(
      (code) => code.match(/\bLOT(?:WATCH|_AGENT)_[A-Z0-9_]*[A-Z]\b/g) ?? [],
    )
    const forTests = ['LOTWATCH_TEST_LONG', 'LOTWATCH_TEST_SCREENSHOTS', 'LOTWATCH_TEST_SEED']
    expect(named.filter((name) => !defaults.has(name) && !forTests.includes(name))).toEqual([])
  })
})

describe('the contract', () => {
  const routeFiles = readSources(root, ['core', 'broker', 'ingest', 'provisioning']).filter(({ path }) =>
    /(routes(\/[\w-]+)?|http)\.ts$/.test(path),
  )

  it('has every route', () => {
    const routes = routeFiles.flatMap(({ text }) =>
      [...text.matchAll(/['`](\/(?:v1|oauth|\.well-known|livez|readyz)[^'`$?]*)/g)].map(
        (match) => match[1] ?? '',
      ),
    )
    expect(routes.length).toBeGreaterThan(20)
    const page = read('docs/protocol.md')
    for (const route of routes) expect(page, route).toContain(route.replace(/:(\w+)/g, '{$1}'))
  })
})

describe('what people wrote', () => {
  it.each(pages)('%s links only to what is there', (path) => {
    const links = [...read(path).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map((match) => match[1] ?? '')
    const missing = links.filter(
      (link) => !/^[a-z]+:/.test(link) && !existsSync(join(root, dirname(path), link)),
    )
    expect(missing).toEqual([])
  })

  it.each(pages)('%s names only files that are there', (path) => {
    const named = codeIn(read(path)).filter((code) => folders.test(code) && /^[\w./-]+$/.test(code))
    expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([])
  })

  it.each(pages)('%s names only scripts that package.json has', (path) => {
    const scripts = [...read(path).matchAll(/\bnpm run ([a-z:]+)/g)].map((match) => match[1] ?? '')
    expect(scripts.filter((name) => !(name in packageFile.scripts))).toEqual([])
  })

  it.each(pages)('%s quotes only tests that exist', (path) => {
    const quoted = [...read(path).matchAll(/`(test\/[\w./-]+\.test\.ts)`[^“|]*“([^”]+)”/g)]
    const missing = quoted.filter(([, file = '', name = '']) => !read(file).includes(name))
    expect(missing.map(([text]) => text)).toEqual([])
  })

  it('proves each guarantee by a test', () => {
    const rows = [...read('docs/guarantees.md').matchAll(/^\| \*\*.*$/gm)].map(([row]) => row)
    expect(rows.length).toBeGreaterThan(5)
    expect(rows.filter((row) => !/`test\/[\w./-]+\.test\.ts`/.test(row))).toEqual([])
  })
})
