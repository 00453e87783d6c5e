/** Backups over HTTP (`manage:store`). */
import type { FastifyInstance } from 'fastify'
import type { Door } from '../core/runtime/door.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Backups } from './backups.ts'

export function addBackupRoutes(
  server: FastifyInstance,
  { door, backups, log }: { door: Door; backups: Backups; log: Log },
): void {
  server.post('/v1/backups', async (request, reply) => {
    const { subject } = await door.admit(request, 'manage:store')
    const manifest = await backups.create()
    const { name, file, tables } = manifest
    const rows = tables.reduce((sum, table) => sum + table.rows, 0)
    log.info('backup.made', { subject, name, bytes: file.bytes, rows })
    return reply.code(201).send(manifest)
  })
  server.get('/v1/backups', async (request) => {
    await door.admit(request, 'manage:store')
    return { backups: await backups.list() }
  })
}
