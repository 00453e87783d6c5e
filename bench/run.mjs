/** `npm run bench -- NAME [options]`: builds the programs and the benchmark, then runs it. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { build as bundle } from 'esbuild'
import { build, buildOptions, root } from '../scripts/build.mjs'

/** Processes of their own that the benchmarks start. */
const children = [
  'load',
  'subscriber',
  'fill',
  'token-load',
  'oidc-peer',
  'followers',
  'connect-load',
  'plain-device',
]

const [name = '', ...options] = process.argv.slice(2)
const entry = join(root, 'bench', `${name}.ts`)
if (!/^[a-z-]+$/.test(name) || !existsSync(entry)) {
  process.stderr.write(`usage: npm run bench -- NAME [options]
  readings  readings per second, beside mosquitto      [--rounds 5] [--seconds 10] [--profile DIR]
  token     tokens per second, beside oidc-provider    [--rounds 5] [--seconds 8] [--clients 100000] [--profile DIR]
  store     readings per second into the store, beside InfluxDB   [--readings 13000000] [--alone] [--data DIR] [--profile DIR]
  query     how soon analysts have their answers, beside InfluxDB [--readings 13000000] [--rounds 20] [--data DIR]
  connect   CONNECTs per second, and memory of each    [--rounds 5] [--devices 10000] [--no-tls]
  revoke    how soon a revoked device is cut           [--connections 5000] [--revocations 1000]
  agent     what an agent costs a small board          [--rounds 5] [--seconds 60]
  outbox    what a full outbox costs                   [--readings 1000000]
  feed      how soon an event reaches its followers    [--events 500] [--followers 10]
`)
  process.exit(2)
}
await build()
await bundle({
  ...buildOptions,
  external: [...buildOptions.external, 'oidc-provider'],
  entryPoints: Object.fromEntries(
    [entry, ...children.map((child) => join(root, 'bench/kit', `${child}.ts`))].map((path) => [
      basename(path, '.ts'),
      path,
    ]),
  ),
  outdir: join(root, 'dist/bench'),
  outExtension: { '.js': '.mjs' },
})
spawn(process.execPath, [join(root, 'dist/bench', `${name}.mjs`), ...options], { stdio: 'inherit' }).on(
  'exit',
  (code) => process.exit(code ?? 1),
)
