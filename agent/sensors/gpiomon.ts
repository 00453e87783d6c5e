/**
 * The words of libgpiod's tools, versions 1 and 2: how `gpiomon` is called and what it prints, and how `gpiodetect` names
 * chips. Pure. A chip is best named by its label, since its number differs between boards and kernels.
 */

export interface LineSettings {
  readonly lines: readonly number[]
  readonly bias: 'as-is' | 'disabled' | 'pull-up' | 'pull-down'
}

/** Something a line did: electrically up or down. */
export interface LineEvent {
  readonly line: number
  readonly isHigh: boolean
  readonly atMs: number
}

/** @param text what `gpiomon --version` prints. @returns undefined for versions that are not known */
export function gpiomonVersion(text: string): 1 | 2 | undefined {
  const major = Number(/\bv?(\d+)\.\d+/.exec(text)?.[1])
  return major === 1 || major === 2 ? major : undefined
}

/** @param text what `gpiodetect` prints: `gpiochip0 [pinctrl-bcm2711] (58 lines)`. @returns by label and by name */
export function chipsOf(text: string): ReadonlyMap<string, string> {
  const chips = new Map<string, string>()
  for (const [, name, label] of text.matchAll(/^(gpiochip\d+) \[([^\]]*)\]/gm)) {
    if (name === undefined || label === undefined) continue
    chips.set(name, name)
    // The first of several with one label.
    if (!chips.has(label)) chips.set(label, name)
  }
  return chips
}

/** @param chip a name, such as `gpiochip0` */
export function gpiomonCommand(version: 1 | 2, chip: string, { lines, bias }: LineSettings): string[] {
  const offsets = lines.map(String)
  if (version === 1) {
    const words = bias === 'disabled' ? 'disable' : bias
    return ['gpiomon', '-b', '-B', words, '-F', '%e %o %s.%n', chip, ...offsets]
  }
  const biased = bias === 'as-is' ? [] : ['-b', bias]
  // Into a pipe it prints when its buffer is full, unless told otherwise.
  return ['stdbuf', '-oL', 'gpiomon', '-c', chip, ...biased, '-F', '%e %o %S', ...offsets]
}

const eventShape = /^([012]) (\d{1,5}) (\d+)\.(\d{1,9})$/

/** A line as `gpiomonCommand` has it printed. Version 1 says 0 for falling and 1 for rising, version 2 says 2 and 1. */
export function parseEvent(version: 1 | 2, text: string): LineEvent | undefined {
  const [, edge, line, seconds, fraction = ''] = eventShape.exec(text.trim()) ?? []
  if (edge === undefined || line === undefined || edge === (version === 1 ? '2' : '0')) return undefined
  // Version 1 prints nanoseconds without leading zeros.
  const nanoseconds = version === 1 ? Number(fraction) : Number(fraction.padEnd(9, '0'))
  return { line: Number(line), isHigh: edge === '1', atMs: Number(seconds) * 1000 + nanoseconds / 1e6 }
}
