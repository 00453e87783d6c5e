/** The questions of analysts over HTTP: parameters checked, and turned into what the flow asks with. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Static, TObject, TSchema } from 'typebox'
import { CompletenessRow } from '../core/contract/completeness.ts'
import type { DeviceId, LotId } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { Principal } from '../core/contract/principal.ts'
import {
  type Aggregate,
  CompletenessQuery,
  type DeviceCondition,
  DeviceRow,
  DevicesQuery,
  type Format,
  HealthQuery,
  HealthRow,
  LatestQuery,
  LatestRow,
  LotRow,
  LotsQuery,
  type Metric,
  ProfileQuery,
  ProfileRow,
  QuarantineQuery,
  QuarantineRow,
  ReadingRow,
  ReadingsQuery,
  SeriesQuery,
  SeriesRow,
} from '../core/contract/query.ts'
import type { Door } from '../core/runtime/door.ts'
import { createSender, type Found, type SenderOptions } from './answer-form.ts'
import type { Answers, Asker } from './answers.ts'
import type { DeviceAnswers } from './device-answers.ts'
import { formatOf } from './formats/formats.ts'
import { type Column, columnsOf } from './formats/table.ts'
import { leavingOf } from './leaving.ts'
import type { Among } from './scope.ts'
import type { SeriesAnswers, WindowsQuestion } from './series-answers.ts'
import { parseEvery, startOfWindow } from './windows.ts'
import { Zone } from './zone.ts'

export interface QueryRoutesOptions extends SenderOptions {
  readonly door: Door
  readonly answers: Answers
  readonly series: SeriesAnswers
  readonly devices: DeviceAnswers
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

interface CommonQuery {
  readonly tz?: string
  readonly format?: Format
  readonly columns?: readonly string[]
}

const limitDefault = 1000

/** Later than any reading: stamps may be ahead of now. */
const endOfTimeMs = Number.MAX_SAFE_INTEGER

