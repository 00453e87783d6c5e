/** Ranges of time that pages offer, and windows that fit a chart of them. Pure. */
export const ranges = [
  { value: '-6h', text: '6 hours', every: '5m' },
  { value: '-24h', text: '24 hours', every: '15m' },
  { value: '-7d', text: '7 days', every: '1h' },
  { value: '-30d', text: '30 days', every: '3h' },
  { value: '-365d', text: 'A year', every: '1d' },
] as const
export type Range = (typeof ranges)[number]['value']

export const rangeDefault: Range = '-7d'

export function rangeOf(text: string | undefined): (typeof ranges)[number] {
  return ranges.find(({ value }) => value === text) ?? ranges[2]
}

export interface SeriesQuestion {
  readonly lots: readonly string[]
  readonly from: string
  readonly every: string
  readonly agg: readonly string[]
  readonly zone: string
}

/** The same question for four hands. */
export function spellings(
  { lots, from, every, agg, zone }: SeriesQuestion,
  ingestUrl: string,
): readonly { readonly name: string; readonly text: string }[] {
  const parameters = new URLSearchParams([
    ...lots.map((lot) => ['lot', lot]),
    ['from', from],
    ['every', every],
    ['agg', agg.join(',')],
    ['tz', zone],
    ['format', 'csv'],
  ])
  const url = `${ingestUrl}/v1/series?${parameters}`
  const list = lots.map((lot) => `'${lot.replaceAll("'", "''")}'`).join(', ')
  const interval = intervalOf(from.replace(/^-/, ''))
  return [
    {
      name: 'curl',
      text: `curl -H "Authorization: Bearer $(npx lotctl token get --audience ingest)" \\\n  '${url}'`,
    },
    {
      name: 'lotctl',
      text: `npx lotctl series --lot ${lots.join(' ')} --from ${from} --every ${every} \\\n  --agg ${agg.join(' ')} --tz ${zone} -o csv`,
    },
    {
      name: 'pandas',
      text: `import pandas as pd, subprocess\ntoken = subprocess.check_output("npx lotctl token get --audience ingest".split(), text=True).strip()\npd.read_csv("${url}",\n            storage_options={"Authorization": f"Bearer {token}"}, parse_dates=["start", "end"])`,
    },
    {
      name: 'SQL',
      text: `SELECT lotId, time_bucket(INTERVAL '${intervalOf(every)}', time) AS start,\n       ${agg.map((name) => `${sqlOf(name)}(occupied) AS ${name}`).join(', ')}\nFROM readings\nWHERE lotId IN (${list}) AND time >= now() - INTERVAL '${interval}'\nGROUP BY ALL ORDER BY ALL`,
    },
  ]
}

function sqlOf(aggregate: string): string {
  return aggregate === 'mean' ? 'avg' : aggregate
}

const units: Readonly<Record<string, string>> = { m: 'minutes', h: 'hours', d: 'days', w: 'weeks' }

function intervalOf(length: string): string {
  const [, count = '1', unit = 'h'] = /^([0-9]+)([mhdw])$/.exec(length) ?? []
  return `${count} ${units[unit]}`
}
