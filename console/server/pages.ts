/**
 * The pages: files that the build has made, the same one for every address (the browser's router reads it), and headers
 * that let them load nothing from anywhere else.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import helmet from '@fastify/helmet'
import files from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import { FleetError } from '../../core/contract/errors.ts'

const self = ["'self'"]

export async function addPages(
  server: FastifyInstance,
  { folder, isSecure }: { folder: string; isSecure: boolean },
): Promise<void> {
  if (!existsSync(join(folder, 'index.html')))
    throw new FleetError('config.invalid', 'the pages are missing', {
      faults: [`${folder}: has no index.html; npm run build makes it`],
    })
  await server.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: self,
        baseUri: ["'none'"],
        formAction: self,
        frameAncestors: ["'none'"],
        objectSrc: ["'none'"],
      },
    },
    strictTransportSecurity: isSecure ? { maxAge: 31_536_000 } : false,
    referrerPolicy: { policy: 'no-referrer' },
    xFrameOptions: { action: 'deny' },
  })
  await server.register(files, {
    root: folder,
    wildcard: false,
    preCompressed: true,
    index: false,
    // Their names change with their content.
    setHeaders: (reply, path) => {
      if (path.includes('/assets/')) void reply.header('cache-control', 'public, max-age=31536000, immutable')
    },
  })
  server.get('/*', (request, reply) => {
    const path = request.url.split('?')[0] ?? ''
    if (/^\/(api|assets)\//.test(path))
      throw new FleetError('request.not_found', `no route GET ${path}`, {
        safeDetail: `there is no GET ${path}`,
      })
    return reply.header('cache-control', 'no-cache').sendFile('index.html')
  })
}
