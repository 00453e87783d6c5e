/**
 * The rule of the house: an import points only downward, inside a program from main.ts to its flow to its rules and
 * ports, and from any program to core/; programs meet only on the wire. When this complains, move the code, not the test.
 */
import { describe, expect, it } from 'vitest'
import { root } from '../scripts/build.mjs'
import {
  type Import,
  importsOf,
  readSources,
  type SourceFile,
  statementsOnLoad,
  withoutComments,
} from './kit/imports.ts'

const programs = ['agent', 'broker', 'cli', 'console', 'ingest', 'provisioning'] as const

/** From low to high: a floor of core/ imports itself and what is below it. */
const floors = ['core/contract', 'core/auth', 'core/runtime'] as const

/** What can be swapped: from outside the folder only the port is imported, and adapters by main.ts alone. */
const ports: Readonly<Record<string, string>> = {
  'agent/sensors': 'sensor.ts',
  'broker/engine': 'engine.ts',
  'ingest/archive': 'archive.ts',
  'ingest/feeds': 'feed.ts',
  'ingest/store': 'store.ts',
  'provisioning/issuer': 'issuer.ts',
  'provisioning/repository': 'repository.ts',
}

/** Decisions: the same answer for the same arguments. They import only each other, and types. */
const pureFiles: readonly string[] = [
  'core/contract/',
  'core/auth/issuers.ts',
  'core/auth/revocations.ts',
  'core/runtime/backoff.ts',
  'core/runtime/loopback.ts',
  'core/runtime/network.ts',
  'agent/enrol-file.ts',
  'agent/outbox.ts',
  'agent/outbox-record.ts',
  'agent/stamps.ts',
  'agent/remote-config.ts',
  'agent/sensors/gates.ts',
  'agent/sensors/gpiomon.ts',
  'agent/sensors/measurement.ts',
  'agent/sensors/simulation.ts',
  'agent/steps.ts',
  'broker/attempts.ts',
  'broker/authorize.ts',
  'broker/barred.ts',
  'broker/connections.ts',
  'broker/decisions.ts',
  'broker/downlink.ts',
  'broker/engine/publish-packet.ts',
  'broker/line-budget.ts',
  'broker/pending.ts',
  'broker/presence.ts',
  'broker/proxy-protocol.ts',
  'broker/takeovers.ts',
  'broker/turns.ts',
  'cli/exit.ts',
  'cli/fleet-plan.ts',
  'cli/log-line.ts',
  'console/roles.ts',
  'console/server/allowed.ts',
  'console/server/origin.ts',
  'console/server/throttle.ts',
  'ingest/byte-range.ts',
  'ingest/completeness.ts',
  'ingest/coverage.ts',
  'ingest/fleet.ts',
  'ingest/statuses.ts',
  'ingest/decide.ts',
  'ingest/fill.ts',
  'ingest/flags.ts',
  'ingest/fold.ts',
  'ingest/incidents.ts',
  'ingest/condition.ts',
  'ingest/ledger.ts',
  'ingest/profile.ts',
  'ingest/quantile.ts',
  'ingest/quarantine.ts',
  'ingest/ranges.ts',
  'ingest/live.ts',
  'ingest/series.ts',
  'ingest/stuck.ts',
  'ingest/sql-views.ts',
  'provisioning/device.ts',
  'provisioning/grants.ts',
  'provisioning/lots.ts',
  'provisioning/presence.ts',
  'provisioning/oauth/guards/failures.ts',
  'provisioning/oauth/rules/arguments.ts',
  'provisioning/oauth/rules/effects.ts',
  'provisioning/oauth/rules/rule.ts',
]

