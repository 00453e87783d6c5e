/** The few numbers of a program that a person wants to see, out of Prometheus' text format. Pure. */
import { bytes, number } from './words.ts'

type Said = readonly (readonly [string, string])[]

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

export function metricsOf(program: string, text: string): Said {
  const of = (name: string, label?: string) => metricOf(text, `lotwatch_${program}_${name}`, label)
  if (program === 'broker')
    return [
      ['devices connected', number(of('connections'))],
      ['messages', number(of('messages_total'))],
      ['held now', bytes(of('buffered_bytes'))],
      ['hands over', of('ingest_available') === 1 ? 'yes' : 'no, ingest is away'],
    ]
  return [
    ['stored', number(of('readings_total', '"stored"'))],
    [
      'came again',
      number((of('readings_total', '"redelivered"') ?? 0) + (of('readings_total', '"duplicate"') ?? 0)),
    ],
    ['quarantined', number(of('readings_total', '"quarantined"'))],
    ['a commit takes', millisecondsOf(of('commit_seconds_sum'), of('commit_seconds_count'))],
  ]
}

function millisecondsOf(sum: number | undefined, count: number | undefined): string {
  return sum === undefined || count === undefined || count === 0
    ? '–'
    : `${number((sum / count) * 1000, 1)} ms`
}
