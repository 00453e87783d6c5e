/** The questions of analysts over HTTP: parameters checked, answers as JSON or CSV. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Static, TObject, TSchema } from 'typebox'
import type { DeviceId, LotId } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { Principal } from '../core/contract/principal.ts'
import {
  type Format,
  LatestQuery,
  LatestRow,
  LotRow,
  LotsQuery,
  QuarantineQuery,
  QuarantineRow,
  ReadingRow,
  ReadingsQuery,
  SeriesQuery,
  SeriesRow,
} from '../core/contract/query.ts'
import type { Door } from '../core/runtime/door.ts'
import { createSender, type Found } from './answer-form.ts'
import type { Answers, Asker } from './answers.ts'
import { formatOf } from './formats/formats.ts'
import { type Column, columnsOf } from './formats/table.ts'
import { leavingOf } from './leaving.ts'
import type { LotWindow } from './series.ts'
import { parseEvery } from './windows.ts'
import { Zone } from './zone.ts'

interface CommonQuery {
  readonly tz?: string
  readonly format?: Format
  readonly columns?: readonly string[]
}

const limitDefault = 1000

/** `agg=mean,max` is `agg=mean&agg=max`; nothing that is asked for in lists has a comma in it. */
export function splitLists(query: Record<string, unknown>, schema: TSchema): void {
  const { properties } = schema as { properties?: Record<string, { type?: string }> }
  for (const [name, value] of Object.entries(query)) {
    if (properties?.[name]?.type === 'array')
      query[name] = [value].flat().flatMap((item) => String(item).split(','))
  }
}

/** Later than any reading: stamps may be ahead of now. */
const endOfTimeMs = Number.MAX_SAFE_INTEGER

export function addQueryRoutes(
  server: FastifyInstance,
  { door, answers, now }: { door: Door; answers: Answers; now: () => number },
): void {
  const principals = new WeakMap<FastifyRequest, Principal>()
  const send = createSender()

  /** @param columns of the rows; all that their schema has unless told otherwise */
  function route<Schema extends TSchema, Row extends object>(
    path: string,
    schemas: { querystring: Schema; row: TObject },
    find: (query: Static<Schema>, asker: Asker) => Promise<Found<Row>> | Found<Row>,
    isColumn: (name: string, query: Static<Schema>) => boolean = () => true,
  ): void {
    const { querystring } = schemas
    const all = columnsOf(schemas.row)
    server.get(
      path,
      {
        schema: { querystring },
        // Before the parameters are looked at: a stranger learns nothing of them.
        onRequest: async (request) =>
          void principals.set(request, await door.admit(request, 'read:readings')),
        preValidation: async (request) => splitLists(request.query as Record<string, unknown>, querystring),
      },
      async (request, reply) => {
        const query = request.query as Static<Schema> & CommonQuery // the schema has checked it
        const zone = new Zone(query.tz ?? 'UTC')
        const columns = chosen(
          all.filter(({ name }) => isColumn(name, query)),
          query.columns,
        )
        const format = formatOf(query.format, request.headers.accept)
        const principal = principals.get(request) as Principal // set in onRequest, or this is not reached
        const signal = leavingOf(reply)
        const found = await find(query, { principal, zone, signal })
        return send(reply, found, { format, columns, tz: zone.id, signal })
      },
    )
  }

  route('/v1/lots', { querystring: LotsQuery, row: LotRow }, (_query, asker) => answers.lots(asker))
  route('/v1/latest', { querystring: LatestQuery, row: LatestRow }, ({ lot }, asker) =>
    answers.latest(lotsOf(lot), asker),
  )
  route(
    '/v1/series',
    { querystring: SeriesQuery, row: SeriesRow },
    (query, asker) => {
      const every = parseEvery(query.every ?? '1h')
      const nowMs = now()
      const from = asker.zone.parse(query.from, 'from', nowMs)
      // Nobody means half a minute by `-7d`: windows then start where the clock does.
      const fromMs = query.from.startsWith('-') ? asker.zone.startOf(every.unit, from) : from
      const toMs = asker.zone.parse(query.to ?? 'now', 'to', nowMs)
      if (toMs < fromMs) throw invalid('to: is before from')
      return answers.series(
        {
          lots: lotsOf(query.lot),
          fromMs,
          toMs,
          every,
          aggregates: aggregatesOf(query.agg),
          isSparse: query.fill === 'none',
        },
        asker,
      )
    },
    (name, { agg }) => name in seriesFrame || aggregatesOf(agg).some((asked) => asked === name),
  )
  route('/v1/readings', { querystring: ReadingsQuery, row: ReadingRow }, (query, asker) => {
    const nowMs = now()
    return answers.readings(
      {
        lots: lotsOf(query.lot),
        devices: devicesOf(query.device),
        fromMs: query.from === undefined ? 0 : asker.zone.parse(query.from, 'from', nowMs),
        toMs: query.to === undefined ? endOfTimeMs : asker.zone.parse(query.to, 'to', nowMs),
        order: query.order ?? 'asc',
        limit: query.limit,
        cursor: query.cursor,
      },
      asker,
    )
  })
  route('/v1/quarantine', { querystring: QuarantineQuery, row: QuarantineRow }, (query, asker) =>
    answers.quarantine(
      {
        devices: devicesOf(query.device),
        reason: query.reason,
        limit: query.limit ?? limitDefault,
        cursor: query.cursor,
      },
      asker,
    ),
  )
}

const seriesFrame = { lotId: true, start: true, end: true }

/** The schema has checked the names, which its type has lost. */
function aggregatesOf(asked: readonly string[] | undefined): readonly (keyof LotWindow)[] {
  return asked === undefined || asked.length === 0 ? ['mean'] : (asked as readonly (keyof LotWindow)[])
}

/** The schema has checked the grammar. */
function lotsOf(ids: readonly string[] | undefined): readonly LotId[] | undefined {
  return ids as readonly LotId[] | undefined
}

/** The schema has checked the grammar. */
function devicesOf(ids: readonly string[] | undefined): readonly DeviceId[] | undefined {
  return ids as readonly DeviceId[] | undefined
}

/** @throws FleetError `request.invalid` for a column that there is not */
function chosen(columns: readonly Column[], asked: readonly string[] | undefined): readonly Column[] {
  return (
    asked?.map((name) => {
      const column = columns.find((one) => one.name === name)
      if (column === undefined)
        throw invalid(`columns: ${name} is not one of ${columns.map((one) => one.name).join(', ')}`)
      return column
    }) ?? columns
  )
}

function invalid(safeDetail: string): FleetError {
  return new FleetError('request.invalid', safeDetail, { safeDetail })
}
