/** Programs that answer as libgpiod's do, to be put on PATH; the edges are what a test plays. */
import { appendFileSync, chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Gpiod {
  /** To be put before what is on PATH. */
  readonly bin: string
  /** Whether somebody has asked for edges. */
  readonly isAsked: boolean
  /** Lines as `gpiomon` prints them, in the format that it was asked for: edge, line, seconds since boot. */
  play(lines: string): void
  /** `gpiomon` ends at once from now on, until it is mended. */
  breakDown(): void
  mend(): void
}

/** @param folder empty, or not there yet */
export function installGpiod(folder: string, version: '1.6.3' | '2.2.1'): Gpiod {
  const [edges, calls, broken] = [join(folder, 'edges'), join(folder, 'calls'), join(folder, 'broken')]
  const bin = join(folder, 'bin')
  mkdirSync(bin, { recursive: true })
  writeFileSync(edges, '')
  program(bin, 'gpiodetect', 'echo "gpiochip0 [pinctrl-test] (54 lines)"')
  program(
    bin,
    'gpiomon',
    `if [ "$1" = --version ]; then echo "gpiomon (libgpiod) v${version}"; exit; fi
echo "$@" >> ${calls}
[ -e ${broken} ] && { echo "no such line" >&2; exit 1; }
exec tail -n +1 -f ${edges}`,
  )
  return {
    bin,
    get isAsked() {
      return existsSync(calls)
    },
    play: (lines) => appendFileSync(edges, lines),
    breakDown: () => writeFileSync(broken, ''),
    mend: () => rmSync(broken),
  }
}

function program(bin: string, name: string, script: string): void {
  const path = join(bin, name)
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
}
