/** `npm run bench -- NAME [options]`: builds the programs and the benchmark, then runs it. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { build as bundle } from 'esbuild'
import { build, buildOptions, root } from '../scripts/build.mjs'

const [name = '', ...options] = process.argv.slice(2)
const entry = join(root, 'bench', `${name}.ts`)
if (!/^[a-z-]+$/.test(name) || !existsSync(entry)) {
  process.stderr.write('usage: npm run bench -- readings [--rounds 5] [--seconds 10] [--profile DIR]\n')
  process.exit(2)
}
await build()
await bundle({
  ...buildOptions,
  entryPoints: {
    [name]: entry,
    load: join(root, 'bench/kit/load.ts'),
    subscriber: join(root, 'bench/kit/subscriber.ts'),
  },
  outdir: join(root, 'dist/bench'),
  outExtension: { '.js': '.mjs' },
})
spawn(process.execPath, [join(root, 'dist/bench', `${name}.mjs`), ...options], { stdio: 'inherit' }).on(
  'exit',
  (code) => process.exit(code ?? 1),
)
