/**
 * Bundles each program into one file under `dist/`, so that it starts quickly, and the console's pages into
 * `dist/console-pages/`. Cached by content: when no source and no dependency has changed since, nothing is done.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'

/** The project's folder, also from a bundle that has this file in it. */
export const root = folderOf('package-lock.json', dirname(fileURLToPath(import.meta.url)))
const sourceFolders = ['core', 'agent', 'broker', 'ingest', 'provisioning', 'console', 'cli', 'scripts']
const programs = {
  provisioning: 'provisioning/main.ts',
  // Started by it, as a thread.
  'rule-thread': 'provisioning/oauth/rules/main.ts',
  broker: 'broker/main.ts',
  ingest: 'ingest/main.ts',
  // Started by it, as a process for each SELECT.
  'sql-child': 'ingest/sql/main.ts',
  console: 'console/main.ts',
  agent: 'agent/main.ts',
  lotctl: 'cli/main.ts',
}

/** What every bundle is built with; native packages stay outside and are found in node_modules. */
export const buildOptions = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  sourcemap: true,
  logLevel: 'warning',
  external: [
    '@duckdb/node-api',
    // They find their pages beside their code.
    '@fastify/swagger',
    '@fastify/swagger-ui',
    'classic-level',
    'libsql',
    'esbuild',
    'vite',
  ],
  loader: { '.sql': 'text' },
  // Bundled CommonJS packages call require().
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
}

function folderOf(file, start) {
  return existsSync(join(start, file)) || start === dirname(start) ? start : folderOf(file, dirname(start))
}

function* filesBelow(folder) {
  if (!existsSync(folder)) return
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* filesBelow(path)
    else yield path
  }
}

function contentHash(folders) {
  const hash = createHash('sha256')
  const files = folders.flatMap((folder) => [...filesBelow(join(root, folder))])
  for (const file of [...files, join(root, 'package-lock.json')])
    hash.update(file).update('\0').update(readFileSync(file)).update('\0')
  return hash.digest('hex')
}

/** Builds what changed. @returns whether anything did */
export async function build() {
  // Where only dist/ was shipped (an image) there is nothing to build from.
  if (!existsSync(join(root, 'core'))) return false
  const built = await Promise.all([
    onceFor('.content', sourceFolders, bundlePrograms),
    onceFor('.pages', ['console', 'core/contract', 'scripts'], buildPages),
  ])
  return built.includes(true)
}

/** Runs `make` unless it has run for this content of the folders. */
async function onceFor(stampName, folders, make) {
  const stamp = join(root, 'dist', stampName)
  const hash = contentHash(folders)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return false
  if (process.stderr.isTTY) process.stderr.write('building …\n')
  mkdirSync(dirname(stamp), { recursive: true })
  await make(dirname(stamp))
  writeFileSync(stamp, hash)
  return true
}

async function bundlePrograms(dist) {
  const { build: bundle, stop } = await import('esbuild')
  const entryPoints = Object.fromEntries(
    Object.entries(programs)
      .map(([name, entry]) => [name, join(root, entry)])
      .filter(([, entry]) => existsSync(entry)),
  )
  await bundle({ ...buildOptions, entryPoints, outdir: dist, outExtension: { '.js': '.mjs' } })
  // Its helper would stay for as long as whoever builds, and `lotctl up` stays long.
  await stop()
}

/** The pages, each file with its gzip beside it, which is what browsers ask for. */
async function buildPages(dist) {
  const folder = join(dist, 'console-pages')
  const { build: bundlePages } = await import('vite')
  await bundlePages({
    root: join(root, 'console/web'),
    configFile: false,
    logLevel: 'warn',
    // What it caches between runs is of no use here, and would lie in node_modules.
    cacheDir: join(dist, '.vite'),
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      outDir: folder,
      emptyOutDir: true,
      target: 'es2022',
      // Everything is a file: the content security policy lets no data: address in.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      // How long its plug-ins took is of interest to nobody who starts the system.
      rolldownOptions: { checks: { pluginTimings: false } },
    },
  })
  rmSync(join(dist, '.vite'), { recursive: true, force: true })
  for (const file of filesBelow(folder))
    if (/\.(js|css|html|svg)$/.test(file))
      writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await build()
