/** Questions in SQL to a real ingest. */
import { audiences } from '../../core/contract/principal.ts'
import type { Format } from '../../core/contract/query.ts'
import type { SqlColumn } from '../../core/contract/sql.ts'
import type { IngestUnderTest } from './ingest.ts'

export interface SqlReply {
  readonly tz: string
  readonly columns: readonly SqlColumn[]
  readonly rowCount: number
  readonly rows: readonly Record<string, unknown>[]
}

export interface SqlProblem {
  readonly status: number
  readonly code: string
  readonly detail: string
}

export async function askSql(
  ingest: IngestUnderTest,
  sql: string,
  options: { format?: Format; tz?: string; token?: string; signal?: AbortSignal } = {},
): Promise<Response> {
  const { token = await ingest.issuer.token(audiences.ingest, 'query:sql'), signal, ...form } = options
  return fetch(`${ingest.url()}/v1/sql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ sql, ...form }),
    ...(signal === undefined ? {} : { signal }),
  })
}

/** The rows of an answer that must be one. */
export async function rowsOf(
  ingest: IngestUnderTest,
  sql: string,
  token?: string,
): Promise<SqlReply['rows']> {
  const response = await askSql(ingest, sql, token === undefined ? {} : { token })
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
  return ((await response.json()) as SqlReply).rows
}

export async function problemOf(response: Response): Promise<SqlProblem> {
  const { code, detail } = (await response.json()) as { code: string; detail: string }
  return { status: response.status, code, detail }
}
