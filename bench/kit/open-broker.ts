/** Builds the broker with its authentication taken out: whoever says who it is, is. Everything else is as it was. */
import { join } from 'node:path'
import { build } from 'esbuild'
import { buildOptions, root } from '../../scripts/build.mjs'

/** @returns the bundle's path */
export async function buildOpenBroker(): Promise<string> {
  const outfile = join(root, 'dist', 'bench', 'open-broker.mjs')
  await build({
    ...buildOptions,
    entryPoints: [join(root, 'broker/main.ts')],
    outfile,
    plugins: [
      {
        name: 'no-authentication',
        setup(hooks) {
          hooks.onResolve({ filter: /^\.\/authenticate\.ts$/ }, ({ importer }) =>
            importer.startsWith(join(root, 'broker'))
              ? { path: join(root, 'bench/kit/authenticate-nobody.ts') }
              : undefined,
          )
        },
      },
    ],
  })
  return outfile
}