/** Which library may be imported where. A new one gets its rooms here. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  '@bomb.sh/tab': ['cli/commands/'],
  '@clack/prompts': ['cli/'],
  '@duckdb/node-api': ['ingest/formats/', 'ingest/sql-child.ts', 'ingest/store/'],
  '@jitl/quickjs-singlefile-mjs-release-sync': ['provisioning/oauth/rules/sandbox.ts'],
  '@fastify/rate-limit': ['ingest/limits.ts'],
  '@fastify/swagger': ['provisioning/openapi.ts'],
  '@fastify/swagger-ui': ['provisioning/openapi.ts'],
  '@fastify/cookie': ['console/server/routes.ts'],
  '@fastify/helmet': ['console/server/pages.ts'],
  '@fastify/static': ['console/server/pages.ts'],
  '@influxdata/influxdb-client': ['ingest/store/'],
  '@peculiar/x509': ['cli/tls.ts', 'provisioning/oauth/certificate.ts'],
  aws4fetch: ['ingest/archive/s3.ts'],
  aedes: ['broker/engine/'],
  'classic-level': ['agent/outbox-store.ts'],
  'cli-table3': ['cli/output.ts'],
  commander: ['agent/command-line.ts', 'cli/commands', 'cli/main.ts'],
  'csv-parse': ['agent/sensors/', 'cli/car-parks.ts', 'provisioning/routes/import.ts'],
  'eventsource-parser': ['core/runtime/fetch.ts'],
  fastify: [
    'core/runtime/door.ts',
    'core/runtime/http.ts',
    'core/runtime/metrics.ts',
    'broker/routes.ts',
    'console/server/',
    'ingest/',
    'provisioning/access.ts',
    'provisioning/oauth-description.ts',
    'provisioning/openapi.ts',
    'provisioning/routes',
    'provisioning/oauth/',
  ],
  jose: ['agent/enrolment.ts', 'core/auth/', 'provisioning/'],
  libsql: ['console/server/store.ts', 'provisioning/repository/'],
  pg: ['provisioning/repository/'],
  mqtt: ['agent/uplink.ts'],
  'mqtt-packet': ['agent/uplink.ts'],
  'node-cron': [
    'agent/schedule.ts',
    'ingest/day-keeper.ts',
    'ingest/schedule.ts',
    'ingest/stuck-keeper.ts',
    'provisioning/',
  ],
  'openid-client': ['console/server/provider.ts'],
  picocolors: ['cli/'],
  pino: ['core/runtime/log.ts'],
  preact: ['console/web/'],
  'preact-iso': ['console/web/'],
  'prom-client': ['core/runtime/metrics.ts', 'broker/metrics.ts', 'ingest/metrics.ts'],
  'temporal-polyfill': ['agent/zone.ts', 'ingest/'],
  'reflect-metadata': ['cli/tls.ts', 'provisioning/oauth/certificate.ts'],
  'quickjs-emscripten-core': ['provisioning/oauth/rules/sandbox.ts'],
  typebox: [''],
  uplot: ['console/web/'],
  uqr: ['cli/', 'console/web/'],
  undici: ['core/runtime/fetch.ts', 'broker/ingest-link.ts'],
  yaml: ['agent/config-files.ts', 'core/runtime/lifecycle.ts'],
}

/** Runs in a browser: what comes with it is sent to each. */
const pages = 'console/web/'
const forPages: readonly string[] = [pages, 'console/roles.ts', 'core/contract/device.ts']

const isPure = (path: string) => pureFiles.some((pure) => path.startsWith(pure))
const programOf = (path: string) => programs.find((program) => path.startsWith(`${program}/`))
const floorOf = (path: string) => floors.findIndex((floor) => path.startsWith(`${floor}/`))

/** Time, chance and the outside world, where a rule has them as arguments. */
const impure =
  /\b(Date\.now|new Date\(\)|Math\.random|performance\.|process\.|setTimeout|setInterval|globalThis|crypto\.)/