export function addQueryRoutes(
  server: FastifyInstance,
  { door, answers, series, devices, now, ...sending }: QueryRoutesOptions,
): void {
  const principals = new WeakMap<FastifyRequest, Principal>()
  const send = createSender(sending)

  /** @param isColumn which columns of the rows there are; all unless told otherwise */
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

  route('/v1/lots', { querystring: LotsQuery, row: LotRow }, (query, asker) =>
    answers.lots(amongOf(query), asker),
  )
  route('/v1/latest', { querystring: LatestQuery, row: LatestRow }, (query, asker) =>
    answers.latest(amongOf(query), asker),
  )
  route(
    '/v1/series',
    { querystring: SeriesQuery, row: SeriesRow },
    (query, asker) =>
      series.series(
        {
          ...windowsOf(query, { from: query.from, every: '1h' }, asker.zone, now()),
          metrics: query.metric as readonly Metric[] | undefined, // the schema has checked them
          aggregates: aggregatesOf(query),
          fill: query.fill ?? 'null',
          quality: query.quality ?? 'all',
        },
        asker,
      ),
    (name, query) =>
      name === 'lotId' ||
      name === 'start' ||
      name === 'end' ||
      aggregatesOf(query).some((asked) => asked === name) ||
      (name === 'metric' && query.metric !== undefined) ||
      (name === 'filled' && (query.fill === 'previous' || query.fill === 'linear')),
  )
  route('/v1/profile', { querystring: ProfileQuery, row: ProfileRow }, (query, asker) => {
    const { every: _every, ...question } = windowsOf(query, { from: '-8w', every: '1h' }, asker.zone, now())
    return series.profile(
      { ...question, metric: query.metric ?? 'occupied', quality: query.quality ?? 'all' },
      asker,
    )
  })
  route('/v1/completeness', { querystring: CompletenessQuery, row: CompletenessRow }, (query, asker) =>
    series.completeness(windowsOf(query, { from: '-1d', every: '1h' }, asker.zone, now()), asker),
  )
  route('/v1/readings', { querystring: ReadingsQuery, row: ReadingRow }, (query, asker) => {
    const nowMs = now()
    return answers.readings(
      {
        among: amongOf(query),
        fromMs: query.from === undefined ? 0 : asker.zone.parse(query.from, 'from', nowMs),
        toMs: query.to === undefined ? endOfTimeMs : asker.zone.parse(query.to, 'to', nowMs),
        receivedFromMs:
          query.receivedFrom === undefined
            ? undefined
            : asker.zone.parse(query.receivedFrom, 'receivedFrom', nowMs),
        order: query.order ?? 'asc',
        quality: query.quality ?? 'all',
        limit: query.limit,
        cursor: query.cursor,
      },
      asker,
    )
  })
  route('/v1/devices', { querystring: DevicesQuery, row: DeviceRow }, (query, asker) =>
    devices.devices(
      {
        among: amongOf(query),
        states: query.state as readonly DeviceCondition[] | undefined, // the schema has checked them
        limit: query.limit ?? limitDefault,
        cursor: query.cursor,
      },
      asker,
    ),
  )
  route('/v1/devices/health', { querystring: HealthQuery, row: HealthRow }, (query, asker) =>
    devices.health(windowsOf(query, { from: '-7d', every: '1h' }, asker.zone, now()), asker),
  )
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

interface AmongQuery {
  readonly lot?: readonly string[]
  readonly device?: readonly string[]
  readonly tag?: readonly string[]
}

function amongOf({ lot, device, tag }: AmongQuery): Among {
  // The schema has checked the grammar.
  return { lots: lot as readonly LotId[] | undefined, devices: devicesOf(device), tags: tag }
}

/** @param otherwise what holds where the question does not say */
function windowsOf(
  query: AmongQuery & { readonly from?: string; readonly to?: string; readonly every?: string },
  otherwise: { from: string; every: string },
  zone: Zone,
  nowMs: number,
): WindowsQuestion {
  const from = query.from ?? otherwise.from
  const askedMs = zone.parse(from, 'from', nowMs)
  const toMs = zone.parse(query.to ?? 'now', 'to', nowMs)
  const every = parseEvery(query.every ?? otherwise.every, { fromMs: askedMs, toMs })
  // Nobody means half a minute by `-7d`: windows then start where the clock does.
  const fromMs = /^(now)?-[^/]+$/.test(from) ? startOfWindow(every, askedMs, zone) : askedMs
  if (toMs < fromMs) throw invalid('to: is before from')
  return { among: amongOf(query), fromMs, toMs, every }
}

/** Cars that came and went have no mean: they are added up. */
function aggregatesOf({
  agg,
  metric,
}: {
  readonly agg?: readonly string[]
  readonly metric?: readonly string[]
}): readonly Aggregate[] {
  if (agg !== undefined && agg.length > 0) return agg as readonly Aggregate[] // the schema has checked the names
  const areFlows = (metric ?? ['occupied']).map((name) => name === 'entries' || name === 'exits')
  return [
    ...(areFlows.includes(false) ? (['mean'] as const) : []),
    ...(areFlows.includes(true) ? (['sum'] as const) : []),
  ]
}

/** The schema has checked the grammar. */
function devicesOf(ids: readonly string[] | undefined): readonly DeviceId[] | undefined {
  return ids as readonly DeviceId[] | undefined
}

/** `agg=mean,max` is `agg=mean&agg=max`; nothing that is asked for in lists has a comma in it. */
export function splitLists(query: Record<string, unknown>, schema: TSchema): void {
  const { properties } = schema as { properties?: Record<string, { type?: string }> }
  for (const [name, value] of Object.entries(query)) {
    if (properties?.[name]?.type === 'array')
      query[name] = [value].flat().flatMap((item) => String(item).split(','))
  }
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
