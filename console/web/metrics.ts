/** The few numbers of a program that a person wants to see, out of Prometheus' text format, and how fast they grow. Pure. */
import { bytes, number } from './words.ts'

type Said = readonly (readonly [string, string])[]

/** What a program said of itself at a moment. */
export interface Sample {
  readonly atMs: number
  readonly text: string
}

/** Over so long rates are taken. */
const rateMs = 60_000

/** With the newest, without those that are too old for a rate. */
export function withSample(samples: readonly Sample[], newest: Sample): readonly Sample[] {
  return [...samples.filter(({ atMs }) => atMs >= newest.atMs - rateMs), newest]
}

/** Sums what a metric has, over those labels that fit. */
export function metricOf(text: string, name: string, label = ''): number | undefined {
  let sum: number | undefined
  for (const line of text.split('\n')) {
    if (!line.startsWith(name)) continue
    const rest = line.slice(name.length)
    const value = /^(\{[^}]*\})? ([^ ]+)/.exec(rest)
    if (value === null || !(value[1] ?? '').includes(label)) continue
    sum = (sum ?? 0) + Number(value[2])
  }
  return sum
}

/**
 * How much a total grew in a second, between the oldest and the newest sample.
 * @returns undefined with one sample alone, and after a restart, which begins at zero
 */
export function rateOf(samples: readonly Sample[], name: string, label?: string): number | undefined {
  const [first, last] = [samples[0], samples.at(-1)]
  if (first === undefined || last === undefined || last.atMs <= first.atMs) return undefined
  const grown = (metricOf(last.text, name, label) ?? 0) - (metricOf(first.text, name, label) ?? 0)
  return grown < 0 ? undefined : (grown / (last.atMs - first.atMs)) * 1000
}

/** @param samples oldest first, at least one */
export function numbersOf(program: string, samples: readonly Sample[]): Said {
  const text = samples.at(-1)?.text ?? ''
  const full = (name: string) => `lotwatch_${program}_${name}`
  const of = (name: string, label?: string) => metricOf(text, full(name), label)
  const rate = (name: string, label?: string) => rateWords(rateOf(samples, full(name), label))
  if (program === 'broker')
    return [
      ['devices connected', number(of('connections'))],
      ['messages', number(of('messages_total'))],
      ['now', rate('messages_total')],
      ['held now', bytes(of('buffered_bytes'))],
      ['hands over', of('ingest_available') === 1 ? 'yes' : 'no, ingest is away'],
    ]
  return [
    ['stored', number(of('readings_total', '"stored"'))],
    ['now', rate('readings_total', '"stored"')],
    [
      'came again',
      number((of('readings_total', '"redelivered"') ?? 0) + (of('readings_total', '"duplicate"') ?? 0)),
    ],
    ['quarantined', number(of('readings_total', '"quarantined"'))],
    ['a commit takes', millisecondsOf(of('commit_seconds_sum'), of('commit_seconds_count'))],
  ]
}

/** What ingest has on disk, by what it is for, and how much room there is. */
export interface Disk {
  readonly uses: readonly (readonly [string, number])[]
  readonly freeBytes: number
}

/** Undefined where nothing is said of it. */
export function diskOf(text: string): Disk | undefined {
  const freeBytes = metricOf(text, 'lotwatch_ingest_disk_free_bytes')
  if (freeBytes === undefined || Number.isNaN(freeBytes)) return undefined
  const uses = [...text.matchAll(/^lotwatch_ingest_disk_bytes\{use="([^"]*)"\} (\S+)$/gm)]
  return { uses: uses.map(([, use = '', size]) => [use, Number(size)] as const), freeBytes }
}

function rateWords(perSecond: number | undefined): string {
  if (perSecond === undefined) return '…'
  return perSecond > 0 && perSecond < 1
    ? `${number(perSecond * 60, 1)} a minute`
    : `${number(perSecond, 1)} a second`
}

function millisecondsOf(sum: number | undefined, count: number | undefined): string {
  return sum === undefined || count === undefined || count === 0
    ? '–'
    : `${number((sum / count) * 1000, 1)} ms`
}
