/**
 * Rows as a table: which columns there are and of what kind, from the schema of the rows. Every form of an answer is made
 * of this: CSV, NDJSON, JSON, Parquet. Pure.
 */
import { type TObject, type TSchema, Type } from 'typebox'

/** `time` is RFC 3339; `texts` a list; `counts` an object of numbers by name. */
export type ColumnKind = 'text' | 'texts' | 'time' | 'integer' | 'number' | 'boolean' | 'counts'

export interface Column {
  readonly name: string
  readonly kind: ColumnKind
}

/** Rows as they come, some at a time. */
export type Pages = AsyncIterable<readonly object[]> | Iterable<readonly object[]>

/** In the order of the schema. */
export function columnsOf(schema: TObject): Column[] {
  return Object.entries(schema.properties).map(([name, of]) => ({ name, kind: kindOf(of) }))
}

function kindOf(schema: TSchema): ColumnKind {
  const [first] = Type.IsUnion(schema) ? schema.anyOf : [schema]
  if (first === undefined || 'enum' in first || 'const' in first) return 'text'
  const { type, format } = first as { type?: string; format?: string }
  switch (type) {
    case 'array':
      return 'texts'
    case 'object':
      return 'counts'
    case 'integer':
    case 'number':
    case 'boolean':
      return type
    default:
      return format === 'date-time' ? 'time' : 'text'
  }
}

/** What is in a column of a row. */
export function cellOf(row: object, { name }: Column): unknown {
  return (row as Record<string, unknown>)[name]
}

/** A cell in a form that has nothing but text; null is the empty text. */
export function textOf(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (Array.isArray(value)) return value.join(' ')
  if (typeof value !== 'object') return String(value)
  return Object.entries(value)
    .map(([name, count]) => `${name}:${count}`)
    .join(' ')
}
