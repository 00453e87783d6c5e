/** `npm run schemas`: writes everything that is written from the code (see `generated.ts`). */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build as bundle } from 'esbuild'
import { buildOptions, root } from './build.mjs'

const outfile = join(root, 'dist', 'generate.mjs')
await bundle({ ...buildOptions, entryPoints: [join(root, 'scripts/generate.ts')], outfile })
await import(pathToFileURL(outfile).href)