function violationsOf(file: SourceFile): string[] {
  const imports = importsOf(file)
  return [
    ...imports.flatMap((one) =>
      one.kind === 'file'
        ? wrongFile(file.path, one)
        : one.kind === 'package'
          ? wrongRoom(file.path, one)
          : [],
    ),
    ...(isPure(file.path) ? impurities(file, imports) : []),
    ...(file.path.startsWith(pages) ? foreignToPages(imports) : []),
    ...(/\/main\.tsx?$/.test(file.path) ? [] : statementsOnLoad(file).map((line) => `does on load: ${line}`)),
    ...(/^export default/m.test(file.text) ? ['exports by default'] : []),
  ].map((violation) => `${file.path} ${violation}`)
}

function wrongFile(from: string, { target }: Import): string[] {
  const found: string[] = []
  const program = programOf(from)
  if (target === 'package.json') return found
  if (!/\.(tsx?|sql|css)$/.test(target)) found.push(`imports ${target} without its ending`)
  if (program === undefined && programOf(target) !== undefined) found.push(`of core/ imports ${target}`)
  if (program !== undefined && !target.startsWith(`${program}/`) && !target.startsWith('core/'))
    found.push(`imports ${target} of another program`)
  if (floorOf(from) >= 0 && floorOf(target) > floorOf(from)) found.push(`imports ${target} from above`)
  if (/\/main\.tsx?$/.test(target)) found.push(`imports the front door ${target}`)
  const wing = Object.keys(ports).find((folder) => target.startsWith(`${folder}/`))
  const isInside = wing !== undefined && from.startsWith(`${wing}/`)
  if (wing !== undefined && !isInside && target !== `${wing}/${ports[wing]}` && from !== `${program}/main.ts`)
    found.push(`names the adapter ${target}`)
  return found
}

/** Pages know the contract as types, which are gone when they are built; of the server they know nothing. */
function foreignToPages(imports: readonly Import[]): string[] {
  return imports.flatMap(({ kind, target, typeOnly }) => {
    if (kind === 'node') return [`is a page and imports ${target}`]
    if (kind === 'package' || forPages.some((room) => target.startsWith(room))) return []
    const isContract = target.startsWith('core/contract/') || target === 'console/wire.ts'
    return typeOnly && isContract ? [] : [`is a page and imports ${target}`]
  })
}

function wrongRoom(from: string, { target }: Import): string[] {
  const allowed = rooms[target]
  if (allowed === undefined) return [`imports ${target}, which has no rooms`]
  return allowed.some((room) => from.startsWith(room)) ? [] : [`imports ${target} outside its rooms`]
}

function impurities(file: SourceFile, imports: readonly Import[]): string[] {
  const wrong = imports.filter(
    ({ kind, target, typeOnly }) =>
      !typeOnly &&
      (kind === 'file' ? !isPure(target) : !(target === 'typebox' && file.path.startsWith('core/'))),
  )
  const found = wrong.map(({ target }) => `is pure and imports ${target}`)
  const outside = impure.exec(withoutComments(file.text))?.[0]
  return outside === undefined ? found : [...found, `is pure and uses ${outside}`]
}

/** The first circle of imports that run, if there is one. */
function circleIn(files: readonly SourceFile[]): readonly string[] | undefined {
  const targets = new Map(
    files.map((file) => [
      file.path,
      importsOf(file)
        .filter((one) => one.kind === 'file' && !one.typeOnly)
        .map((one) => one.target),
    ]),
  )
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): readonly string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
    if (done.has(path)) return undefined
    for (const target of targets.get(path) ?? []) {
      const circle = visit(target, [...trail, path])
      if (circle !== undefined) return circle
    }
    done.add(path)
    return undefined
  }
  for (const path of targets.keys()) {
    const circle = visit(path, [])
    if (circle !== undefined) return circle
  }
  return undefined
}

const sources = readSources(root, ['core', ...programs])

