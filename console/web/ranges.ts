/** Ranges of time that pages offer, windows that fit a chart of them, and the same question in other words. Pure. */

export const ranges = [
  { value: '-6h', text: '6 hours', every: '5m' },
  { value: '-24h', text: '24 hours', every: '15m' },
  { value: '-7d', text: '7 days', every: '1h' },
  { value: '-30d', text: '30 days', every: '3h' },
  { value: '-365d', text: 'A year', every: '1d' },
] as const
const usual = ranges[2]

/** What the address says for a range that has a beginning and an end of its own. */
export const ownRange = 'own'

export interface Span {
  /** As the address has it. */
  readonly value: string
  readonly from: string
  /** Undefined: now. */
  readonly to?: string
  readonly every: string
}

const localTime = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$/

/** One of the offered ranges, or one that has its beginning and end in the lot's own time; what is neither is a week. */
export function spanOf({
  range,
  from,
  to,
}: {
  readonly range?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
}): Span {
  if (range === ownRange && from !== undefined && localTime.test(from))
    return to !== undefined && localTime.test(to) && to > from
      ? { value: ownRange, from, to, every: 'auto' }
      : { value: ownRange, from, every: 'auto' }
  const { value, every } = ranges.find((offered) => offered.value === range) ?? usual
  return { value, from: value, every }
}

/** `2026-11-26T08:30` in the zone, as fields for a date and a time have it. */
export function localTimeOf(atMs: number, zone: string): string {
  const text = new Intl.DateTimeFormat('sv-SE', {
    timeZone: zone,
    dateStyle: 'short',
    timeStyle: 'short',
  }).format(atMs)
  return text.replace(' ', 'T')
}

export interface SeriesQuestion {
  readonly lots: readonly string[]
  readonly from: string
  readonly to?: string
  readonly every: string
  readonly agg: readonly string[]
  /** Undefined: spaces taken. */
  readonly metric?: string
  readonly zone: string
}

/** As `GET /v1/series` takes it. */
export function queryOf({ lots, from, to, every, agg, metric, zone }: SeriesQuestion) {
  return { lot: lots, from, to, every, metric, agg: agg.join(','), tz: zone }
}

/** The same question for four hands. */
export function spellings(
  question: SeriesQuestion,
  ingestUrl: string,
): readonly { readonly name: string; readonly text: string }[] {
  const { lots, from, to, every, agg, metric, zone } = question
  const parameters = new URLSearchParams([
    ...lots.map((lot): [string, string] => ['lot', lot]),
    ['from', from],
    ...(to === undefined ? [] : [['to', to] as [string, string]]),
    ['every', every],
    ...(metric === undefined ? [] : [['metric', metric] as [string, string]]),
    ['agg', agg.join(',')],
    ['tz', zone],
    ['format', 'csv'],
  ])
  const url = `${ingestUrl}/v1/series?${parameters}`
  const list = lots.map((lot) => `'${lot.replaceAll("'", "''")}'`).join(', ')
  const until = to === undefined ? '' : ` AND time < ${instantOf(to, zone)}`
  return [
    {
      name: 'curl',
      text: `curl -H "Authorization: Bearer $(npx lotctl token get --audience ingest)" \\\n  '${url}'`,
    },
    {
      name: 'lotctl',
      text: `npx lotctl series --lot ${lots.join(' ')} --from ${from}${to === undefined ? '' : ` --to ${to}`} --every ${every} \\\n  ${metric === undefined ? '' : `--metric ${metric} `}--agg ${agg.join(' ')} --tz ${zone} -o csv`,
    },
    {
      name: 'pandas',
      text: `import pandas as pd, subprocess\ntoken = subprocess.check_output("npx lotctl token get --audience ingest".split(), text=True).strip()\npd.read_csv("${url}",\n            storage_options={"Authorization": f"Bearer {token}"}, parse_dates=["start", "end"])`,
    },
    // What is free and who came and went is worked out of more than a column.
    ...(metric !== undefined
      ? []
      : [
          {
            name: 'SQL',
            text: `SELECT lotId, time_bucket(INTERVAL '${lengthOf(every)}', time) AS start,\n       ${agg.map((name) => `${sqlOf(name)}(occupied) AS ${name}`).join(', ')}\nFROM readings\nWHERE lotId IN (${list}) AND time >= ${instantOf(from, zone)}${until}\nGROUP BY ALL ORDER BY ALL`,
          },
        ]),
  ]
}

function sqlOf(aggregate: string): string {
  return aggregate === 'mean' ? 'avg' : aggregate
}

function instantOf(time: string, zone: string): string {
  return time.startsWith('-')
    ? `now() - INTERVAL '${lengthOf(time.slice(1))}'`
    : `TIMESTAMP '${time.replace('T', ' ')}' AT TIME ZONE '${zone}'`
}

const units: Readonly<Record<string, string>> = { m: 'minutes', h: 'hours', d: 'days', w: 'weeks' }

/** What nobody has worked out yet, such as `auto`, is an hour. */
function lengthOf(length: string): string {
  const [, count = '1', unit = 'h'] = /^([0-9]+)([mhdw])$/.exec(length) ?? []
  return `${count} ${units[unit]}`
}
