/** Builds the broker with its handover replaced by the one that acknowledges too early. */
import { join } from 'node:path'
import { build } from 'esbuild'
import { buildOptions, root } from '../../scripts/build.mjs'

/** @returns the bundle's path */
export async function buildEarlyBroker(): Promise<string> {
  const outfile = join(root, 'dist', 'test', 'early-broker.mjs')
  await build({
    ...buildOptions,
    entryPoints: [join(root, 'broker/main.ts')],
    outfile,
    plugins: [
      {
        name: 'early-handover',
        setup(hooks) {
          hooks.onResolve({ filter: /^\.\/handover\.ts$/ }, ({ importer }) =>
            importer.startsWith(join(root, 'broker'))
              ? { path: join(root, 'test/kit/handover-acks-early.ts') }
              : undefined,
          )
        },
      },
    ],
  })
  return outfile
}
