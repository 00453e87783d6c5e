/** Enrolment: keys for operators, `POST /v1/enrol` for boards, approvals, windows, and alarms about boards. */
import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { Alarm } from '../../core/contract/downlink.ts'
import {
  EnrolAnswer,
  EnrolKey,
  EnrolKeyRequest,
  Enrolment,
  EnrolRequest,
  IssuedEnrolKey,
} from '../../core/contract/enrolment.ts'
import { FleetError, isFleetError } from '../../core/contract/errors.ts'
import { Device, Identifier } from '../../core/contract/registry.ts'
import type { LogFields } from '../../core/runtime/log.ts'
import type { Brake } from '../oauth/guards/brake.ts'
import { notFound } from '../registry/changes.ts'
import type { Registry } from '../registry.ts'
import type { RegistryView } from '../repository/repository.ts'
import { bodyOptional, type Desk, pageLimit, pageOf, pageQuery, strict } from './desk.ts'

export interface EnrolmentRouteParts {
  readonly registry: Pick<Registry, 'enrolments' | 'boards'>
  readonly repository: Pick<RegistryView, 'findEnrolKey' | 'enrolKeys' | 'enrolments' | 'alarms'>
  readonly brake: Pick<Brake, 'failed'>
  /** Strangers decide how many there are: within bounds. */
  readonly enrolmentRefused: (fields: () => LogFields) => void
}

const tags = ['enrolment']
const EnrolKeyParams = strict({ enrolKeyId: Identifier })
const EnrolmentParams = strict({ enrolmentId: Identifier })
const DeviceParams = strict({ deviceId: Identifier })
const AlarmParams = strict({ alarmId: Type.Integer({ minimum: 1 }) })
const EnrolmentsQuery = pageQuery({ state: Type.Optional(Enrolment.properties.state) })
const AlarmsQuery = strict({ limit: pageLimit, cursor: Type.Optional(Type.Integer({ minimum: 1 })) })
const WindowRequest = strict({
  lifeSec: Type.Integer({ minimum: 60, maximum: 30 * 86_400, default: 24 * 3600 }),
})
const nextCursor = Type.Optional(Type.String())

