/**
 * `npm run build:agent`: the agent as one file to copy onto a device, `dist/lot-agent-<version>.tar.gz`: one bundled module,
 * the prebuilt LevelDB bindings for Linux beside it, licences. Runs from an empty folder with nothing but Node; there is
 * nothing to compile and nothing to install. The same sources make the same bytes.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { buildOptions, root } from './build.mjs'

const bindings = ['linux-arm', 'linux-arm64', 'linux-x64']
/** What a device's owner has a use for beside the program. */
const companions = ['LICENSE', 'docs/agent.md', 'docs/sensors.md', 'docs/schemas/agent-config.json']

/** For a board that has 512 MiB and an agent that makes little garbage; measured in docs/performance.md. */
const v8Flags = [
  // A young generation that does not grow.
  '--semi-space-growth-factor=1',
  // Garbage is looked for before the heap grows.
  '--optimize-for-size',
  // Only what is small is optimized, such as a check sum's loop: each thread that optimizes keeps 2 MiB of its own.
  '--max-optimized-bytecode-size=200',
]

/** Finds the bindings in `prebuilds/` beside the bundle; anywhere else this line says «beside the package». */
const bindingsBeside = {
  name: 'bindings-beside',
  setup(build) {
    build.onLoad({ filter: /classic-level[/\\]binding\.js$/ }, () => ({
      contents: "module.exports = require('node-gyp-build')(__folder)",
    }))
  },
}

/** @returns where the archive is */
export async function buildAgent() {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const name = `lot-agent-${version}`
  const work = join(root, 'dist', 'lot-agent')
  const folder = join(work, name)
  rmSync(work, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })

  const { build, stop } = await import('esbuild')
  const { metafile } = await build({
    ...buildOptions,
    entryPoints: [join(root, 'agent/main.ts')],
    outfile: join(folder, 'lot-agent.mjs'),
    external: [],
    plugins: [bindingsBeside],
    sourcemap: false,
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    metafile: true,
    absWorkingDir: root,
    banner: {
      js: [
        '#!/usr/bin/env node',
        "import { createRequire as __createRequire } from 'node:module';",
        "import __v8 from 'node:v8';",
        ...v8Flags.map((flag) => `__v8.setFlagsFromString('${flag}');`),
        "import { dirname as __dirnameOf } from 'node:path';",
        "import { fileURLToPath as __pathOf } from 'node:url';",
        'const require = __createRequire(import.meta.url), __folder = __dirnameOf(__pathOf(import.meta.url));',
      ].join('\n'),
    },
  })
  await stop()
  chmodSync(join(folder, 'lot-agent.mjs'), 0o755)

  for (const binding of bindings)
    cpSync(join(root, 'node_modules/classic-level/prebuilds', binding), join(folder, 'prebuilds', binding), {
      recursive: true,
    })
  for (const companion of companions)
    if (existsSync(join(root, companion)))
      copyFileSync(join(root, companion), join(folder, companion.split('/').at(-1)))
  writeFileSync(join(folder, 'THIRD-PARTY-LICENSES'), licencesOf(Object.keys(metafile.inputs)))

  const archive = join(root, 'dist', `${name}.tar.gz`)
  const tar = execFileSync(
    'tar',
    [
      '--sort=name',
      '--mtime=@0',
      '--owner=0',
      '--group=0',
      '--numeric-owner',
      '--mode=u+rw,go+r-w',
      '-cf',
      '-',
      name,
    ],
    { cwd: work, maxBuffer: 2 ** 28 },
  )
  // -n: no name and no time of day in the header.
  writeFileSync(archive, execFileSync('gzip', ['-9n'], { input: tar, maxBuffer: 2 ** 28 }))
  rmSync(work, { recursive: true, force: true })
  return archive
}

/** The licence of each package that is in the bundle. */
function licencesOf(inputs) {
  const packages = new Set(
    inputs.flatMap((input) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1] ?? []),
  )
  return [...packages]
    .sort()
    .map((path) => {
      const folder = join(root, path)
      const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
      const file = readdirSync(folder).find((entry) => /^(licen[cs]e|copying)/i.test(entry))
      return `${name} ${version} (${license})\n\n${file === undefined ? '' : readFileSync(join(folder, file), 'utf8')}`
    })
    .join(`\n${'-'.repeat(80)}\n\n`)
}

// A bundle that has this file in it (a benchmark) is not asked to build.
if (process.argv[1]?.endsWith('build-agent.mjs')) {
  const archive = await buildAgent()
  process.stdout.write(`${archive}  ${(statSync(archive).size / 2 ** 20).toFixed(2)} MiB\n`)
}