describe('the rule of the house', () => {
  it.each(['core', ...programs])('holds in %s', (folder) => {
    const files = sources.filter((file) => file.path.startsWith(`${folder}/`))
    expect(files.length).toBeGreaterThan(5)
    expect(files.flatMap(violationsOf)).toEqual([])
  })

  it('leaves no circle of imports', () => {
    expect(circleIn(sources)).toBeUndefined()
  })

  it('knows every rule, port and library that it speaks of', () => {
    const used = new Set(sources.flatMap((file) => importsOf(file)).map((one) => one.target))
    for (const pure of pureFiles)
      expect(
        sources.some((file) => file.path.startsWith(pure)),
        pure,
      ).toBe(true)
    for (const [folder, port] of Object.entries(ports))
      expect(sources.map((file) => file.path)).toContain(`${folder}/${port}`)
    for (const library of Object.keys(rooms)) expect(used, library).toContain(library)
  })
})

describe('the test of the rule', () => {
  it.each([
    ['agent/a.ts', `import { b } from '../broker/b.ts'`, /another program/],
    ['core/runtime/a.ts', `import { b } from '../../agent/b.ts'`, /of core/],
    ['core/contract/a.ts', `import {\n  b,\n} from '../auth/b.ts'`, /from above/],
    ['core/auth/a.ts', `export { b } from '../runtime/b.ts'`, /from above/],
    ['ingest/intake.ts', `import { openDuckDB } from './store/duckdb.ts'`, /names the adapter/],
    ['ingest/intake.ts', `const late = import('./store/duckdb.ts')`, /names the adapter/],
    ['cli/a.ts', `import type { Db } from 'libsql'`, /outside its rooms/],
    ['cli/a.ts', `import x from 'left-pad'`, /no rooms/],
    ['cli/a.ts', `import { run } from './main.ts'`, /front door/],
    ['cli/a.ts', `import { b } from './b'`, /ending/],
    ['cli/a.ts', `console.log('hello')`, /does on load/],
    ['cli/a.ts', `let count = 0`, /does on load/],
    ['cli/a.ts', `export const key = await load()`, /does on load/],
    ['cli/a.ts', `export default function a() {}`, /by default/],
    ['console/web/a.tsx', `import { Lot } from '../../core/contract/registry.ts'`, /is a page/],
    ['console/web/a.tsx', `import type { Relay } from '../server/relay.ts'`, /is a page/],
    ['console/web/a.tsx', `import { join } from 'node:path'`, /is a page/],
    ['broker/authorize.ts', `import { readFileSync } from 'node:fs'`, /is pure and imports node:fs/],
    ['broker/authorize.ts', `import { open } from './gate.ts'`, /is pure and imports broker\/gate\.ts/],
    ['agent/outbox.ts', `export const now = () => Date.now()`, /is pure and uses Date\.now/],
  ])('finds what it looks for: %s with %j', (path, text, found) => {
    expect(violationsOf({ path, text }).join('\n')).toMatch(found)
  })

  it.each([
    ['ingest/main.ts', `import { openDuckDB } from './store/duckdb.ts'\nawait openDuckDB()`],
    ['ingest/intake.ts', `import type { Store } from './store/store.ts'`],
    ['ingest/store/duckdb.ts', `import { x } from './duckdb-writer.ts'\nimport { y } from '../ledger.ts'`],
    [
      'broker/authorize.ts',
      `import type { Gate } from './gate.ts'\n// Date.now() is an argument here\nconst a = 1`,
    ],
    ['agent/outbox.ts', `/** import { x } from '../broker/x.ts' */\nexport function a() {\n  return 1\n}`],
  ])('lets be what is right: %s with %j', (path, text) => {
    expect(violationsOf({ path, text })).toEqual([])
  })

  it('finds a circle', () => {
    const file = (name: string, target: string) => ({
      path: `cli/${name}.ts`,
      text: `import { x } from './${target}.ts'`,
    })
    const circle = circleIn([file('a', 'b'), file('b', 'c'), file('c', 'a')])
    expect(circle).toEqual(['cli/a.ts', 'cli/b.ts', 'cli/c.ts', 'cli/a.ts'])
  })
})