export function registerEnrolmentRoutes(
  server: FastifyInstance,
  desk: Desk,
  parts: () => EnrolmentRouteParts,
): void {
  const reads = desk.needs('read:devices')
  const manages = desk.needs('manage:devices')
  const enrolments = () => parts().registry.enrolments

  server.post<{ Body: EnrolRequest }>(
    '/v1/enrol',
    {
      bodyLimit: 16 * 1024,
      schema: {
        tags,
        summary: 'Become a device: by an enrolment key, by an old key or client secret, or in an open window',
        description:
          'No token is asked for; the request is proved by the key it brings. Asking again with the same key gives the same answer.',
        body: EnrolRequest,
        response: { 201: EnrolAnswer, 202: EnrolAnswer },
      },
    },
    async (request, reply) => {
      const { brake, enrolmentRefused } = parts()
      try {
        const answer = await enrolments().enrol(request.body)
        const status = answer.status === 'enrolled' ? 201 : 202
        return reply.code(status).header('cache-control', 'no-store').send(answer)
      } catch (error) {
        if (!isFleetError(error, 'enrolment.refused')) throw error
        const { deviceId, board } = request.body
        enrolmentRefused(() => ({ address: request.ip, deviceId, board, reason: error.message }))
        const verdict = await brake.failed(undefined, request.ip)
        if (verdict.answer === 'refuse') throw error
        void reply.header('retry-after', String(verdict.retryAfterSec))
        throw new FleetError('request.too_many', 'too many refused enrolments')
      }
    },
  )

  server.get<{ Querystring: { limit: number; cursor?: string } }>(
    '/v1/enrol-keys',
    {
      ...reads,
      schema: {
        tags,
        summary: 'List enrolment keys',
        querystring: pageQuery({}),
        response: { 200: strict({ enrolKeys: Type.Array(EnrolKey), nextCursor }) },
      },
    },
    async ({ query: { limit, cursor } }) => {
      const rows = await parts().repository.enrolKeys({ after: cursor, limit: limit + 1 })
      return pageOf('enrolKeys', rows, limit, ({ enrolKeyId }) => enrolKeyId)
    },
  )

  server.post<{ Body: EnrolKeyRequest }>(
    '/v1/enrol-keys',
    {
      ...manages,
      ...bodyOptional,
      schema: {
        tags,
        summary: 'Make an enrolment key: for one board or several, expiring, for a lot',
        body: EnrolKeyRequest,
        response: { 201: IssuedEnrolKey },
      },
    },
    async (request, reply) => {
      const issued = await enrolments().makeKey(desk.byOf(request), request.body)
      return reply.code(201).header('cache-control', 'no-store').send(issued)
    },
  )

  server.get<{ Params: Static<typeof EnrolKeyParams> }>(
    '/v1/enrol-keys/:enrolKeyId',
    {
      ...reads,
      schema: {
        tags,
        summary: 'Show an enrolment key, never the key itself',
        params: EnrolKeyParams,
        response: { 200: EnrolKey },
      },
    },
    async ({ params }) => {
      const enrolKey = await parts().repository.findEnrolKey(params.enrolKeyId)
      if (enrolKey === undefined) throw notFound(`there is no enrolment key ${params.enrolKeyId}`)
      return enrolKey
    },
  )

  server.delete<{ Params: Static<typeof EnrolKeyParams> }>(
    '/v1/enrol-keys/:enrolKeyId',
    {
      ...manages,
      schema: {
        tags,
        summary: 'Revoke an enrolment key; devices that enrolled with it stay',
        params: EnrolKeyParams,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await enrolments().revokeKey(desk.byOf(request), request.params.enrolKeyId)
      return reply.code(204).send()
    },
  )

  server.get<{ Querystring: Static<typeof EnrolmentsQuery> }>(
    '/v1/enrolments',
    {
      ...reads,
      schema: {
        tags,
        summary: 'List enrolments, such as those that wait for approval',
        querystring: EnrolmentsQuery,
        response: { 200: strict({ enrolments: Type.Array(Enrolment), nextCursor }) },
      },
    },
    async ({ query: { limit, cursor, state } }) => {
      const rows = await parts().repository.enrolments({ after: cursor, limit: limit + 1, state })
      return pageOf('enrolments', rows, limit, ({ enrolmentId }) => enrolmentId)
    },
  )

  for (const [verb, summary] of [
    ['approve', 'Let a board in, after its fingerprint was compared'],
    ['reject', 'Turn a board away'],
  ] as const) {
    server.post<{ Params: Static<typeof EnrolmentParams> }>(
      `/v1/enrolments/:enrolmentId/${verb}`,
      { ...manages, schema: { tags, summary, params: EnrolmentParams, response: { 200: Enrolment } } },
      (request) => enrolments()[verb](desk.byOf(request), request.params.enrolmentId),
    )
  }

  server.post<{ Params: Static<typeof DeviceParams>; Body: Static<typeof WindowRequest> }>(
    '/v1/devices/:deviceId/enrol-window',
    {
      ...manages,
      ...bodyOptional,
      schema: {
        tags,
        summary: 'Let a device enrol again, once, without a key and without its old one',
        description:
          'At once by the board that is known; where none is known, after an operator approved it. Its old credentials are void then.',
        params: DeviceParams,
        body: WindowRequest,
        response: { 200: Device },
      },
    },
    (request) => enrolments().openWindow(desk.byOf(request), request.params.deviceId, request.body.lifeSec),
  )

  server.delete<{ Params: Static<typeof DeviceParams> }>(
    '/v1/devices/:deviceId/enrol-window',
    {
      ...manages,
      schema: { tags, summary: 'Close the window', params: DeviceParams, response: { 200: Device } },
    },
    (request) => enrolments().closeWindow(desk.byOf(request), request.params.deviceId),
  )

  server.get<{ Querystring: Static<typeof AlarmsQuery> }>(
    '/v1/alarms',
    {
      ...reads,
      schema: {
        tags,
        summary: 'List alarms, newest first',
        querystring: AlarmsQuery,
        response: { 200: strict({ alarms: Type.Array(Alarm), nextCursor }) },
      },
    },
    async ({ query: { limit, cursor } }) => {
      const rows = await parts().repository.alarms({ before: cursor, limit: limit + 1 })
      return pageOf('alarms', rows, limit, ({ alarmId }) => String(alarmId))
    },
  )

  server.post<{ Params: Static<typeof AlarmParams> }>(
    '/v1/alarms/:alarmId/acknowledge',
    {
      ...manages,
      schema: {
        tags,
        summary: 'Say that an alarm was looked at',
        params: AlarmParams,
        response: { 200: Alarm },
      },
    },
    (request) => parts().registry.boards.acknowledge(desk.byOf(request), request.params.alarmId),
  )
}
