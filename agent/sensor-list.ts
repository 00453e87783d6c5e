/** The `sensors:` list of the settings: several sensors of one device, each with its name and what belongs to its type. */
import { type Static, Type } from 'typebox'
import { isLoopback } from '../core/runtime/loopback.ts'

const Line = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535, description }))
const Choice = <Word extends string>(words: readonly Word[], description: string) =>
  Type.Optional(Type.Enum([...words], { description }))

export const SensorRow = Type.Object(
  {
    name: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$' }),
    type: Type.Enum(['gpio', 'exec', 'http'], { description: 'what counts' }),
    chip: Type.Optional(
      Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._@:-]{0,63}$', description: 'gpio: label or name' }),
    ),
    entry: Line('gpio: line of the beam or loop where cars come in'),
    exit: Line('gpio: line where they go out'),
    outer: Line('gpio: of two lines in one lane, the one towards the street'),
    inner: Line('gpio: and the one towards the lot'),
    active: Choice(['high', 'low'], 'gpio: what a line is while a car is there; high by default'),
    bias: Choice(['as-is', 'disabled', 'pull-up', 'pull-down'], 'gpio: as-is by default'),
    debounceMs: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 10_000, description: 'gpio: 30 by default' }),
    ),
    command: Type.Optional(
      Type.Array(Type.String(), { minItems: 1, description: 'exec: program and arguments, without a shell' }),
    ),
    url: Type.Optional(Type.String({ description: 'http: what is asked with GET' })),
    pointer: Type.Optional(Type.String({ description: 'http: JSON pointer (RFC 6901) to the count' })),
    insecure: Type.Optional(Type.Boolean({ description: 'http: allow http:// beyond loopback' })),
  },
  { additionalProperties: false },
)
export type SensorRow = Static<typeof SensorRow>

export const sensorsMax = 32

/** RFC 6901 §3. */
const pointerShape = /^(\/([^~]|~[01])*)?$/

const belongsTo = {
  gpio: ['chip', 'entry', 'exit', 'outer', 'inner', 'active', 'bias', 'debounceMs'],
  exec: ['command'],
  http: ['url', 'pointer', 'insecure'],
} as const

/** What is wrong with a list whose rows fit the schema. */
export function sensorFaults(rows: readonly SensorRow[]): string[] {
  return rows.flatMap((row, i) => {
    const faults = rowFaults(row)
    if (rows.findIndex(({ name }) => name === row.name) < i) faults.push('the name is there twice')
    return faults.map((fault) => `sensors[${i}] (${row.name}): ${fault}`)
  })
}

function rowFaults(row: SensorRow): string[] {
  const known: readonly string[] = ['name', 'type', ...belongsTo[row.type]]
  const foreign = Object.keys(row).filter((key) => !known.includes(key))
  const faults = foreign.map((key) => `${key} is not for a sensor of type ${row.type}`)
  if (row.type === 'exec') return row.command === undefined ? [...faults, 'command is required'] : faults
  if (row.type === 'http') return [...faults, ...urlFaults(row.url, row.pointer ?? '', row.insecure ?? false)]
  const { chip, entry, exit, outer, inner } = row
  if (chip === undefined) faults.push('chip is required')
  const isGate = entry !== undefined || exit !== undefined
  const isLane = outer !== undefined || inner !== undefined
  if (isGate === isLane) faults.push('needs entry or exit, or both; or else outer and inner')
  else if (isLane && (outer === undefined || inner === undefined)) faults.push('needs outer and inner')
  const lines = [entry, exit, outer, inner].filter((line) => line !== undefined)
  if (new Set(lines).size < lines.length) faults.push('has a line twice')
  return faults
}

/** What is wrong with where an http sensor is asked. */
export function urlFaults(text: string | undefined, pointer: string, insecure: boolean): string[] {
  const faults: string[] = []
  if (!pointerShape.test(pointer)) faults.push('pointer is not a JSON pointer')
  if (text === undefined) return [...faults, 'url is required']
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
    return [...faults, 'url is not an http or https URL without a user']
  if (url.protocol === 'http:' && !insecure && !isLoopback(url.hostname.replace(/^\[|\]$/g, '')))
    faults.push('url is neither TLS nor loopback; set insecure: true to allow it')
  return faults
}
